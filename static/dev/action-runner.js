// The page: a prompt, its plan, the jobs, the outbox, and the accounts.

import './agents.js';
import './book.js';
import { loadAccounts } from './accounts.js';
import { key } from './api.js';
import { $, bus, busyWhile, el } from './dom.js';
import { jobs } from './jobs.js';
import { loadMetrics, startMetrics } from './metrics.js';
import { loadOutbox, showAll } from './outbox.js';
import { makePlan, refreshFoot, refreshPlan, stopPlanning, timezone } from './plan.js';
import './providers.js';

const EXAMPLES = [
  'Send email to john@example.com saying thanks for the meeting',
  'Use Outlook to tell amy@contoso.com that the report is ready',
  'Email sam@example.com and dana@example.com saying lunch is at noon',
  'Send Maria a mail saying I am running late',
];

const loadAll = async () => {
  // What an entry of the outbox holds is told by the catalogue.
  await Promise.all([loadAccounts().then(loadOutbox), jobs.load(), loadMetrics()]);
  await jobs.follow();
};

// ---------------------------------------------------------------------------------------------
// The key

function askForKey({ refused = Boolean(key.value) } = {}) {
  $('key-form').hidden = false;
  $('key-forget').hidden = !key.value;
  $('key-hint').textContent = refused
    ? 'The server rejected this key. It may be mistyped, revoked or expired.'
    : 'Enter an API key (orchestrator keys create makes one). It stays in this tab and is forgotten when you close the tab.';
  $('key-hint').classList.toggle('wrong', refused);
  if (refused) $('key').setAttribute('aria-invalid', 'true');
  if (!$('key-form').contains(document.activeElement)) $('key').focus();
}

function closeKeyForm() {
  $('key').value = '';
  $('key').removeAttribute('aria-invalid');
  $('key-form').hidden = true;
}

bus.addEventListener('key-wanted', () => askForKey());
$('key-open').addEventListener('click', () => ($('key-form').hidden ? askForKey({ refused: false }) : closeKeyForm()));
$('key-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const value = $('key').value.trim();
  if (!/^[\x21-\x7e]+$/.test(value)) {
    $('key-hint').textContent = 'A key has no spaces and no accented letters. API keys begin with orc_.';
    $('key').setAttribute('aria-invalid', 'true');
    $('key').focus();
    return;
  }
  key.write(value);
  closeKeyForm();
  $('plan-error').replaceChildren();
  $('prompt').focus();
  loadAll();
});
$('key-forget').addEventListener('click', () => {
  key.write(null);
  // The next person must not see what this key showed.
  location.reload();
});

// ---------------------------------------------------------------------------------------------
// Events between the parts

bus.addEventListener('catalogue', refreshPlan);
bus.addEventListener('planned', () => {
  // The plan needs the room more than the examples and hints.
  $('examples-box').open = false;
  $('composer').classList.add('planned');
  loadMetrics();
});
bus.addEventListener('back', () => {
  $('plan-error').replaceChildren();
  loadAll();
});
bus.addEventListener('job-ended', ({ detail: view }) => {
  loadOutbox();
  loadMetrics();
  // The account may have been disconnected, or its consent may have ended.
  if (['connection-required', 'reauth-required'].includes(view.job.error?.code)) loadAccounts();
});

// ---------------------------------------------------------------------------------------------
// The prompt

$('examples').append(
  ...EXAMPLES.map((text) =>
    el(
      'li',
      {},
      el(
        'button',
        {
          type: 'button',
          'data-test': 'example',
          onclick: () => {
            $('prompt').value = text;
            $('prompt').dispatchEvent(new Event('input'));
            $('prompt').focus();
          },
        },
        text,
      ),
    ),
  ),
);

for (const box of [$('prompt'), $('context')]) {
  box.addEventListener('input', () => {
    if (box.getAttribute('aria-invalid')) $('plan-error').replaceChildren();
    box.removeAttribute('aria-invalid');
  });
  box.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    $(event.shiftKey ? 'plan-execute' : 'plan').click();
  });
}
$('prompt').addEventListener('input', refreshFoot);
$('prompt-hint').textContent = timezone() ? `Times are in ${timezone()}.` : '';

busyWhile($('plan'), () => makePlan(false));
busyWhile($('plan-execute'), () => makePlan(true));
$('planning-cancel').addEventListener('click', stopPlanning);
$('outbox-more').addEventListener('click', () => {
  showAll();
  $('outbox-title').focus();
});

jobs.start();
startMetrics();
setInterval(refreshFoot, 5000);
key.read();
loadAll();
