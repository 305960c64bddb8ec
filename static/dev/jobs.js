// The jobs: held ones first, then those that need a person, then the history; live, filtered, and searched to its end.

import { api, Problem } from './api.js';
import { $, announce, bus, busyWhile, button, count, list, sleep, tell } from './dom.js';
import { isLost, setTrouble } from './health.js';
import { DECISIONS, ended, isUnknown, JobView, pathOf } from './job.js';
import { showProblem } from './problems.js';

// A browser opens six connections to one server. The others stay free for the person's requests.
const POLLS_AT_ONCE = 3;
// A wait ends early only with its job, so short waits show the progress. A long job is polled less often.
const [SHORT_WAIT, LONG_WAIT, LONG_AFTER] = [1, 5, 15_000];
/** Rows of a page. */
const PAGE = 50;
/** How many requests a search makes before it asks whether to go on; each looks through 200 jobs. */
const SEARCHES_AT_ONCE = 25;
/** How long after the last keystroke the server searches, too. */
const PAUSE = 250;
/** How often jobs are looked for that were made elsewhere, how many of them, and how long an answer may take. */
const [LOOK_EVERY, NEWEST, LOOK_WITHIN] = [5000, 20, 5000];
/** The most held jobs that are shown. */
const MOST_HELD = 100;

export const jobs = {
  views: new Map(),
  queue: [],
  polling: 0,
  filter: '',
  /** The words that are looked for, and the jobs in which the server found them. */
  wanted: [],
  found: new Set(),
  /** The cursor of the next page by filter; null after the last page. */
  cursors: new Map(),

  get(id) {
    return this.views.get(id);
  },

  /** Shows jobs that were just accepted, the first on top, each with its summary. */
  accept(accepted) {
    // No filter must hide them.
    $('search').value = '';
    this.search('');
    this.choose('');
    for (const view of this.views.values()) if (view.open && !view.held) view.toggle(false);
    for (const [job, summary] of accepted.toReversed()) {
      const view = this.add({ status: 'pending', ...job });
      if (summary) view.describe(summary);
      view.toggle(true, { brief: true });
      if (!view.held) $('jobs').prepend(view.node);
    }
    const first = this.get(accepted[0]?.[0].job_id);
    first?.link.focus({ preventScroll: true });
    first?.node.scrollIntoView({ block: 'nearest' });
  },

  add(job) {
    let view = this.views.get(job.job_id);
    if (view) {
      view.update(job);
    } else {
      view = new JobView(job, this);
      this.views.set(job.job_id, view);
      this.place(view);
    }
    this.watch(view);
    return view;
  },

  /** Held jobs have a list of their own. In each list those that need a person come first, then the newest. */
  place(view) {
    if (this.views.get(view.job.job_id) !== view) return;
    const { node, needsYou, at } = view;
    const place = view.held ? $('held-jobs') : $('jobs');
    const moves = node.parentElement !== place || view.placedAs !== needsYou;
    const hadFocus = node.contains(document.activeElement);
    if (moves) {
      view.placedAs = needsYou;
      const isBefore = (other) => other && (other.needsYou === needsYou ? other.at >= at : other.needsYou);
      // Older pages come last, so the search for the place begins at the end.
      let before = place.lastElementChild;
      while (before && (before === node || !isBefore(this.views.get(before.dataset.job)))) before = before.previousElementSibling;
      if (before) before.after(node);
      else place.prepend(node);
      this.renderHeld();
    }
    this.sift(view);
    if (moves && hadFocus) ($('held-jobs').querySelector('.job-link') ?? view.link).focus();
  },

  /** The heading of the held jobs, and the buttons that decide about all that are shown. */
  renderHeld() {
    const held = [...$('held-jobs').children].map((node) => this.views.get(node.dataset.job)).filter((view) => view?.held);
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

  /** Shows or hides a job by the words that are looked for, and by the filter, which is not for held jobs. */
  sift(view) {
    const shown =
      (view.held || this.filter === '' || view.job.status === this.filter) &&
      (this.wanted.length === 0 || this.found.has(view.job.job_id) || this.wanted.every((word) => view.words.includes(word)));
    if (!shown && view.node.contains(document.activeElement)) $('jobs-title').focus();
    view.node.hidden = !shown;
    // At once, since nothing in a hidden list can get the focus.
    if (shown && !view.held) $('jobs').hidden = false;
    this.countSoon();
  },

  /** Counts once, however many rows change at a time. */
  countSoon() {
    if (this.counting) return;
    this.counting = true;
    queueMicrotask(() => {
      this.counting = false;
      this.count();
    });
  },

  count() {
    const shown = [...$('jobs').children].filter((node) => !node.hidden).length;
    const what =
      { '': 'No jobs yet. What you send appears here.', error: 'No job is in error.' }[this.filter] ?? `No job is ${this.filter}.`;
    $('jobs').hidden = shown === 0;
    $('jobs-empty').hidden = shown > 0 || this.searching || !this.loaded;
    $('jobs-empty').textContent = this.wanted.length > 0 ? 'No job has these words in its subject or recipients.' : what;
    $('jobs-more').hidden = !(this.wanted.length > 0 ? this.further : this.cursors.get(this.filter)) || this.searching;
    $('jobs-more').textContent = this.wanted.length > 0 ? 'Search older jobs' : 'Show older jobs';
  },

  /** Filters the history. Each filter has its own pages. */
  choose(filter) {
    this.filter = filter;
    for (const box of document.querySelectorAll('input[name="filter"]')) box.checked = box.value === filter;
    this.siftAll();
  },

  siftAll() {
    for (const view of this.views.values()) this.sift(view);
    this.countSoon();
  },

  /** Looks for words in the jobs on show, at once. */
  search(text) {
    this.wanted = text.toLocaleLowerCase().split(/\s+/).filter(Boolean);
    this.found = new Set();
    this.further = null;
    this.searching = this.wanted.length > 0;
    $('search-hint').textContent = this.searching ? 'Searching…' : '';
    this.siftAll();
  },

  /** Has the server look for the words in all jobs, page by page. */
  async searchOn() {
    const { wanted, filter } = this;
    if (wanted.length === 0) return;
    const isWanted = () => wanted === this.wanted && filter === this.filter;
    this.searching = true;
    for (let asked = 0; isWanted() && asked < SEARCHES_AT_ONCE && (asked === 0 || this.further); asked += 1) {
      const page = await this.page({ search: wanted.join(' '), limit: PAGE, status: filter, cursor: this.further });
      if (!page || !isWanted()) break;
      this.further = page.has_more ? page.next_cursor : null;
      for (const job of list(page.data)) {
        this.found.add(job.job_id);
        this.sift(this.add(job));
      }
    }
    if (!isWanted()) return;
    this.searching = false;
    const found = [...this.views.values()].filter((view) => !view.node.hidden).length;
    $('search-hint').textContent = `${count(found, 'job')} found${this.further ? ' so far' : ''}.`;
    this.countSoon();
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
    const crowded = this.queue.length > 0;
    const seconds = crowded || Date.now() - view.seen < LONG_AFTER ? SHORT_WAIT : LONG_WAIT;
    const began = performance.now();
    try {
      view.update(await api('GET', `${pathOf(view.job.job_id)}?wait=${seconds}`, undefined, { timeout: (seconds + 20) * 1000 }));
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
      await sleep(error.fields.retry_after_ms ?? Math.min(15_000, 1000 * 2 ** Math.min(view.failures, 4)));
    }
    this.queue.push(view);
  },

  announceEnd(view) {
    if (!ended(view.job)) return;
    announce(`${view.title}: ${view.badge.textContent}.`);
    tell('job-ended', view);
  },

  /** A page of jobs; undefined if it cannot be read, which is shown. */
  async page(query) {
    const given = Object.entries(query).filter(([, value]) => value);
    try {
      const page = await api('GET', `/ai/jobs?${new URLSearchParams(given)}`);
      $('jobs-error').replaceChildren();
      return page;
    } catch (error) {
      if (!isLost()) showProblem($('jobs-error'), error);
      return undefined;
    }
  },

  /** Reads the newest page of the filter, or the next older one. */
  async load(older = false) {
    const { filter } = this;
    const page = await this.page({ limit: PAGE, status: filter, cursor: older && this.cursors.get(filter) });
    if (!page) return;
    this.loaded = true;
    for (const job of list(page.data)) this.add(job);
    if (older || !this.cursors.has(filter)) this.cursors.set(filter, (page.has_more && page.next_cursor) || null);
    this.countSoon();
    if (older) return;
    await this.look().catch((error) => showProblem($('jobs-error'), error));
    // An outcome that nobody knows waits for a person, however many jobs came after it.
    const errors = await this.page({ limit: MOST_HELD, status: 'error' });
    for (const job of list(errors?.data)) if (isUnknown(job)) this.add(job);
    this.countSoon();
  },

  /** Finds jobs that were made elsewhere, held ones however old, and what became of those on show. */
  async look() {
    const read = (query) => api('GET', `/ai/jobs?${query}`, undefined, { timeout: LOOK_WITHIN });
    const [newest, waiting] = await Promise.all([read(`limit=${NEWEST}`), read(`waiting_for=approval&limit=${MOST_HELD}`)]);
    const held = new Set(list(waiting?.data).map((job) => job.job_id));
    for (const job of [...list(newest?.data), ...list(waiting?.data)]) this.add(job);
    for (const view of this.views.values()) {
      if (view.held && !held.has(view.job.job_id)) view.update(await api('GET', pathOf(view.job.job_id)));
      this.watch(view);
    }
  },

  async lookAround() {
    if (document.hidden || isLost() || !this.loaded || this.looking) return;
    this.looking = true;
    try {
      await this.look();
      setTrouble('store', null);
    } catch (error) {
      if (error.status >= 500)
        setTrouble('store', [error.message, 'This page tries again every five seconds. Repeating a request does nothing twice.']);
    } finally {
      this.looking = false;
    }
  },

  /** Opens the job that the address names, whether or not it is in the list yet. */
  async follow() {
    const id = /^#job\/(.+)$/.exec(location.hash)?.[1];
    if (!id) return;
    try {
      const view = this.get(decodeURIComponent(id)) ?? this.add(await api('GET', `/ai/jobs/${id}`));
      view.toggle(true);
      view.link.focus({ preventScroll: true });
      view.node.scrollIntoView({ block: 'start' });
    } catch (error) {
      showProblem($('jobs-error'), error);
    }
  },

  start() {
    // Names of actions and accounts may come after the jobs.
    bus.addEventListener('catalogue', () => {
      for (const view of this.views.values()) view.render();
    });
    busyWhile($('jobs-more'), () => (this.wanted.length > 0 ? this.searchOn() : this.load(true)));
    for (const box of document.querySelectorAll('input[name="filter"]')) {
      box.addEventListener('change', () => {
        this.choose(box.value);
        this.search($('search').value);
        this.load().then(() => this.searchOn());
      });
    }
    let typing;
    $('search').addEventListener('input', () => {
      clearTimeout(typing);
      this.search($('search').value);
      typing = setTimeout(() => this.searchOn(), PAUSE);
    });
    window.addEventListener('hashchange', () => this.follow());
    document.addEventListener('visibilitychange', () => this.lookAround());
    setInterval(() => this.lookAround(), LOOK_EVERY);
    setInterval(() => {
      for (const view of this.views.values()) if (!ended(view.job)) view.tick();
    }, 1000);
  },
};
