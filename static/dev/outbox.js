// The mails that sandbox mode would have sent.

import { api } from './api.js';
import { $, asText, el, foreign, isObject, list, present, source, time } from './dom.js';
import { jobs } from './jobs.js';
import { showProblem } from './problems.js';

/** How many mails are shown at first. */
const FIRST = 6;
/** The mails by their job. */
const letters = new Map();
let loading = null;
let all = false;

export const letterOf = (jobId) => letters.get(jobId);

export function loadOutbox() {
  // One request at a time; each further call adds one after it.
  loading = (loading ?? Promise.resolve()).then(read);
  return loading;
}

export function showAll() {
  all = true;
  fold();
}

async function read() {
  try {
    const { data } = (await api('GET', '/dev/outbox')) ?? {};
    $('outbox-error').replaceChildren();
    // The server lists the newest first. Entries never change, so the shown ones stay, open or closed.
    for (const letter of list(data).filter(isObject).toReversed()) {
      if (letters.has(letter.job_id)) continue;
      letters.set(letter.job_id, letter);
      jobs.get(letter.job_id)?.describe(letter);
      $('outbox').prepend(view(letter));
    }
    fold();
  } catch (error) {
    // A deployment without a sandbox has no outbox.
    if (error.status === 404) fold();
    else showProblem($('outbox-error'), error);
  }
}

function fold() {
  $('outbox-empty').hidden = letters.size > 0;
  $('outbox-more').hidden = all || letters.size <= FIRST;
  [...$('outbox').children].forEach((node, i) => {
    node.hidden = !all && i >= FIRST;
  });
}

const view = (letter) =>
  el(
    'li',
    { class: 'card letter', 'data-test': 'outbox-entry', 'data-job-id': letter.job_id },
    el('h3', {}, foreign(letter.subject || '(no subject)')),
    el('p', {}, el('span', { class: 'muted' }, 'to '), foreign(list(letter.to).map(asText).join(', '))),
    el(
      'p',
      { class: 'fine' },
      present([
        letter.from && ['from ', foreign(letter.from), ' · '],
        foreign(letter.action ?? '', { class: 'mono' }),
        letter.written_at && [' · ', time(letter.written_at)],
      ]),
    ),
    el(
      'details',
      {},
      el('summary', {}, 'Raw ', foreign(letter.content_type ?? 'body')),
      source(letter.body, 'Raw body', { 'data-test': 'outbox-body' }),
    ),
  );
