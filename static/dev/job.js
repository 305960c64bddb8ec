// One job: a row with its subject, its recipients, its state and its time, and below it what a person may do and read.

import { accountName, catalogue, providerName } from './accounts.js';
import { api } from './api.js';
import {
  announce,
  asText,
  button,
  copyButton,
  count,
  duration,
  el,
  foreign,
  isObject,
  list,
  pairs,
  present,
  rawView,
  same,
  shortTime,
  tell,
  time,
  visible,
} from './dom.js';
import { fieldsOf, paramsView, sourcesOf } from './params.js';
import { connectButton, problemLink, showProblem } from './problems.js';

const WAITS = {
  approval: 'an approval',
  time: 'its time',
  'rate-limit': 'the rate limit',
  provider: 'an answer',
  reauth: 'the account to be connected again',
  gate: 'the server’s store of permissions',
};
/** Why a job is held. */
const BECAUSE = {
  agent: 'An agent asked for it.',
  derived: 'A recipient was looked up, and nobody has confirmed it.',
  external: 'A recipient is outside your own domains.',
  all: 'Everything is approved first on this server.',
};
/** What a person may do with a held job, and what it is called afterwards. */
export const DECISIONS = { approve: ['Approve', 'Approved'], reject: ['Reject', 'Rejected'] };
/** Ends that a person chose, or that need nobody. */
const QUIET = new Set(['cancelled', 'approval-rejected', 'approval-expired', 'not-sent']);
/** A job whose time is further away than this is not asked for all the while. */
const SOON = 5000;

export const ended = (job) => job.status === 'completed' || job.status === 'error';
/** Whether nobody knows what became of it. */
export const isUnknown = ({ status, error }) => status === 'error' && error?.code === 'outcome-unknown';
export const pathOf = (id) => `/ai/jobs/${encodeURIComponent(id)}`;

/** The params of an action, from the content of its job: without other fields, and without empty ones. */
function paramsOf(action, content) {
  const names = Object.keys(catalogue.get(action)?.params_schema?.properties ?? {});
  return Object.fromEntries(names.map((name) => [name, content?.[name]]).filter(([, value]) => list(value).length > 0));
}

export class JobView {
  /** `list` has `place`, `watch`, `renderHeld` and `announceEnd`. */
  constructor(job, list) {
    this.list = list;
    this.seen = Date.now();
    this.badge = el('span', { class: 'badge' });
    this.link = el('a', { class: 'job-link', href: `#job/${encodeURIComponent(job.job_id)}`, 'aria-expanded': 'false' });
    this.when = el('span', { class: 'when' });
    this.to = el('p', { class: 'muted job-to' });
    this.steps = el('ol', { class: 'steps', 'aria-label': 'Progress', hidden: true });
    this.left = el('span', { class: 'left', role: 'timer', 'data-test': 'countdown' });
    this.outcome = el('div', { class: 'stack' });
    this.content = el('div', { class: 'stack', 'data-test': 'job-content' });
    this.buttons = el('div', { class: 'row' });
    this.trouble = el('div');
    this.record = el('details', {});
    const parts = [this.steps, this.outcome, this.content, this.buttons, this.trouble, this.record];
    this.body = el('div', { class: 'job-body stack' }, parts);
    this.node = el(
      'li',
      { class: 'job', 'data-test': 'job' },
      el('div', { class: 'job-row' }, this.badge, el('h3', {}, this.link), this.when, this.to),
      this.body,
    );
    this.link.addEventListener('click', (event) => {
      event.preventDefault();
      this.toggle();
      history.replaceState(null, '', this.open ? this.link.hash : location.pathname);
    });
    this.update(job);
  }

  describe(summary) {
    this.summary ??= summary;
    this.renderRow();
  }

  get title() {
    const { action } = this.job;
    return asText(this.summary?.title || (catalogue.get(action)?.title ?? action ?? 'Job'));
  }
  /** What a search looks through here. The server also knows the recipients that a summary leaves out. */
  get words() {
    const { action, provider } = this.job;
    return [this.title, ...list(this.summary?.recipients).map(asText), action, provider].join(' ').toLocaleLowerCase();
  }
  /** Whether the action reaches other people; the words for its end depend on it. */
  get sends() {
    return (this.job.effect ?? catalogue.get(this.job.action)?.effect) === 'send';
  }
  /** When it was asked for. A job that was just accepted here is new. */
  get at() {
    const at = Date.parse(this.job.created_at ?? '');
    return Number.isNaN(at) ? this.seen : at;
  }
  /** A person has to approve it. */
  get held() {
    return this.job.status === 'pending' && this.job.waiting_for === 'approval';
  }
  /** It goes at its time, and can be taken back until then. */
  get timed() {
    return this.job.status === 'pending' && this.job.waiting_for === 'time';
  }
  /** How many milliseconds it waits for its time. */
  get remaining() {
    return Date.parse(this.job.waiting_until ?? '') - Date.now();
  }
  /** Nothing happens to it soon, unless a person acts. */
  get rests() {
    return this.held || (this.timed && this.remaining > SOON);
  }
  get failed() {
    return this.job.status === 'error' ? asText(this.job.error?.code) : null;
  }
  get unknown() {
    return isUnknown(this.job);
  }
  /** Nobody goes on with it but a person. */
  get needsYou() {
    return this.held || this.unknown || (this.job.status === 'pending' && this.job.waiting_for === 'reauth');
  }

  /** Opens or closes the row. In brief it tells how the job goes, and leaves out what goes out. */
  toggle(open = !this.open || this.brief, { brief = false } = {}) {
    this.open = open;
    this.brief = brief;
    this.render();
  }

  update(job) {
    if (!isObject(job)) return;
    const next = { ...this.job, ...job };
    if (this.job && same(this.job, next)) return;
    this.job = next;
    if (isObject(this.job.summary)) this.summary = this.job.summary;
    this.render();
    this.list.place(this);
  }

  render() {
    const { job: it } = this;
    this.node.dataset.status = it.status;
    this.node.dataset.job = it.job_id;
    this.node.classList.toggle('needs-you', this.needsYou);
    const cancelled = this.failed === 'cancelled';
    this.badge.className = `badge ${this.unknown ? 'unknown' : cancelled ? 'cancelled' : it.status}`;
    this.badge.textContent = this.unknown
      ? 'Outcome unknown'
      : ({
          pending: this.held ? 'Held' : this.timed ? 'Scheduled' : 'Pending',
          running: 'Running',
          completed: 'Completed',
          error: cancelled ? 'Cancelled' : 'Error',
        }[it.status] ?? asText(it.status));
    this.link.setAttribute('aria-expanded', String(Boolean(this.open)));
    // A row tells it all of a job that went well, until a person wants more.
    this.body.hidden = !this.open && (it.status === 'completed' || QUIET.has(this.failed));
    this.renderRow();
    this.renderSteps();
    this.tick();
    this.outcome.replaceChildren(
      ...present([
        it.replayed && el('p', { class: 'hint' }, 'This request was already known, so nothing is done twice.'),
        this.held ? this.heldView(it) : it.waiting_for && this.waitView(it),
        it.status === 'completed' && this.resultView(it.result),
        it.status === 'error' && it.error && this.errorView(it.error),
      ]),
    );
    this.renderButtons();
    this.renderContent();
    this.renderRecord();
  }

  renderRow() {
    const recipients = list(this.summary?.recipients).map(asText);
    const all = recipients.length + (Number(this.summary?.more) || 0);
    const to = all > 2 ? `${recipients[0]} and ${all - 1} more` : recipients.join(' and ');
    const via = providerName(this.job.provider);
    this.link.replaceChildren(foreign(this.title));
    this.to.replaceChildren(...present([to && ['to ', foreign(to)], to && via && ' · ', via && foreign(via)]));
  }

  renderSteps() {
    const { status, attempts, result } = this.job;
    const good = result?.outbox === true ? 'In the outbox' : this.sends && !result?.done ? 'Sent' : 'Done';
    const bad = this.unknown ? 'Unknown' : this.failed === 'cancelled' ? 'Cancelled' : this.sends ? 'Not sent' : 'Not done';
    const last = status === 'error' ? bad : good;
    const waits = status === 'pending' && attempts > 0;
    const working = waits ? `Waiting to retry after ${count(attempts, 'attempt')}` : 'Working';
    const at = { pending: waits ? 1 : 0, running: 1 }[status] ?? 2;
    const shape = JSON.stringify([at, working, last, status]);
    // In the history the badge is enough; steps are for jobs in progress.
    this.steps.hidden = this.held || (!this.stepShape && ended({ status }));
    if (this.steps.hidden || shape === this.stepShape) return;
    this.stepShape = shape;
    this.steps.className = `steps ${this.unknown ? 'unknown' : status}`;
    const stage = (i) => (i < at || ended({ status }) ? 'done' : i === at ? 'now' : '');
    this.steps.replaceChildren(
      ...['Accepted', working, last].map((name, i) => el('li', { class: stage(i), 'aria-current': i === at && 'step' }, name)),
    );
  }

  resultView(result) {
    if (!isObject(result)) return result === null || result === undefined ? null : el('p', { 'data-test': 'job-result' }, foreign(result));
    if (result.done) return el('p', { class: 'hint', 'data-test': 'job-result' }, foreign(result.done));
    // The steps already show that it is in the outbox.
    if (result.outbox === true) return null;
    return el(
      'div',
      { class: 'stack', 'data-test': 'job-result' },
      present([
        result.presumed === true &&
          el('p', { class: 'notice' }, 'Presumed sent: the provider’s answer was lost, but only a send removes the draft in this way.'),
        el('p', { class: 'hint' }, this.sends ? 'Sent from ' : 'Done in ', foreign(result.from ?? 'the connected account'), '.'),
      ]),
    );
  }

  /** Why it is held, when it would go out, and until when somebody may approve it. */
  heldView({ because, send_at, waiting_until }) {
    return el(
      'div',
      { class: 'notice', 'data-test': 'job-waits', 'data-waits': 'approval' },
      list(because).map((why) => el('p', { 'data-test': 'because', 'data-because': asText(why) }, foreign(BECAUSE[why] ?? why))),
      el(
        'p',
        {},
        send_at ? ['Once it is approved, it goes out, but not before ', time(send_at), '.'] : 'Once it is approved, it goes out.',
        waiting_until && [' It expires ', time(waiting_until), '.'],
      ),
    );
  }

  waitView({ waiting_for, waiting_until, provider }) {
    if (this.timed && waiting_until) {
      return el(
        'p',
        { class: 'notice calm', 'data-test': 'job-waits', 'data-waits': 'time' },
        el('span', {}, 'Goes out in ', this.left, ' (', time(waiting_until), ').'),
      );
    }
    return el(
      'div',
      { class: 'notice calm', 'data-test': 'job-waits', 'data-waits': asText(waiting_for) },
      el(
        'p',
        {},
        'Waits for ',
        foreign(WAITS[waiting_for] ?? waiting_for),
        ['rate-limit', 'provider'].includes(waiting_for) && [
          waiting_for === 'provider' ? ' from ' : ' of ',
          foreign(accountName(provider)),
        ],
        waiting_until && [', until ', time(waiting_until), waiting_for === 'reauth' && ' at the latest'],
        '.',
      ),
      waiting_for === 'reauth' && el('div', { class: 'row' }, connectButton(provider, true)),
    );
  }

  errorView(error) {
    const provider = this.job.provider;
    return el(
      'div',
      {
        class: `notice ${this.unknown ? '' : QUIET.has(this.failed) ? 'calm' : 'bad'}`,
        'data-test': 'job-error',
        'data-code': asText(error.code),
      },
      el('strong', {}, foreign(error.message ?? error.code)),
      error.provider_says &&
        el('p', { 'data-test': 'provider-says' }, foreign(accountName(provider)), ' says: ', foreign(error.provider_says)),
      error.remediation && el('p', {}, foreign(error.remediation)),
      el('p', { class: 'fine' }, problemLink(error.code)),
      provider &&
        ['connection-required', 'reauth-required'].includes(error.code) &&
        el('div', { class: 'row' }, connectButton(provider, error.code === 'reauth-required')),
    );
  }

  /** What goes out or went out. It is read once a person looks; only what was shown can be approved. */
  async renderContent() {
    const { job_id, action, payload_sha256, contents_erased_at } = this.job;
    if (!this.held && (!this.open || this.brief)) {
      this.content.replaceChildren();
      this.shownHash = null;
      return;
    }
    if (this.loading || !payload_sha256 || this.shownHash === payload_sha256) return;
    if (contents_erased_at) {
      this.content.replaceChildren(el('p', { class: 'hint' }, 'What went out was erased on ', time(contents_erased_at), '.'));
      return;
    }
    this.loading = true;
    try {
      const content = await api('GET', `${pathOf(job_id)}/content`);
      const params = paramsOf(action, content);
      const rows = [['From', foreign(content.from ?? 'the connected account')]];
      this.content.replaceChildren(
        ...paramsView(rows, fieldsOf(action, params), { told: sourcesOf(content.recipients) }),
        ...present([content.raw && rawView(content.content_type ?? 'body', content.raw)]),
      );
      // Without the catalogue the fields cannot be told, so nothing was shown.
      if (catalogue.has(action)) this.shownHash = payload_sha256;
      this.renderButtons();
      this.list.renderHeld();
    } catch (error) {
      showProblem(this.trouble, error);
    } finally {
      this.loading = false;
    }
  }

  renderButtons() {
    const { status, error } = this.job;
    const decide = (what) => [DECISIONS[what][0], what, { payload_sha256: this.shownHash }, what];
    const failed = status === 'error' && !this.unknown;
    const wanted = [
      this.held && this.shownHash && decide('approve'),
      this.held && this.shownHash && decide('reject'),
      this.timed && ['Undo', 'cancel', {}, 'undo'],
      status === 'pending' && !this.held && !this.timed && ['Cancel', 'cancel', {}],
      failed && error?.retriable === true && ['Retry', 'retry', {}],
      failed && isObject(this.job.summary) && [this.sends ? 'Edit and send again' : 'Edit and do again', 'again', {}],
      this.unknown && ['It was sent', 'resolve', { outcome: 'sent' }],
      this.unknown && ['It was not sent', 'resolve', { outcome: 'not_sent' }],
    ].filter(Boolean);
    const shape = JSON.stringify([wanted, this.title]);
    if (shape === this.buttonShape) return;
    this.buttonShape = shape;
    const hadFocus = this.buttons.contains(document.activeElement);
    this.buttons.replaceChildren(
      ...wanted.map(([label, what, body, test]) =>
        button(label, () => this.act(what, body), {
          'aria-label': `${label}: ${visible(this.title)}`,
          class: test === 'approve' ? 'primary tall' : test ? 'tall' : 'small',
          'data-test': test ?? `job-${what}`,
          'data-outcome': body.outcome,
        }),
      ),
    );
    this.buttons.hidden = wanted.length === 0;
    if (hadFocus) this.link.focus();
  }

  renderRecord() {
    this.record.hidden = !this.open;
    if (!this.open) return;
    const { job: it } = this;
    const stamp = (value) => (value ? time(value) : undefined);
    const mono = (value) => foreign(value, { class: 'mono' });
    const facts = Object.entries(isObject(it.result) ? it.result : {}).filter(([, value]) => value !== null);
    const rows = [
      ['Job id', el('div', { class: 'row tight' }, mono(it.job_id), copyButton(asText(it.job_id), 'the job id'))],
      it.client_request_id && ['Request id', mono(it.client_request_id)],
      it.action && ['Action', mono(it.action)],
      typeof it.attempts === 'number' && ['Attempts', String(it.attempts)],
      ['Created', stamp(it.created_at)],
      ['Asked for', stamp(it.send_at)],
      ['Started', stamp(it.started_at)],
      ['Finished', stamp(it.finished_at)],
      typeof it.duration_ms === 'number' && ['Took', duration(it.duration_ms)],
      ...facts.map(([name, value]) => [foreign(name.replaceAll('_', ' ')), mono(value)]),
    ];
    this.record.replaceChildren(el('summary', {}, 'Record'), pairs(rows, 'pairs tight'));
  }

  /** Opens what the job would have done as a plan of its own: a new request, which is executed like any other. */
  async again() {
    const content = await api('GET', `${pathOf(this.job.job_id)}/content`);
    const { provider, action } = this.job;
    tell('edit-again', { provider, action, params: paramsOf(action, content), client_request_id: crypto.randomUUID() });
  }

  async act(what, body) {
    const path = pathOf(this.job.job_id);
    this.trouble.replaceChildren();
    try {
      if (what === 'again') {
        await this.again();
        return;
      }
      await api('POST', `${path}/${what}`, body);
      // A person sees what became of it.
      [this.open, this.brief] = [true, true];
      if (DECISIONS[what]) announce(`${DECISIONS[what][1]}: ${this.title}.`);
    } catch (error) {
      showProblem(this.trouble, error, { focus: true });
    }
    // The ledger decides, whatever the request returned.
    try {
      this.update(await api('GET', path));
      this.list.announceEnd(this);
    } catch {
      /* the next poll will tell */
    }
    this.list.watch(this);
  }

  tick() {
    if (ended(this.job)) {
      this.when.replaceChildren(...present([this.job.created_at && shortTime(this.job.created_at)]));
      return;
    }
    if (this.timed) {
      const seconds = Math.max(0, Math.ceil(this.remaining / 1000));
      this.left.textContent = seconds < 60 ? `${seconds} s` : duration(seconds * 1000);
      if (!this.rests) this.list.watch(this);
    }
    const elapsed = Math.max(0, Date.now() - this.at);
    this.when.textContent = elapsed < 1000 ? 'just now' : duration(Math.floor(elapsed / 1000) * 1000);
  }
}
