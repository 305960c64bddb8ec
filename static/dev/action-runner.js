// The Dev UI: a prompt, the plan made of it, the jobs that carry it out, and the sandbox's outbox.
//
// What the API says is only ever set as text (`el` and `textContent`), never as markup, and no
// address of the API's is followed before it was looked at.

const EXAMPLES = [
  'Send email to john@example.com saying thanks for the meeting',
  'Use Outlook to send amy@contoso.com the subject "Report" saying the report is ready',
  'Email sam@example.com and dana@example.com saying lunch is at noon on Friday',
  'Send Maria a mail saying I am running late',
];
const PROVIDERS = { google: 'Google', microsoft: 'Microsoft' };
const ADDRESSES = ['to', 'cc', 'bcc', 'reply_to'];
const LABELS = { to: 'To', cc: 'Cc', bcc: 'Bcc', reply_to: 'Reply-To', subject: 'Subject', text: 'Text', html: 'HTML source' };
// A browser opens six connections to one server; the rest stay free for what the person does.
const POLLS_AT_ONCE = 3;
const POLL_SECONDS = 10;

// ---------------------------------------------------------------------------------------------
// Elements

const $ = (id) => document.getElementById(id);

/** Makes an element. `on*` props are listeners, other props attributes; strings become text. */
function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Text that came from elsewhere, kept apart from the direction of what stands around it. */
const foreign = (text, props = {}) =>
  el('span', { dir: 'auto', ...props, class: `foreign ${props.class ?? ''}`.trim() }, visible(asText(text)));

/** Characters that turn the order of what is read, as an address must not, are shown by name. */
const visible = (text) => text.replace(/[\u202a-\u202e\u2066-\u2069]/g,
  (c) => `⟨U+${c.charCodeAt(0).toString(16).toUpperCase()}⟩`);

const asText = (value) => (typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value, null, 2));
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
const list = (value) => (Array.isArray(value) ? value : value === undefined || value === null ? [] : [value]);
const count = (n, noun) => `${n} ${noun}${n === 1 ? '' : 's'}`;
/** A mail in a line. */
function summary({ subject, to }) {
  const names = list(to).map(asText);
  const who = names.length > 2 ? `${names[0]} and ${names.length - 1} more` : names.join(' and ');
  return [subject !== undefined && `“${asText(subject)}”`, who && `to ${who}`].filter(Boolean).join(' ');
}

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

function same(a, b) {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, i) => same(item, b[i]));
  if (isObject(a) && isObject(b)) {
    const keys = Object.keys(a);
    return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && same(a[key], b[key]));
  }
  return a === b;
}

function time(text) {
  const date = new Date(text);
  if (Number.isNaN(date.valueOf())) return foreign(text);
  const today = date.toDateString() === new Date().toDateString();
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: today ? undefined : 'medium', timeStyle: 'medium' });
  return el('time', { datetime: date.toISOString(), title: date.toISOString() }, format.format(date));
}

function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  const s = Math.round(ms / 1000);
  return s < 60 ? `${s} s` : s < 3600 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}

function pairs(rows, props = { class: 'pairs' }) {
  return el('dl', props, rows.filter((row) => row[1] !== undefined && row[1] !== null)
    .flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)]));
}

/** A longer text that scrolls, and that the keyboard can scroll. */
const source = (text, label, props = {}) =>
  el('pre', { tabindex: '0', role: 'group', 'aria-label': label, ...props }, asText(text));

/** Says something to those who listen to the page rather than look at it. */
function announce(text) {
  $('announcer').textContent = text;
}

/** A button whose work may take a while: it does nothing while that goes on, and keeps the focus. */
function button(label, work, props = {}) {
  return busyWhile(el('button', { type: 'button', ...props }, label), work);
}

function busyWhile(node, work) {
  node.addEventListener('click', async () => {
    if (node.getAttribute('aria-disabled') === 'true') return;
    node.setAttribute('aria-disabled', 'true');
    try {
      await work(node);
    } finally {
      node.removeAttribute('aria-disabled');
    }
  });
  return node;
}

// ---------------------------------------------------------------------------------------------
// The API

/** What went wrong with a request, in the words of RFC 9457. */
class Problem extends Error {
  constructor(fields) {
    super(asText(fields.title ?? 'The request failed'));
    this.fields = { status: 0, title: this.message, ...fields };
  }
  get status() { return this.fields.status; }
}

const key = {
  value: null,
  read() {
    // A browser may refuse storage; then the key lives as long as the page.
    try { this.value = sessionStorage.getItem('api-key'); } catch { /* stays null */ }
  },
  write(value) {
    this.value = value;
    try {
      if (value) sessionStorage.setItem('api-key', value);
      else sessionStorage.removeItem('api-key');
    } catch { /* see above */ }
  },
};

async function api(method, path, body, { timeout = 30_000 } = {}) {
  const headers = { accept: 'application/json, application/problem+json', 'content-type': 'application/json' };
  if (key.value) headers.authorization = `Bearer ${key.value}`;
  let response;
  let text;
  try {
    response = await fetch(path, {
      method, headers, cache: 'no-store', signal: AbortSignal.timeout(timeout),
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    text = await response.text();
  } catch (error) {
    throw new Problem(error.name === 'TimeoutError'
      ? { title: 'The server did not answer in time', detail: `There was no answer within ${duration(timeout)}.`, code: 'timeout' }
      : { title: 'The server cannot be reached', detail: 'Check that it is running and that this machine is connected, then try again.', code: 'network' });
  }
  let data = null;
  try { data = text === '' ? null : JSON.parse(text); } catch { data = undefined; }
  if (response.ok && data !== undefined) return data;
  if (response.status === 401) askForKey();
  const retryAfter = Number(response.headers.get('retry-after'));
  throw new Problem({
    title: response.ok ? 'The answer cannot be read' : `The server answered ${response.status}`,
    detail: response.ok || data === undefined ? 'The answer was not JSON.' : undefined,
    retry_after_ms: retryAfter > 0 ? retryAfter * 1000 : undefined,
    ...(isObject(data) ? data : {}),
    status: response.status,
  });
}

/** A problem as a person wants to read it. `dismiss` puts a button there that calls it. */
function problemView(error, dismiss) {
  // Anything but a Problem is a mistake of this page's own; it belongs into the console too.
  if (!(error instanceof Problem)) console.error(error);
  const p = error instanceof Problem ? error.fields : { title: 'This page made a mistake', detail: String(error) };
  const wait = p.retry_after_ms > 0 ? `Try again in ${duration(p.retry_after_ms)}.` : null;
  const provider = /^(?:https?:\/\/[^/]+)?\/oauth\/([a-z]+)(?:\/|$)/.exec(asText(p.connect_url))?.[1];
  const explained = /^\/problems\/[a-z0-9-]+$/.test(asText(p.type));
  const fine = [
    p.status ? `HTTP ${asText(p.status)}` : null,
    p.code ? asText(p.code) : null,
    p.correlation_id ? `correlation id ${asText(p.correlation_id)}` : null,
  ].filter(Boolean).join(' · ');
  return el('div', { class: 'notice bad', role: 'alert', tabindex: '-1', 'data-test': 'error', 'data-code': p.code && asText(p.code) },
    el('strong', {}, foreign(p.title)),
    p.detail && el('p', {}, foreign(p.detail)),
    list(p.errors).length > 0 && el('ul', {}, list(p.errors).map((entry) => el('li', {},
      entry?.pointer && foreign(entry.pointer, { class: 'mono' }), entry?.pointer && ': ', foreign(entry?.detail ?? entry)))),
    wait && el('p', {}, wait),
    fine && el('p', { class: 'fine' }, foreign(fine)),
    (provider || explained || dismiss) && el('div', { class: 'row' },
      provider && button(`Connect ${PROVIDERS[provider] ?? provider}`, () => connect(provider), { class: 'small' }),
      explained && el('a', { href: p.type, target: '_blank', rel: 'noopener' }, 'What this means'),
      dismiss && el('button', { type: 'button', class: 'small', onclick: dismiss }, 'Dismiss')));
}

/** Shows a problem in a slot, in place of an earlier one. `focus`: the person waits for this. */
function showProblem(slot, error, { focus = false } = {}) {
  const view = problemView(error, () => slot.replaceChildren());
  slot.replaceChildren(view);
  if (focus && $('key-form').hidden) view.focus();
}

function askForKey() {
  $('key-form').hidden = false;
  $('key-forget').hidden = !key.value;
  $('key-hint').textContent = key.value
    ? 'The server did not take this key. It may be mistyped, revoked or expired.'
    : 'This server wants a key. It stays in this tab and is forgotten when the tab closes.';
  $('key').setAttribute('aria-invalid', String(Boolean(key.value)));
  if (!$('key-form').contains(document.activeElement)) $('key').focus();
}

$('key-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const value = $('key').value.trim();
  if (!/^[\x21-\x7e]+$/.test(value)) {
    $('key-hint').textContent = 'A key is one word of letters, digits and underscores, such as orc_….';
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
  closeKeyForm();
  loadAll();
});

function closeKeyForm() {
  $('key').value = '';
  $('key').removeAttribute('aria-invalid');
  $('key-form').hidden = true;
}

// ---------------------------------------------------------------------------------------------
// Where mail goes

/** The catalogue by action id, as GET /actions last gave it. */
let catalogue = new Map();
let connecting = false;
const connectNotes = new Map();

async function loadProviders() {
  try {
    const answer = await api('GET', '/actions');
    // The list itself, or one under a name as every other list.
    const entries = [answer, answer?.data, answer?.actions].find(Array.isArray) ?? [];
    catalogue = new Map(entries.filter(isObject).map((entry) => [entry.id, entry]));
    renderProviders();
    plan?.refresh();
  } catch (error) {
    $('providers').replaceChildren(el('li', { class: 'provider' }, el('span', { class: 'dot' }),
      el('span', { class: 'muted' }, foreign(error.status === 401 ? 'Waiting for a key' : `Providers: ${error.message}`)),
      error.status !== 401 && button('Try again', loadProviders, { class: 'quiet small' })));
  }
}

function renderProviders() {
  const byProvider = new Map([...catalogue.values()].map((entry) => [entry.provider, entry]));
  const focused = document.activeElement?.dataset?.connect;
  $('providers').replaceChildren(...[...byProvider].map(([provider, { mode, address }]) => {
    const name = PROVIDERS[provider] ?? asText(provider);
    const where = mode === 'live'
      ? ['connected', address && ' as ', address && foreign(address)]
      : mode === 'sandbox' ? ['sandbox → outbox'] : ['not connected'];
    return el('li', { class: 'provider', 'data-provider': provider, 'data-mode': mode },
      el('span', { class: `dot ${mode === 'live' || mode === 'sandbox' ? mode : ''}`, 'aria-hidden': 'true' }),
      el('span', { class: 'where' }, el('strong', {}, foreign(name)), ' ', el('span', { class: 'muted' }, where)),
      mode !== 'live' && button(['Connect', el('span', { class: 'sr-only' }, ` ${name}`)], () => connect(provider),
        { class: mode === 'sandbox' ? 'quiet small' : 'small', 'data-connect': provider }),
      connectNotes.has(provider) && el('span', { class: 'note' }, connectNotes.get(provider)()));
  }));
  if (focused) $('providers').querySelector(`[data-connect="${CSS.escape(focused)}"]`)?.focus();
}

async function connect(provider) {
  connectNotes.delete(provider);
  const name = PROVIDERS[provider] ?? provider;
  try {
    const { authorization_url: url } = (await api('POST', `/oauth/${encodeURIComponent(provider)}/start`, {})) ?? {};
    const target = URL.canParse(url) ? new URL(url) : null;
    if (!target || !['https:', 'http:'].includes(target.protocol)) {
      throw new Problem({ title: 'The answer holds no address to go to' });
    }
    connecting = true;
    const opened = window.open(target.href, '_blank');
    if (opened) opened.opener = null;
    const link = () => el('a', { href: target.href, target: '_blank', rel: 'noopener' }, `Continue at ${name}`);
    connectNotes.set(provider, () => link());
    announce(`Continue at ${name}, in the other tab.`);
  } catch (error) {
    const upper = provider.toUpperCase();
    const note = error.status === 404 || error.status === 405
      ? `Connecting comes from environment variables here: set ${upper}_CLIENT_ID and ${upper}_CLIENT_SECRET, or ${upper}_ACCESS_TOKEN, and start the server again.`
      : null;
    connectNotes.set(provider, () => (note ? el('span', { class: 'muted' }, note) : problemView(error)));
    if (note) announce(note);
  }
  renderProviders();
}

// A person who comes back from the provider's page wants to see what came of it.
window.addEventListener('focus', () => {
  if (!connecting) return;
  connecting = false;
  connectNotes.clear();
  loadProviders();
});

// ---------------------------------------------------------------------------------------------
// Plan

/** The plan on show, or null. */
let plan = null;
let planning = false;

const timezone = () => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  // Some browsers do not know, and say so with a name that is no zone.
  return zone && zone !== 'Etc/Unknown' ? zone : undefined;
};

async function makePlan(thenExecute) {
  const prompt = $('prompt').value.trim();
  $('plan-error').replaceChildren();
  if (prompt === '') {
    $('plan-error').replaceChildren(el('p', { class: 'notice bad', role: 'alert', 'data-test': 'error' }, 'Write what should be done first.'));
    $('prompt').setAttribute('aria-invalid', 'true');
    $('prompt').focus();
    return;
  }
  if (planning) return;
  planning = true;
  // An earlier plan must not be taken for the one that is being made.
  plan = null;
  $('plan-slot').replaceChildren();
  const began = performance.now();
  const tick = () => { $('planning-text').textContent = `Planning… ${Math.floor((performance.now() - began) / 1000)} s`; };
  tick();
  const ticking = setInterval(tick, 1000);
  $('planning').hidden = false;
  announce('Planning.');
  try {
    const answer = await api('POST', '/ai/plan2', { prompt, timezone: timezone() }, { timeout: 120_000 });
    if (!isObject(answer?.plan) || !Array.isArray(answer.plan.actions)) throw new Problem({ title: 'The answer holds no plan' });
    plan = new PlanView(answer.plan, answer.meta ?? {});
    $('plan-slot').replaceChildren(plan.node);
    const { actions, questions, notes } = plan;
    if (thenExecute && actions.length > 0 && questions.length === 0 && !notes) {
      await plan.execute();
    } else {
      announce(`Plan ready: ${count(actions.length, 'action')}, ${count(questions.length, 'question')}.${
        thenExecute && actions.length > 0 ? ' Nothing was executed: look at the plan first.' : ''}`);
      plan.heading.focus();
    }
  } catch (error) {
    announce('');
    showProblem($('plan-error'), error, { focus: true });
  } finally {
    planning = false;
    clearInterval(ticking);
    $('planning').hidden = true;
  }
}

class PlanView {
  constructor(planned, meta) {
    this.id = planned.plan_id;
    this.actions = planned.actions;
    this.questions = list(planned.questions);
    this.notes = planned.notes;
    this.calls = this.actions.map((action, index) => new CallView(action, index, () => this.refresh()));

    const intent = asText(planned.intent ?? '').replaceAll('_', ' ');
    const facts = [
      typeof planned.confidence === 'number' && `${Math.round(planned.confidence * 100)} % sure`,
      meta.model && asText(meta.model),
      typeof meta.duration === 'number' && duration(meta.duration * 1000),
      typeof meta.tokens_in === 'number' && typeof meta.tokens_out === 'number'
        && `${meta.tokens_in} tokens in, ${meta.tokens_out} out`,
    ].filter(Boolean).join(' · ');

    this.heading = el('h2', { tabindex: '-1', id: 'plan-title' }, 'Plan', intent && intent !== 'none' && [': ', foreign(intent)]);
    this.footHint = el('p', { class: 'hint' });
    this.executeButton = button('Execute', () => this.execute(), { class: 'primary', 'data-test': 'execute' });
    this.foot = el('div', { class: 'foot' }, this.executeButton, this.footHint);
    this.problem = el('div');
    this.node = el('section', { class: 'card plan', 'data-test': 'plan-view', 'aria-labelledby': 'plan-title' },
      el('div', { class: 'plan-head' }, this.heading, el('p', { class: 'fine' }, foreign(facts))),
      this.questions.length > 0 && el('div', { class: 'notice ask' },
        el('h3', {}, this.questions.length === 1 ? 'One question first' : 'Some questions first'),
        el('ul', { 'data-test': 'questions' }, this.questions.map((question) => el('li', {}, foreign(question)))),
        el('div', { class: 'row' },
          el('button', { type: 'button', class: 'small', onclick: answerInPrompt }, 'Answer in the prompt'))),
      this.notes && el('div', { class: 'notice', 'data-test': 'notes' }, el('p', {}, foreign(this.notes))),
      this.calls.map((call) => call.node),
      this.actions.length > 0 ? this.foot : el('p', { class: 'muted' }, 'There is nothing to execute in this plan.'),
      this.problem);
    this.refresh();
  }

  get edited() { return this.calls.some((call) => call.edited); }

  /** Brings what depends on edits, the catalogue and the plan's fate up to date. */
  refresh() {
    for (const call of this.calls) call.refresh();
    const modes = this.actions.map((action) => catalogue.get(action.action)?.mode);
    this.executeButton.textContent = this.edited ? 'Execute as edited' : 'Execute';
    this.footHint.textContent = modes.includes('live') ? 'Sends real mail.'
      : modes.every((mode) => mode === 'sandbox') ? 'Nothing is sent: sandbox mail goes to the outbox.' : '';
  }

  async execute() {
    if (this.executing || this.done) return;
    this.executing = true;
    this.problem.replaceChildren();
    announce('Executing.');
    // The ids of the actions stay what they are, edited or not: should an earlier try have got
    // through without our knowing, the server refuses a second mail instead of sending it.
    const body = this.edited
      ? { actions: this.calls.map((call) => call.request()), actor_id: 'dev-ui' }
      : { plan_id: this.id };
    try {
      const answer = await api('POST', '/ai/execute', body, { timeout: 60_000 });
      const accepted = list(answer?.jobs).length > 0 ? answer.jobs : list(answer?.job_ids).map((job_id) => ({ job_id }));
      this.done = true;
      for (const call of this.calls) call.close();
      this.foot.replaceChildren(el('p', { class: 'hint' },
        `Accepted as ${count(accepted.length, 'job')}${accepted.some((job) => job.replayed) ? ', already known: nothing is done twice' : ''}.`));
      announce(`Accepted as ${count(accepted.length, 'job')}.`);
      // Backwards, for each goes on top: the first action's job ends up first.
      accepted.map((job, i) => [job, this.calls[i]]).reverse()
        .forEach(([job, call]) => jobs.add({ ...call?.about(), ...job, status: job.status ?? 'pending' }, { summary: call && summary(call.params), onTop: true }));
      if (accepted.length > 0) jobs.get(accepted[0].job_id)?.heading.focus();
    } catch (error) {
      announce('');
      showProblem(this.problem, error, { focus: true });
    } finally {
      this.executing = false;
    }
  }
}

/** One action of a plan: shown, previewed, edited. */
class CallView {
  constructor(action, index, changed) {
    this.original = action;
    this.params = structuredClone(isObject(action.params) ? action.params : {});
    this.changed = changed;
    const name = PROVIDERS[action.provider] ?? asText(action.provider);
    this.badges = el('span', { class: 'row' });
    this.shown = el('div', { class: 'stack' });
    this.editor = el('div', { class: 'fields', hidden: true });
    this.previewSlot = el('div', { class: 'preview', hidden: true });
    this.previewButton = button('Preview', () => this.togglePreview(), { class: 'small', 'data-test': 'preview', 'aria-expanded': 'false' });
    this.editButton = el('button', { type: 'button', class: 'small', 'data-test': 'edit', 'aria-expanded': 'false', onclick: () => this.toggleEditor() }, 'Edit');
    this.undoButton = el('button', { type: 'button', class: 'small', hidden: true, onclick: () => this.undo() }, 'Undo changes');
    this.buttons = el('div', { class: 'row' }, this.previewButton, this.editButton, this.undoButton);
    this.node = el('article', { class: 'call', 'data-test': 'action', 'aria-label': `Action ${index + 1}: ${asText(action.action)}` },
      el('div', { class: 'call-head' }, el('h3', {}, foreign(name)), foreign(action.action, { class: 'mono' }), this.badges),
      this.shown, this.editor, this.buttons, this.previewSlot,
      el('p', { class: 'fine' }, 'Request id ', foreign(action.client_request_id ?? 'none', { class: 'mono' })));
  }

  get edited() { return !same(this.params, isObject(this.original.params) ? this.original.params : {}); }

  request() { return { ...this.original, params: this.params }; }

  about() {
    const { provider, action, client_request_id } = this.original;
    return { provider, action, client_request_id };
  }

  refresh() {
    const entry = catalogue.get(this.original.action);
    const mode = { live: 'Live', sandbox: 'Sandbox', not_connected: 'Not connected' }[entry?.mode];
    this.badges.replaceChildren(...[
      mode && el('span', { class: `badge ${entry.mode === 'not_connected' ? 'error' : entry.mode}` }, mode),
      entry?.allowed === false && el('span', { class: 'badge error' }, 'Not allowed'),
      this.edited && el('span', { class: 'badge edited' }, 'Edited'),
    ].filter(Boolean));
    this.undoButton.hidden = !this.edited || this.closed;

    const { params } = this;
    const rows = [['From', entry?.address ? foreign(entry.address) : undefined]];
    for (const name of ADDRESSES) {
      if (name in params) rows.push([LABELS[name], list(params[name]).map((address) => el('div', {}, foreign(address)))]);
    }
    if ('subject' in params) rows.push([LABELS.subject, foreign(params.subject, { class: 'subject' })]);
    for (const [name, value] of Object.entries(params)) {
      if (!(name in LABELS)) rows.push([foreign(name), foreign(value)]);
    }
    const open = this.shown.querySelector('details')?.open;
    this.shown.replaceChildren(pairs(rows),
      'text' in params ? el('div', { class: 'sheet', dir: 'auto', tabindex: '0', role: 'group', 'aria-label': 'Text' }, visible(asText(params.text))) : '',
      'html' in params ? el('details', { open }, el('summary', {}, LABELS.html), source(params.html, LABELS.html)) : '');
  }

  toggleEditor(open = this.editor.hidden) {
    if (open) this.renderEditor();
    this.editor.hidden = !open;
    this.shown.hidden = open;
    this.editButton.textContent = open ? 'Done' : 'Edit';
    this.editButton.setAttribute('aria-expanded', String(open));
    if (open) this.editor.querySelector('textarea, input').focus();
  }

  renderEditor() {
    const names = Object.keys(LABELS).filter((name) => name in this.params || ['to', 'cc', 'subject', 'text'].includes(name));
    const more = Object.keys(this.params).filter((name) => !(name in LABELS) && typeof this.params[name] === 'string');
    this.editor.replaceChildren(...[...names, ...more].map((name) => {
      const id = `edit-${crypto.getRandomValues(new Uint32Array(1))[0]}`;
      const box = name === 'subject' ? el('input', { id, dir: 'auto' })
        : el('textarea', { id, dir: 'auto', rows: name === 'text' || name === 'html' ? '5' : '1', class: name === 'text' || name === 'html' ? 'text' : undefined, spellcheck: String(name === 'text') });
      if (ADDRESSES.includes(name)) box.classList.add('addresses');
      box.dataset.test = `edit-${name}`;
      box.value = editable(this.params[name]);
      box.addEventListener('input', () => this.set(name, box.value));
      return el('div', { class: 'field' },
        el('label', { for: id }, LABELS[name] ?? foreign(name),
          ADDRESSES.includes(name) && el('span', { class: 'hint' }, ', one address a line')),
        box);
    }));
  }

  set(name, value) {
    const before = isObject(this.original.params) ? this.original.params[name] : undefined;
    const lines = value.split('\n').map((line) => line.trim()).filter(Boolean);
    let next = ADDRESSES.includes(name) ? (lines.length > 1 ? lines : lines[0]) : value;
    // What reads as before is as before, to the letter.
    if (value === editable(before)) next = before;
    if (next === undefined || (next === '' && name === 'html')) delete this.params[name];
    else this.params[name] = next;
    this.closePreview();
    this.changed();
  }

  undo() {
    this.params = structuredClone(isObject(this.original.params) ? this.original.params : {});
    this.toggleEditor(false);
    this.closePreview();
    this.changed();
    this.editButton.focus();
  }

  /** After it was executed there is nothing more to change. */
  close() {
    this.closed = true;
    this.toggleEditor(false);
    this.editButton.hidden = true;
    this.refresh();
  }

  async togglePreview() {
    if (!this.previewSlot.hidden) {
      this.closePreview();
      return;
    }
    const { params } = this;
    const asked = JSON.stringify(params);
    try {
      const shown = await api('POST', '/actions/preview', { action: this.original.action, params });
      if (asked !== JSON.stringify(this.params)) return;
      this.previewSlot.replaceChildren(
        pairs([
          ['From', shown.from ? foreign(shown.from) : undefined],
          ['Type', foreign(shown.content_type ?? '')],
          ['SHA-256', foreign(shown.sha256 ?? '', { class: 'mono' })],
        ], { class: 'pairs tight' }),
        ...list(shown.warnings).map((warning) => el('p', { class: 'notice' }, foreign(warning))),
        source(shown.body, 'Preview', { 'data-test': 'preview-body' }));
      announce('Preview shown.');
    } catch (error) {
      showProblem(this.previewSlot, error);
    }
    this.previewSlot.hidden = false;
    this.previewButton.textContent = 'Hide preview';
    this.previewButton.setAttribute('aria-expanded', 'true');
  }

  closePreview() {
    this.previewSlot.hidden = true;
    this.previewSlot.replaceChildren();
    this.previewButton.textContent = 'Preview';
    this.previewButton.setAttribute('aria-expanded', 'false');
  }
}

/** A param as a text box holds it. */
const editable = (value) => list(value).map(asText).join('\n').replace(/\r\n?/g, '\n');

function answerInPrompt() {
  const box = $('prompt');
  if (box.value !== '' && !box.value.endsWith('\n')) box.value += '\n';
  box.focus();
  box.setSelectionRange(box.value.length, box.value.length);
}

// ---------------------------------------------------------------------------------------------
// Jobs

const ended = (job) => job.status === 'completed' || job.status === 'error';

class JobView {
  constructor(job) {
    this.seen = Date.now();
    this.badge = el('span', { class: 'badge' });
    this.heading = el('h3', { tabindex: '-1' });
    this.when = el('span', { class: 'when' });
    this.about = el('p', { class: 'job-about muted', hidden: true });
    this.progress = el('div', { class: 'progress', role: 'progressbar', 'aria-label': 'Under way' });
    this.outcome = el('div', { class: 'stack' });
    this.buttons = el('div', { class: 'row' });
    this.trouble = el('div');
    this.record = el('div');
    this.node = el('li', { class: 'card job', 'data-test': 'job' },
      el('div', { class: 'job-head' }, this.badge, this.heading, this.when),
      this.about, this.progress, this.outcome, this.buttons, this.trouble,
      el('details', {}, el('summary', {}, 'Record'), this.record));
    this.update(job);
  }

  describe(text) {
    this.about.replaceChildren(foreign(text));
    this.about.hidden = text === '';
  }

  update(job) {
    if (!isObject(job)) return;
    this.job = { ...this.job, ...job };
    const { job: it } = this;
    const isEnded = ended(it);
    const cancelled = it.status === 'error' && it.error?.code === 'cancelled';
    const unknown = it.error?.code === 'outcome-unknown' && it.status === 'error';
    this.node.dataset.status = it.status;
    this.node.dataset.jobId = it.job_id;
    this.badge.className = `badge ${unknown ? 'unknown' : cancelled ? 'cancelled' : it.status}`;
    this.badge.textContent = unknown ? 'Outcome unknown'
      : { pending: 'Pending', running: 'Running', completed: 'Completed', error: cancelled ? 'Cancelled' : 'Error' }[it.status] ?? asText(it.status);
    this.heading.replaceChildren(foreign(it.action ?? 'Job'));
    this.progress.hidden = isEnded;
    this.progress.className = `progress ${it.status === 'pending' ? 'pending' : ''}`;
    this.progress.setAttribute('aria-valuetext', it.status === 'running' ? 'Running' : 'Pending');
    this.tick();

    this.outcome.replaceChildren(...[
      it.replayed && el('p', { class: 'hint' }, 'This request was known already; nothing is done twice.'),
      it.status === 'completed' && this.resultView(it.result),
      it.status === 'error' && it.error && el('div', { class: `notice ${unknown ? '' : cancelled ? 'calm' : 'bad'}`, 'data-test': 'job-error' },
        el('strong', {}, foreign(it.error.message ?? it.error.code)),
        it.error.remediation && el('p', {}, foreign(it.error.remediation)),
        el('p', { class: 'fine mono' }, foreign(it.error.code))),
    ].filter(Boolean));
    this.outcome.hidden = this.outcome.childElementCount === 0;
    this.renderButtons(unknown);

    const stamp = (value) => (value ? time(value) : undefined);
    this.record.replaceChildren(pairs([
      ['Job id', foreign(it.job_id, { class: 'mono' })],
      ['Request id', it.client_request_id && foreign(it.client_request_id, { class: 'mono' })],
      ['Provider', it.provider && foreign(it.provider)],
      ['Attempts', typeof it.attempts === 'number' ? String(it.attempts) : undefined],
      ['Created', stamp(it.created_at)],
      ['Started', stamp(it.started_at)],
      ['Finished', stamp(it.finished_at)],
    ], { class: 'pairs tight' }));
  }

  resultView(result) {
    if (!isObject(result)) return result === null || result === undefined ? null : el('p', {}, foreign(result));
    const rows = Object.entries(result).filter(([, value]) => value !== null)
      .map(([name, value]) => [foreign(name.replaceAll('_', ' ')), foreign(value, { class: typeof value === 'string' ? 'mono' : '' })]);
    return el('div', { class: 'stack', 'data-test': 'job-result' },
      result.presumed === true && el('p', { class: 'notice' }, 'Presumed sent: the provider’s answer was lost, but the draft is gone as only a send leaves it.'),
      rows.length > 0 && pairs(rows, { class: 'pairs tight' }));
  }

  renderButtons(unknown) {
    const { status, error } = this.job;
    const wanted = [
      status === 'pending' && ['Cancel', 'cancel', {}],
      status === 'error' && error?.retriable === true && ['Retry', 'retry', {}],
      unknown && ['It was sent', 'resolve', { outcome: 'sent' }],
      unknown && ['It was not sent', 'resolve', { outcome: 'not_sent' }],
    ].filter(Boolean);
    const shape = JSON.stringify(wanted);
    if (shape === this.buttonShape) return;
    this.buttonShape = shape;
    const hadFocus = this.buttons.contains(document.activeElement);
    this.buttons.replaceChildren(...wanted.map(([label, what, body]) =>
      button(label, () => this.act(what, body), { class: 'small', 'data-test': `job-${what}`, 'data-outcome': body.outcome })));
    this.buttons.hidden = wanted.length === 0;
    if (hadFocus) this.heading.focus();
  }

  async act(what, body) {
    const path = `/ai/jobs/${encodeURIComponent(this.job.job_id)}`;
    this.trouble.replaceChildren();
    try {
      await api('POST', `${path}/${what}`, body);
    } catch (error) {
      showProblem(this.trouble, error, { focus: true });
    }
    // Whatever came of it: what the ledger says now is what counts.
    try {
      this.update(await api('GET', path));
      jobs.announceEnd(this);
    } catch { /* the poll will tell */ }
    jobs.watch(this);
  }

  tick() {
    const { status, created_at, duration_ms } = this.job;
    if (ended({ status })) {
      this.when.replaceChildren(created_at ? time(created_at) : '',
        typeof duration_ms === 'number' ? ` · ${duration(duration_ms)}` : '');
    } else {
      const since = Date.parse(created_at ?? '');
      const elapsed = Math.max(0, Date.now() - (Number.isNaN(since) ? this.seen : since));
      this.when.textContent = elapsed < 1000 ? 'just now' : duration(Math.floor(elapsed / 1000) * 1000);
    }
  }
}

const jobs = {
  views: new Map(),
  queue: [],
  polling: 0,
  cursor: null,

  get(id) { return this.views.get(id); },

  add(job, { summary: about = letters.get(job.job_id), onTop = false } = {}) {
    let view = this.views.get(job.job_id);
    if (view) {
      view.update(job);
    } else {
      view = new JobView(job);
      this.views.set(job.job_id, view);
      // Newest first. A job that was added here stands where it was put.
      const after = onTop ? $('jobs').firstElementChild : [...$('jobs').children].find((node) => {
        const other = this.views.get(node.dataset.jobId)?.job.created_at;
        return other && job.created_at && Date.parse(other) < Date.parse(job.created_at);
      });
      $('jobs').insertBefore(view.node, after ?? null);
    }
    if (about) view.describe(about);
    if (onTop && $('jobs').firstElementChild !== view.node) $('jobs').prepend(view.node);
    $('jobs-empty').hidden = true;
    this.watch(view);
    return view;
  },

  /** Follows a job until it ends. */
  watch(view) {
    if (view.watched || ended(view.job)) return;
    view.watched = true;
    view.wait = 0;
    this.queue.push(view);
    this.pump();
  },

  pump() {
    while (this.polling < POLLS_AT_ONCE && this.queue.length > 0) {
      this.polling += 1;
      const view = this.queue.shift();
      this.poll(view).catch((error) => showProblem(view.trouble, error)).finally(() => {
        this.polling -= 1;
        this.pump();
      });
    }
  },

  async poll(view) {
    const open = [...this.views.values()].filter((other) => other.watched).length;
    const seconds = open <= POLLS_AT_ONCE ? POLL_SECONDS : 1;
    const began = performance.now();
    try {
      const path = `/ai/jobs/${encodeURIComponent(view.job.job_id)}?wait=${seconds}`;
      view.update(await api('GET', path, undefined, { timeout: (seconds + 20) * 1000 }));
      if (view.failures > 0) view.trouble.replaceChildren();
      view.failures = 0;
      if (ended(view.job)) {
        view.watched = false;
        this.announceEnd(view);
        return;
      }
      // A server that answers at once is not to be asked without pause.
      if (performance.now() - began < 500) await sleep(700);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const passing = error.status === 0 || error.status === 429 || error.status >= 500;
      if (!passing) {
        view.watched = false;
        view.progress.hidden = true;
        if (error.status !== 401) showProblem(view.trouble, error);
        return;
      }
      view.failures = (view.failures ?? 0) + 1;
      view.trouble.replaceChildren(el('p', { class: 'notice', 'data-test': 'job-waiting' },
        el('span', {}, foreign(error.message), '. Still trying.')));
      await sleep(error.fields.retry_after_ms ?? Math.min(15_000, 1000 * 2 ** Math.min(view.failures, 4)));
    }
    this.queue.push(view);
  },

  announceEnd(view) {
    if (!ended(view.job)) return;
    announce(`${asText(view.job.action ?? 'The job')}: ${view.badge.textContent}.`);
    loadOutbox();
  },

  async load(older = false) {
    const query = older && this.cursor ? `&cursor=${encodeURIComponent(this.cursor)}` : '';
    try {
      const page = await api('GET', `/ai/jobs?limit=20${query}`);
      $('jobs-error').replaceChildren();
      for (const job of list(page?.data)) this.add(job);
      if (older || this.cursor === null) {
        this.cursor = page?.next_cursor ?? null;
        $('jobs-more').hidden = !(page?.has_more && this.cursor);
      }
      $('jobs-empty').hidden = this.views.size > 0;
      // Those that stopped at a lost connection or a missing key go on.
      for (const view of this.views.values()) {
        if (!ended(view.job)) view.progress.hidden = false;
        this.watch(view);
      }
    } catch (error) {
      if (error.status !== 401) showProblem($('jobs-error'), error);
    }
  },
};

setInterval(() => {
  for (const view of jobs.views.values()) if (!ended(view.job)) view.tick();
}, 1000);

// ---------------------------------------------------------------------------------------------
// Outbox

/** What is in the outbox, by job: each mail in a line. */
const letters = new Map();
let outboxLoading = null;

function loadOutbox() {
  // One at a time; whoever asks meanwhile gets one more after it.
  outboxLoading = (outboxLoading ?? Promise.resolve()).then(readOutbox);
  return outboxLoading;
}

async function readOutbox() {
  try {
    const { data } = (await api('GET', '/dev/outbox')) ?? {};
    $('outbox-error').replaceChildren();
    // Newest first from the server; entries never change, so those on show stay, open or closed.
    for (const letter of list(data).filter(isObject).toReversed()) {
      if (letters.has(letter.job_id)) continue;
      letters.set(letter.job_id, summary(letter));
      const job = jobs.get(letter.job_id);
      if (job?.about.hidden) job.describe(letters.get(letter.job_id));
      $('outbox').prepend(el('li', { class: 'card letter', 'data-test': 'outbox-entry', 'data-job-id': letter.job_id },
        el('h3', {}, foreign(letter.subject || '(no subject)')),
        el('p', {}, el('span', { class: 'muted' }, 'to '), foreign(list(letter.to).map(asText).join(', '))),
        el('p', { class: 'fine' }, letter.from && ['from ', foreign(letter.from), ' · '],
          foreign(letter.action ?? '', { class: 'mono' }), letter.written_at && [' · ', time(letter.written_at)]),
        el('details', {}, el('summary', {}, 'Raw ', foreign(letter.content_type ?? 'body')),
          source(letter.body, 'Raw body', { 'data-test': 'outbox-body' }))));
    }
    $('outbox-empty').hidden = letters.size > 0;
  } catch (error) {
    // A deployment without a sandbox has no outbox; that is no trouble.
    if (error.status === 404) $('outbox-empty').hidden = false;
    else if (error.status !== 401) showProblem($('outbox-error'), error);
  }
}

// ---------------------------------------------------------------------------------------------
// Start

function loadAll() {
  return Promise.all([loadProviders(), jobs.load(), loadOutbox()]);
}

$('examples').append(...EXAMPLES.map((text) => el('li', {}, el('button', {
  type: 'button',
  onclick: () => {
    $('prompt').value = text;
    $('prompt').dispatchEvent(new Event('input'));
    $('prompt').focus();
  },
}, text))));

$('prompt').addEventListener('input', () => {
  if ($('prompt').getAttribute('aria-invalid')) $('plan-error').replaceChildren();
  $('prompt').removeAttribute('aria-invalid');
});
$('prompt').addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    $('plan').click();
  }
});
$('prompt-hint').textContent = ['Ctrl+Enter plans.', timezone() && `Times are meant in ${timezone()}.`].filter(Boolean).join(' ');

busyWhile($('plan'), () => makePlan(false));
busyWhile($('plan-execute'), () => makePlan(true));
busyWhile($('jobs-refresh'), () => jobs.load());
busyWhile($('jobs-more'), () => jobs.load(true));
busyWhile($('outbox-refresh'), loadOutbox);

key.read();
loadAll();
