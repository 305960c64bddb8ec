// The sandbox's outbox: what would have gone to a provider.

import { pageMode } from './accounts.js';
import { api } from './api.js';
import { $, asText, el, foreign, isObject, list, present, rawView, time } from './dom.js';
import { isLost } from './health.js';
import { fieldsOf, paramsView } from './params.js';
import { showProblem } from './problems.js';

/** How many entries are shown until a person asks for more. */
const FIRST = 4;
/** Every entry that was read, by its job. */
const entries = new Map();
let loading = null;
let all = false;

export function loadOutbox() {
  // One request at a time; a call meanwhile makes one more after it.
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
    // The server lists the newest first. Entries never change, so those on show stay, open or closed.
    for (const entry of list(data).filter(isObject).toReversed()) {
      if (entries.has(entry.job_id)) continue;
      entries.set(entry.job_id, entry);
      $('outbox').prepend(view(entry));
    }
    fold();
  } catch (error) {
    // A deployment without a sandbox has no outbox, which is no error.
    if (error.status === 404) fold();
    else if (!isLost()) showProblem($('outbox-error'), error);
  }
}

function fold() {
  // Where everything is real there is no sandbox to show.
  $('outbox').closest('section').hidden = entries.size === 0 && pageMode() === 'live';
  $('outbox-empty').hidden = entries.size > 0;
  $('outbox-more').hidden = all || entries.size <= FIRST;
  [...$('outbox').children].forEach((node, i) => {
    node.hidden = !all && i >= FIRST;
  });
}

/** The fields that title and recipients do not tell. */
function rest({ action, params, title }) {
  const used = fieldsOf(action, isObject(params) ? params : {}).filter(({ value }) => value !== undefined);
  const addresses = used.filter(({ kind }) => kind === 'addresses');
  return used.filter((field) => field.value !== title && (addresses.length > 1 || field !== addresses[0]));
}

const view = (entry) =>
  el(
    'li',
    { class: 'card entry', 'data-test': 'outbox-entry', 'data-job-id': entry.job_id },
    el('h3', {}, foreign(entry.title || (entry.unreadable ? '(cannot be read)' : '(no title)'))),
    list(entry.recipients).length > 0 &&
      el('p', {}, el('span', { class: 'muted' }, 'to '), foreign(list(entry.recipients).map(asText).join(', '))),
    el(
      'p',
      { class: 'fine' },
      present([
        entry.effect === 'draft' && 'draft · ',
        entry.from && ['from ', foreign(entry.from), ' · '],
        foreign(entry.action ?? '', { class: 'mono' }),
        entry.written_at && [' · ', time(entry.written_at)],
      ]),
    ),
    paramsView([], rest(entry)),
    rawView(entry.content_type ?? 'body', entry.body, { 'data-test': 'outbox-body' }),
  );
