// Jobs: followed until they end, with their buttons, and the history by status.

import { accountName, catalogue, providerName } from './accounts.js';
import { api, Problem } from './api.js';
import {
  $,
  announce,
  asText,
  bus,
  busyWhile,
  button,
  count,
  duration,
  el,
  foreign,
  isObject,
  list,
  pairs,
  present,
  sleep,
  tell,
  time,
  visible,
} from './dom.js';
import { fieldsOf, paramsView } from './params.js';
import { connectButton, showProblem } from './problems.js';

// A browser opens six connections to one server. The others stay free for the person's requests.
const POLLS_AT_ONCE = 3;
// A wait ends early only with its job, so short waits show the progress. A long job is polled less often.
const [SHORT_WAIT, LONG_WAIT, LONG_AFTER] = [1, 5, 15_000];
const PAGE = 8;
// How often held jobs are looked for, and the most that are shown.
const [LOOK_EVERY, MOST_HELD] = [5000, 100];

const WAITS = {
  approval: 'an approval',
  time: 'its time',
  'rate-limit': 'the rate limit',
  provider: 'an answer',
  reauth: 'the account to be connected again',
  gate: 'the permissions',
};

/** Why a job is held. */
const BECAUSE = {
  agent: 'An agent asked for it.',
  derived: 'A recipient was looked up, and nobody has confirmed it.',
  external: 'A recipient is outside your own domains.',
  all: 'Everything is approved first on this server.',
};
/** What a person may do with a held job, and what it is called afterwards. */
const DECISIONS = { approve: ['Approve', 'Approved'], reject: ['Reject', 'Rejected'] };

const ended = (job) => job.status === 'completed' || job.status === 'error';

class JobView {
  constructor(job) {
    this.seen = Date.now();
    this.badge = el('span', { class: 'badge' });
    this.heading = el('h3', { tabindex: '-1' });
    this.when = el('span', { class: 'when' });
    this.to = el('p', { class: 'muted job-to' });
    this.steps = el('ol', { class: 'steps', 'aria-label': 'Progress' });
    this.content = el('div', { class: 'stack', 'data-test': 'job-content' });
    this.left = el('span', { class: 'left', role: 'timer', 'data-test': 'countdown' });
    this.outcome = el('div', { class: 'stack' });
    this.buttons = el('div', { class: 'row' });
    this.trouble = el('div');
    this.record = el('div');
    this.node = el(
      'li',
      { class: 'card job', 'data-test': 'job' },
      el('div', { class: 'job-head' }, this.badge, this.heading, this.when),
      this.to,
      this.steps,
      this.outcome,
      this.content,
      this.buttons,
      this.trouble,
      el('details', {}, el('summary', {}, 'Record'), this.record),
    );
    this.update(job);
  }

  /** Names the job by `{ title, recipients, more }`, if nothing did before. */
  describe(summary) {
    this.summary ??= summary;
    this.renderHead();
  }

  get title() {
    const { action } = this.job;
    return asText(this.summary?.title || (catalogue.get(action)?.title ?? action ?? 'Job'));
  }

  renderHead() {
    const recipients = list(this.summary?.recipients).map(asText);
    const all = recipients.length + (Number(this.summary?.more) || 0);
    const to = all > 2 ? `${recipients[0]} and ${all - 1} more` : recipients.join(' and ');
    const via = providerName(this.job.provider);
    this.heading.replaceChildren(foreign(this.title));
    this.to.replaceChildren(...present([to && ['to ', foreign(to)], to && via && ' · ', via && foreign(via)]));
  }

  /** Whether the action reaches other people; the words for its end depend on it. */
  get sends() {
    return (this.job.effect ?? catalogue.get(this.job.action)?.effect) === 'send';
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
    return this.held || (this.timed && this.remaining > LOOK_EVERY);
  }

  get cancelled() {
    return this.job.status === 'error' && this.job.error?.code === 'cancelled';
  }
  get unknown() {
    return this.job.status === 'error' && this.job.error?.code === 'outcome-unknown';
  }

  update(job) {
    if (!isObject(job)) return;
    this.job = { ...this.job, ...job };
    const { job: it } = this;
    if (isObject(it.summary)) this.summary = it.summary;
    this.node.dataset.status = it.status;
    this.node.dataset.job = it.job_id;
    this.badge.className = `badge ${this.unknown ? 'unknown' : this.cancelled ? 'cancelled' : it.status}`;
    this.badge.textContent = this.unknown
      ? 'Outcome unknown'
      : ({
          pending: this.held ? 'Held' : 'Pending',
          running: 'Running',
          completed: 'Completed',
          error: this.cancelled ? 'Cancelled' : 'Error',
        }[it.status] ?? asText(it.status));
    this.renderHead();
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
    jobs.place(this);

    const stamp = (value) => (value ? time(value) : undefined);
    const facts = isObject(it.result)
      ? Object.entries(it.result)
          .filter(([, value]) => value !== null)
          .map(([name, value]) => [foreign(name.replaceAll('_', ' ')), foreign(value, { class: 'mono' })])
      : [];
    this.record.replaceChildren(
      pairs(
        [
          ['Job id', foreign(it.job_id, { class: 'mono' })],
          it.client_request_id && ['Request id', foreign(it.client_request_id, { class: 'mono' })],
          it.action && ['Action', foreign(it.action, { class: 'mono' })],
          typeof it.attempts === 'number' && ['Attempts', String(it.attempts)],
          ['Created', stamp(it.created_at)],
          ['Asked for', stamp(it.send_at)],
          ['Started', stamp(it.started_at)],
          ['Finished', stamp(it.finished_at)],
          ...facts,
        ],
        'pairs tight',
      ),
    );
  }

  renderSteps() {
    const { status, attempts, result } = this.job;
    const last =
      status !== 'error'
        ? result?.outbox === true
          ? 'In the outbox'
          : this.sends && !result?.done
            ? 'Sent'
            : 'Done'
        : this.unknown
          ? 'Unknown'
          : this.cancelled
            ? 'Cancelled'
            : this.sends
              ? 'Not sent'
              : 'Not done';
    const waits = status === 'pending' && attempts > 0;
    const working = waits ? `Waiting to retry after ${count(attempts, 'attempt')}` : 'Working';
    const at = { pending: waits ? 1 : 0, running: 1 }[status] ?? 2;
    const shape = JSON.stringify([at, working, last, status]);
    // In the history the badge is enough; steps are for jobs in progress.
    this.steps.hidden = this.held || (!this.stepShape && ended({ status }));
    if (this.steps.hidden || shape === this.stepShape) return;
    this.stepShape = shape;
    this.steps.className = `steps ${this.unknown ? 'unknown' : status}`;
    this.steps.replaceChildren(
      ...['Accepted', working, last].map((name, i) =>
        el(
          'li',
          {
            class: i < at || ended({ status }) ? 'done' : i === at ? 'now' : '',
            'aria-current': i === at && 'step',
          },
          name,
        ),
      ),
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

  /** Everything that goes out if a held job is approved. Only what was shown can be approved. */
  async renderContent() {
    if (!this.held) {
      this.content.replaceChildren();
      this.shownHash = null;
      return;
    }
    const { job_id, action, payload_sha256 } = this.job;
    if (this.loading || !payload_sha256 || this.shownHash === payload_sha256) return;
    this.loading = true;
    try {
      const content = await api('GET', `/ai/jobs/${encodeURIComponent(job_id)}/content`);
      if (!this.held) return;
      const names = Object.keys(catalogue.get(action)?.params_schema?.properties ?? {});
      const known = Object.entries(content).filter(([, value]) => value !== null && list(value).length > 0);
      const params = Object.fromEntries(known.filter(([name]) => names.includes(name)));
      const rows = [['From', foreign(content.from ?? 'the connected account')]];
      this.content.replaceChildren(...paramsView(rows, fieldsOf(action, params), true), ...recipientsView(content.recipients));
      // Without the catalogue the fields cannot be told, so nothing was shown.
      if (names.length > 0) this.shownHash = payload_sha256;
      this.renderButtons();
      jobs.renderHeld();
    } catch (error) {
      showProblem(this.trouble, error);
    } finally {
      this.loading = false;
    }
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
        ['rate-limit', 'provider'].includes(waiting_for) && [' of ', foreign(accountName(provider))],
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
      { class: `notice ${this.unknown ? '' : this.cancelled ? 'calm' : 'bad'}`, 'data-test': 'job-error', 'data-code': asText(error.code) },
      el('strong', {}, foreign(error.message ?? error.code)),
      error.provider_says &&
        el('p', { 'data-test': 'provider-says' }, foreign(accountName(provider)), ' says: ', foreign(error.provider_says)),
      error.remediation && el('p', {}, foreign(error.remediation)),
      el(
        'p',
        { class: 'fine' },
        /^[a-z-]+$/.test(asText(error.code))
          ? el('a', { href: `/problems/${error.code}`, target: '_blank', rel: 'noopener', class: 'mono' }, error.code)
          : foreign(error.code, { class: 'mono' }),
      ),
      provider &&
        ['connection-required', 'reauth-required'].includes(error.code) &&
        el('div', { class: 'row' }, connectButton(provider, error.code === 'reauth-required')),
    );
  }

  renderButtons() {
    const { status, error } = this.job;
    const decide = (what) => [DECISIONS[what][0], what, { payload_sha256: this.shownHash }, what];
    const wanted = [
      this.held && this.shownHash && decide('approve'),
      this.held && this.shownHash && decide('reject'),
      this.timed && ['Undo', 'cancel', {}, 'undo'],
      status === 'pending' && !this.held && !this.timed && ['Cancel', 'cancel', {}],
      status === 'error' && !this.unknown && error?.retriable === true && ['Retry', 'retry', {}],
      status === 'error' &&
        !this.unknown &&
        isObject(this.job.summary) && [this.sends ? 'Edit and send again' : 'Edit and do again', 'again', {}],
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
    if (hadFocus) this.heading.focus();
  }

  /** Opens what the job would have done as a plan of its own: a new request, which is executed like any other. */
  async again(path) {
    try {
      const content = await api('GET', `${path}/content`);
      const { provider, action } = this.job;
      const names = Object.keys(catalogue.get(action)?.params_schema?.properties ?? {});
      const given = names.map((name) => [name, content?.[name]]).filter(([, value]) => value != null && list(value).length > 0);
      tell('edit-again', { provider, action, params: Object.fromEntries(given), client_request_id: crypto.randomUUID() });
    } catch (error) {
      showProblem(this.trouble, error, { focus: true });
    }
  }

  async act(what, body) {
    const path = `/ai/jobs/${encodeURIComponent(this.job.job_id)}`;
    this.trouble.replaceChildren();
    if (what === 'again') {
      await this.again(path);
      return;
    }
    try {
      await api('POST', `${path}/${what}`, body);
      if (DECISIONS[what]) announce(`${DECISIONS[what][1]}: ${this.title}.`);
    } catch (error) {
      showProblem(this.trouble, error, { focus: true });
    }
    // The ledger decides, whatever the request returned.
    try {
      this.update(await api('GET', path));
      jobs.announceEnd(this);
    } catch {
      /* the next poll will tell */
    }
    jobs.watch(this);
  }

  tick() {
    const { status, created_at, duration_ms } = this.job;
    if (ended({ status })) {
      this.when.replaceChildren(
        ...present([created_at && time(created_at), typeof duration_ms === 'number' && ` · ${duration(duration_ms)}`]),
      );
    } else {
      if (this.timed) {
        const seconds = Math.max(0, Math.ceil(this.remaining / 1000));
        this.left.textContent = seconds < 60 ? `${seconds} s` : duration(seconds * 1000);
        if (!this.rests) jobs.watch(this);
      }
      const since = Date.parse(created_at ?? '');
      const elapsed = Math.max(0, Date.now() - (Number.isNaN(since) ? this.seen : since));
      this.when.textContent = elapsed < 1000 ? 'just now' : duration(Math.floor(elapsed / 1000) * 1000);
    }
  }
}

/** Where each recipient comes from, and who is outside, where the server tells. */
const recipientsView = (recipients) => {
  const told = list(recipients).filter((recipient) => isObject(recipient) && (recipient.source || recipient.external === true));
  if (told.length === 0) return [];
  const line = ({ address, source, external }) =>
    el(
      'li',
      { class: 'row' },
      foreign(address),
      source && el('span', { class: 'badge' }, 'from ', foreign(source)),
      external === true && el('span', { class: 'badge sandbox' }, 'external'),
    );
  return [el('ul', { class: 'stack', 'data-test': 'recipients', 'aria-label': 'Recipients' }, told.map(line))];
};

export const jobs = {
  views: new Map(),
  queue: [],
  polling: 0,
  filter: '',
  /** The cursor of the next page by filter; null after the last page. */
  cursors: new Map(),

  get(id) {
    return this.views.get(id);
  },

  /** Shows jobs that were just accepted, the first on top, each with its summary. */
  accept(accepted) {
    // A filter must not hide them.
    if (this.filter !== '') this.choose('');
    for (const [job, summary] of accepted.toReversed()) {
      const view = this.add({ status: 'pending', ...job });
      if (summary) view.describe(summary);
      if (!view.held) $('jobs').prepend(view.node);
    }
    this.get(accepted[0]?.[0].job_id)?.heading.focus({ preventScroll: true });
    this.get(accepted[0]?.[0].job_id)?.node.scrollIntoView({ block: 'nearest' });
  },

  add(job) {
    let view = this.views.get(job.job_id);
    if (view) {
      view.update(job);
    } else {
      view = new JobView(job);
      this.views.set(job.job_id, view);
    }
    this.place(view);
    this.watch(view);
    tell('job-added', view);
    return view;
  },

  /** Held jobs come first, in a list of their own; in each list the newest job is first. */
  place(view) {
    if (this.views.get(view.job.job_id) !== view) return;
    const { job, node } = view;
    const place = view.held ? $('held-jobs') : $('jobs');
    if (node.parentElement !== place) {
      const hadFocus = node.contains(document.activeElement);
      // A job that was accepted here keeps its place.
      const after = [...place.children].find((other) => {
        const created = this.views.get(other.dataset.job)?.job.created_at;
        return created && job.created_at && Date.parse(created) < Date.parse(job.created_at);
      });
      place.insertBefore(node, after ?? null);
      this.renderHeld();
      if (hadFocus) ($('held-jobs').querySelector('h3') ?? view.heading).focus();
    }
    this.sift(view);
  },

  /** The heading of the held jobs, and the buttons that decide about all that are shown. */
  renderHeld() {
    const held = [...this.views.values()].filter((view) => view.held);
    $('held').hidden = held.length === 0;
    $('held-title').textContent = `${count(held.length, 'job')} ${held.length === 1 ? 'waits' : 'wait'} for approval`;
    const shown = held.filter((view) => view.shownHash).length;
    if ($('held-all').dataset.shown === String(shown)) return;
    $('held-all').dataset.shown = String(shown);
    const all = (what) =>
      button(`${DECISIONS[what][0]} all ${shown}`, () => this.decideAll(what), { class: 'tall', 'data-test': `${what}-all` });
    $('held-all').replaceChildren(...(shown > 1 ? [all('approve'), all('reject')] : []));
  },

  /** One decision for each job whose content is shown; one that fails stays and says why. */
  async decideAll(what) {
    const shown = [...this.views.values()].filter((view) => view.held && view.shownHash);
    for (const view of shown) await view.act(what, { payload_sha256: view.shownHash });
    announce(`${DECISIONS[what][1]}: ${count(shown.filter((view) => !view.held).length, 'job')}.`);
    ($('held').hidden ? $('jobs-title') : $('held-title')).focus();
  },

  /** Finds held jobs, wherever they were made, and what became of those on show. */
  async loadHeld() {
    const page = await api('GET', `/ai/jobs?waiting_for=approval&limit=${MOST_HELD}`);
    const known = new Set(list(page?.data).map((job) => job.job_id));
    for (const job of list(page?.data)) this.add(job);
    for (const view of this.views.values()) {
      if (view.held && !known.has(view.job.job_id)) view.update(await api('GET', `/ai/jobs/${encodeURIComponent(view.job.job_id)}`));
      this.watch(view);
    }
  },

  /** Shows or hides a job by the filter, which is not for held jobs. */
  sift(view) {
    const hide = this.filter !== '' && view.job.status !== this.filter && !view.held;
    if (hide && view.node.contains(document.activeElement)) $('jobs-title').focus();
    view.node.hidden = hide;
    this.count();
  },

  count() {
    const shown = [...this.views.values()].filter((view) => !view.node.hidden && !view.held).length;
    $('jobs-empty').hidden = shown > 0;
    $('jobs-empty').textContent =
      this.filter === ''
        ? 'No jobs yet. Executed actions appear here.'
        : `No job is ${this.filter === 'error' ? 'in error' : this.filter}.`;
    $('jobs-more').hidden = !this.cursors.get(this.filter);
  },

  /** Filters the history. Each filter has its own pages. */
  choose(filter) {
    this.filter = filter;
    for (const box of document.querySelectorAll('input[name="filter"]')) box.checked = box.value === filter;
    for (const view of this.views.values()) this.sift(view);
    this.count();
  },

  /** Polls a job until it ends. */
  watch(view) {
    if (view.watched || view.rests || ended(view.job)) return;
    view.watched = true;
    this.queue.push(view);
    this.pump();
  },

  pump() {
    while (this.polling < POLLS_AT_ONCE && this.queue.length > 0) {
      this.polling += 1;
      const view = this.queue.shift();
      this.poll(view)
        .catch((error) => showProblem(view.trouble, error))
        .finally(() => {
          this.polling -= 1;
          this.pump();
        });
    }
  },

  async poll(view) {
    const crowded = [...this.views.values()].filter((other) => other.watched).length > POLLS_AT_ONCE;
    const seconds = crowded || Date.now() - view.seen < LONG_AFTER ? SHORT_WAIT : LONG_WAIT;
    const began = performance.now();
    try {
      const path = `/ai/jobs/${encodeURIComponent(view.job.job_id)}?wait=${seconds}`;
      view.update(await api('GET', path, undefined, { timeout: (seconds + 20) * 1000 }));
      if (view.failures > 0) view.trouble.replaceChildren();
      view.failures = 0;
      if (ended(view.job) || view.rests) {
        view.watched = false;
        this.announceEnd(view);
        return;
      }
      // Pause if the server answers at once.
      if (performance.now() - began < 500) await sleep(700);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (!error.passing) {
        view.watched = false;
        showProblem(view.trouble, error);
        return;
      }
      view.failures = (view.failures ?? 0) + 1;
      view.trouble.replaceChildren(
        el('p', { class: 'notice', 'data-test': 'job-waiting' }, el('span', {}, foreign(error.message), '. Still trying.')),
      );
      await sleep(error.fields.retry_after_ms ?? Math.min(15_000, 1000 * 2 ** Math.min(view.failures, 4)));
    }
    this.queue.push(view);
  },

  announceEnd(view) {
    if (!ended(view.job)) return;
    announce(`${view.title}: ${view.badge.textContent}.`);
    tell('job-ended', view);
  },

  async load(older = false) {
    const { filter } = this;
    const cursor = older ? this.cursors.get(filter) : undefined;
    const query = new URLSearchParams({ limit: String(PAGE), ...(filter && { status: filter }), ...(cursor && { cursor }) });
    try {
      const page = await api('GET', `/ai/jobs?${query}`);
      await this.loadHeld();
      $('jobs-error').replaceChildren();
      for (const job of list(page?.data)) this.add(job);
      if (older || !this.cursors.has(filter)) this.cursors.set(filter, (page?.has_more && page.next_cursor) || null);
      this.count();
      // Resume jobs that stopped at a lost connection or a missing key.
      for (const view of this.views.values()) this.watch(view);
    } catch (error) {
      showProblem($('jobs-error'), error);
    }
  },

  start() {
    // Names of actions and accounts may come after the jobs.
    bus.addEventListener('catalogue', () => {
      for (const view of this.views.values()) view.update({});
    });
    busyWhile($('jobs-refresh'), () => this.load());
    busyWhile($('jobs-more'), () => this.load(true));
    for (const box of document.querySelectorAll('input[name="filter"]')) {
      box.addEventListener('change', () => {
        this.choose(box.value);
        this.load();
      });
    }
    setInterval(() => {
      // What is wrong with the server is told elsewhere.
      if (!document.hidden) this.loadHeld().catch(() => {});
    }, LOOK_EVERY);
    setInterval(() => {
      for (const view of this.views.values()) if (!ended(view.job)) view.tick();
    }, 1000);
  },
};
