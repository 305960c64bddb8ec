// Numbers from GET /metrics, which counts the whole deployment.

import { api } from './api.js';
import { $, duration, el } from './dom.js';
import { isLost } from './health.js';

const EVERY = 15_000;

/** Parses Prometheus text into [name, labels, value]. */
export function samples(text) {
  const line = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
  return text
    .split('\n')
    .map((one) => line.exec(one))
    .filter(Boolean)
    .map(([, name, labels = '', value]) => [
      name,
      Object.fromEntries([...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map((pair) => [pair[1], pair[2]])),
      Number(value),
    ]);
}

/** The sum of a metric's samples with these labels; undefined without samples. */
export function sum(all, name, wanted = {}) {
  const found = all.filter(
    ([known, labels]) => known === name && Object.entries(wanted).every(([label, value]) => labels[label] === value),
  );
  return found.length === 0 ? undefined : found.reduce((total, [, , value]) => total + value, 0);
}

function tiles(all) {
  // A status without a sample yet counts as 0.
  const jobs = (status) => sum(all, 'ai_jobs_total', { status }) ?? 0;
  const took = sum(all, 'ai_job_duration_seconds_sum') / sum(all, 'ai_job_duration_seconds_count');
  return [
    ['Plans', sum(all, 'ai_planner_requests_total') ?? 0],
    ['Done', jobs('completed')],
    ['Errors', jobs('error'), 'bad'],
    ['Unknown', jobs('unknown'), 'warn'],
    ['In the queue', sum(all, 'ai_queue_depth')],
    ['Model tokens', sum(all, 'ai_planner_tokens_total') ?? 0],
    ['Mean job time', Number.isFinite(took) ? duration(took * 1000) : undefined],
  ];
}

const number = new Intl.NumberFormat(undefined, { notation: 'compact' });

export async function loadMetrics() {
  try {
    const all = samples(await api('GET', '/metrics', undefined, { text: true }));
    $('metrics').replaceChildren(
      ...tiles(all).map(([name, value, tone]) =>
        el(
          'div',
          { class: value > 0 && tone },
          el('dt', {}, name),
          el('dd', { 'data-metric': name }, typeof value === 'number' ? number.format(value) : (value ?? '–')),
        ),
      ),
    );
    $('metrics').hidden = false;
  } catch (error) {
    // A key without metrics:read gets none, and nothing else depends on them. Those of a server that is gone stay.
    if ([401, 403].includes(error.status)) $('metrics').hidden = true;
  }
}

export function startMetrics() {
  setInterval(() => {
    if (!document.hidden && !$('metrics').hidden && !isLost()) loadMetrics();
  }, EVERY);
}
