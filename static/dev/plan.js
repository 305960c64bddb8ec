// The plan: made from the prompt, shown, corrected and executed.

import { consequence, modeOf } from './accounts.js';
import { ActionCard, stops, warningView } from './action.js';
import { api, Problem } from './api.js';
import { contextText, isTooLong, TOO_LONG } from './context.js';
import { $, announce, asText, bus, button, count, duration, el, foreign, isObject, list, tell } from './dom.js';
import { setTrouble } from './health.js';
import { jobs } from './jobs.js';
import { showProblem } from './problems.js';
import { answeredView, questionForm } from './questions.js';

/** The name of the planner that needs no model. */
const RULES = 'offline-rules';
/** The shown plan, or null. */
let shown = null;
/** Stops the planning that is in progress; null if there is none. */
let planning = null;

/** The catalogue or a connection changed. What was accepted stays as it was. */
export function refreshPlan() {
  if (!shown || shown.done) return;
  shown.refresh();
  shown.check();
}
/** The prompt changed, or time went by. */
export const refreshFoot = () => shown?.renderFoot();

export const timezone = () => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  // Some browsers do not know it and give a name that is no zone.
  return zone && zone !== 'Etc/Unknown' ? zone : undefined;
};

/** Plans the prompt. With `thenExecute` the plan is executed too, unless there is a question, a note or a warning to look at. */
export async function makePlan(thenExecute) {
  const [prompt, context] = [$('prompt').value.trim(), contextText()];
  const [box, wrong] =
    prompt === '' ? [$('prompt'), 'Write what should be done first.'] : isTooLong(context) ? [$('context'), TOO_LONG] : [];
  if (wrong) {
    $('plan-error').replaceChildren(el('p', { class: 'notice bad', role: 'alert', id: 'prompt-error', 'data-test': 'error' }, wrong));
    box.setAttribute('aria-invalid', 'true');
    box.closest('details')?.setAttribute('open', '');
    box.focus();
    return;
  }
  await ask({ prompt, context, answered: new Map() }, thenExecute);
}

/** Stops planning. What the model answers meanwhile is dropped. */
export const stopPlanning = () => planning?.abort();

/** How long a plan can be executed as it was shown, by its id, and from when on its end is told. */
const [GOOD_FOR, TOLD_FROM] = [15 * 60_000, 5 * 60_000];

/**
 * Asks for a plan. The server keeps no answers, so they all go with the same prompt. What a plan wants looked up is looked up at
 * once, and from then on new answers go to the newest plan, in `resolve`.
 */
async function fetchPlan({ prompt, context, answered, resolve }) {
  const answers = [...answered].map(([id, { value }]) => ({ id, value }));
  const post = async (path, body) => {
    const answer = await api('POST', path, body, { timeout: 120_000, cancel: planning.signal });
    if (!isObject(answer?.plan) || !Array.isArray(answer.plan.actions)) throw new Problem({ title: 'The response has no plan' });
    return answer;
  };
  const lookUp = async (id, given) => ({
    ...(await post(`/ai/plans/${encodeURIComponent(id)}/resolve`, { answers: given })),
    resolved: true,
  });
  if (resolve) return lookUp(resolve.plan, resolve.answers);
  const answer = await post('/ai/plan2', { prompt, context, answers: answers.length > 0 ? answers : undefined, timezone: timezone() });
  setTrouble('planner', null);
  if (answer.plan.status !== 'unresolved') return answer;
  const names = list(answer.plan.lookups).map(({ name, title, day }) => asText(name ?? title ?? day));
  $('planning-text').textContent = `Looking up ${names.filter(Boolean).join(', ')}…`;
  return lookUp(answer.plan.plan_id, []);
}

/** Plans a request. `answered` holds every answer to earlier questions by its id. */
async function ask(request, thenExecute) {
  if (planning) return;
  planning = new AbortController();
  $('plan-error').replaceChildren();
  // An earlier plan must not be mistaken for the new one. Questions come back if their answers did not get through.
  const before = shown;
  shown = null;
  $('plan-slot').replaceChildren();
  const began = performance.now();
  const tick = () => {
    $('planning-text').textContent = `Planning… ${Math.floor((performance.now() - began) / 1000)} s`;
  };
  tick();
  const ticking = setInterval(tick, 1000);
  $('planning').hidden = $('planning-cancel').hidden = false;
  for (const name of ['plan', 'plan-execute']) $(name).setAttribute('aria-disabled', 'true');
  announce('Planning.');
  try {
    const { plan: planned, meta, resolved } = await fetchPlan(request);
    $('planning-cancel').hidden = true;
    const plan = new PlanView(request, planned, meta ?? {}, resolved);
    show(plan);
    await plan.check();
    if (thenExecute && plan.clear) {
      await plan.execute();
    } else {
      if (thenExecute) plan.showStopped();
      announce(
        `Plan ready: ${count(plan.cards.length, 'action')}, ${count(plan.questions.length, 'question')}.${
          thenExecute ? ' Nothing was executed. Review the plan first.' : ''
        }`,
      );
      (plan.form ?? plan.heading).focus({ preventScroll: true });
    }
  } catch (error) {
    announce('');
    if (request.answered.size > 0 && before) show(before);
    if (error.code === 'cancelled') {
      announce('Planning stopped.');
      $('prompt').focus();
      return;
    }
    if (error.code === 'planner-unavailable')
      setTrouble('planner', ['The model did not answer', 'Planning may fail until it does. Jobs go on.']);
    showProblem($('plan-error'), error, { again: () => ask(request, false), focus: true });
  } finally {
    planning = null;
    clearInterval(ticking);
    $('planning').hidden = true;
    for (const name of ['plan', 'plan-execute']) $(name).removeAttribute('aria-disabled');
  }
}

/** An empty prompt, for the next request. */
function clear() {
  shown = null;
  $('plan-slot').replaceChildren();
  $('composer').classList.remove('planned');
  $('prompt').value = '';
  $('prompt').focus();
}

function show(plan) {
  shown = plan;
  $('plan-slot').replaceChildren(plan.node);
  tell('planned');
  // At once: what is checked afterwards changes little, and a person looks now.
  plan.node.scrollIntoView({ block: 'nearest' });
}

/** An action that a person edits before it is executed once more. */
bus.addEventListener('edit-again', ({ detail: action }) => {
  show(new PlanView({ answered: new Map() }, { actions: [action] }, {}));
  shown.check();
  shown.cards[0].toggleEditor(true);
});

class PlanView {
  constructor(request, planned, meta, resolved = false) {
    this.asked = request;
    this.id = planned.plan_id;
    // Only a plan of a prompt has an end; an action that is edited once more has none.
    this.until = this.id ? Date.now() + GOOD_FOR : Number.POSITIVE_INFINITY;
    this.questions = list(planned.clarifications).filter(isObject);
    this.notes = planned.notes;
    const open = new Set(this.questions.map(({ id }) => id));
    const closed = new Map([...request.answered].filter(([id]) => !open.has(id)));
    // A warning about a field stands at its action.
    const at = ({ field }) => /^\/actions\/(\d+)/.exec(asText(field ?? ''))?.[1];
    const warnings = list(planned.warnings).filter(isObject);
    this.warnings = warnings.filter((warning) => !planned.actions[at(warning)]);
    this.cards = planned.actions.map(
      (action, index) =>
        new ActionCard(action, index, {
          alone: planned.actions.length === 1,
          changed: () => this.refresh(),
          checked: () => this.renderFoot(),
          plan: planned.plan_id,
          recipients: action.recipients,
          warnings: warnings.filter((warning) => at(warning) === String(index)),
        }),
    );
    if (this.questions.length > 0) {
      this.form = questionForm(this.questions, request.answered, (given) => {
        const answered = new Map(closed);
        for (const [one, value] of given) answered.set(one.id, { one: request.answered.get(one.id)?.one ?? one, value, late: resolved });
        const answers = given.map(([{ id }, value]) => ({ id, value }));
        ask({ ...request, answered, resolve: resolved ? { plan: this.id, answers } : undefined }, false);
      });
    }
    // What a lookup asked is asked again, since the request alone does not ask it.
    const afresh = (kept) => ask({ ...request, answered: new Map(kept.filter(([, { late }]) => !late)), resolve: undefined }, false);
    const answerAgain = (id) => afresh([...closed].filter(([other]) => other !== id));

    const intent = asText(planned.intent ?? '').replaceAll('_', ' ');
    const facts = [
      meta.model === RULES ? 'planned by built-in rules, without a model' : meta.model && asText(meta.model),
      // Rules are never more or less sure.
      meta.model !== RULES &&
        typeof planned.confidence === 'number' &&
        this.cards.length > 0 &&
        `${Math.round(planned.confidence * 100)} % sure`,
      typeof meta.duration === 'number' && duration(meta.duration * 1000),
      meta.tokens_in + meta.tokens_out > 0 && `${meta.tokens_in} tokens in, ${meta.tokens_out} out`,
    ]
      .filter(Boolean)
      .join(' · ');

    this.heading = el('h2', { tabindex: '-1', id: 'plan-title' }, 'Plan', intent && intent !== 'none' && [': ', foreign(intent)]);
    this.footHint = el('p', { class: 'hint' });
    this.executeButton = button('Execute', () => this.execute(), { 'data-test': 'execute' });
    this.againButton = button('Plan again', () => afresh([...request.answered]), {
      class: 'primary',
      'data-test': 'plan-again',
    });
    this.foot = el('div', { class: 'foot' }, this.executeButton, this.againButton, this.footHint);
    this.stopped = el('div');
    this.problem = el('div');
    this.node = el(
      'section',
      { class: 'card plan', 'data-test': 'plan-view', 'aria-labelledby': 'plan-title' },
      el('div', { class: 'plan-head' }, this.heading, el('p', { class: 'fine' }, foreign(facts))),
      this.stopped,
      closed.size > 0 && answeredView(closed, answerAgain),
      this.form?.node,
      this.warnings.length > 0 && el('div', { class: 'notice', 'data-test': 'warnings' }, this.warnings.map(warningView)),
      this.notes && el('div', { class: 'notice', 'data-test': 'notes' }, el('p', {}, foreign(this.notes))),
      this.cards.map((card) => card.node),
      this.cards.length > 0
        ? this.foot
        : this.questions.length === 0 && el('p', { class: 'muted' }, 'There is nothing to execute in this plan.'),
      this.problem,
    );
    this.refresh();
  }

  get included() {
    return this.cards.filter((card) => !card.leftOut);
  }
  get changed() {
    return this.cards.some((card) => card.edited || card.leftOut);
  }
  /** Why a person should look first; undefined if there is no reason. */
  get reason() {
    if (this.questions.length > 0) return 'there is a question';
    if (this.notes) return 'there is a note';
    return this.warnings.some(stops) || !this.cards.every((card) => card.clear) ? 'there is a warning' : undefined;
  }
  get clear() {
    return this.cards.length > 0 && !this.reason;
  }

  /** Has the server render every action, which brings their warnings. */
  async check() {
    await Promise.all(this.cards.map((card) => card.check()));
  }

  showStopped() {
    if (this.cards.length === 0) return;
    this.stopped.replaceChildren(
      el(
        'p',
        { class: 'notice calm', 'data-test': 'stopped' },
        el('span', {}, el('strong', {}, 'Nothing was executed. '), `Review the plan first: ${this.reason}.`),
      ),
    );
  }

  /** Updates everything that depends on edits, on the catalogue and on the execution. */
  refresh() {
    for (const card of this.cards) card.refresh();
    this.renderFoot();
  }

  /** What pressing the button does, in its own words, such as `Send 2 mails as ana@example.com`. */
  get deed() {
    const deeds = new Map();
    for (const card of this.included) {
      const [verb, thing, rest] = card.deed;
      const things = deeds.get(verb + rest) ?? [verb, rest, new Map()];
      things[2].set(thing, (things[2].get(thing) ?? 0) + 1);
      deeds.set(verb + rest, things);
    }
    const all = this.included.length < this.cards.length ? ` of ${this.cards.length}` : '';
    const told = [...deeds.values()].map(([verb, rest, things]) => {
      const of = all && deeds.size === 1 && things.size === 1 ? all : '';
      return `${verb} ${[...things].map(([thing, n]) => (of ? `${n}${of} ${thing}s` : count(n, thing))).join(' and ')}${rest}`;
    });
    return told.map((one, i) => (i === 0 ? one : one[0].toLowerCase() + one.slice(1))).join(', ');
  }

  renderFoot() {
    if (this.done) return;
    const old = Date.now() > this.until && !this.changed;
    const rewritten = this.asked.prompt !== undefined && $('prompt').value.trim() !== this.asked.prompt;
    const live = this.included.some(({ original }) => modeOf(original.provider) !== 'sandbox');
    this.executeButton.replaceChildren(foreign(this.deed));
    // With an open question it is not the first thing to press.
    this.executeButton.className = this.questions.length > 0 || rewritten ? '' : live ? 'primary live' : 'primary';
    this.executeButton.hidden = this.included.length === 0 || old;
    this.againButton.hidden = !old;
    this.footHint.textContent =
      this.included.length === 0
        ? 'Everything is left out.'
        : old
          ? 'This plan is older than 15 minutes, so it is planned again first.'
          : rewritten
            ? 'The request above has changed since. This is the plan of the earlier one.'
            : consequence(this.included.map(({ original }) => original)) + this.left;
  }

  /** How much longer the plan can be executed as it is, once that is not long. */
  get left() {
    const left = this.until - Date.now();
    return left < TOLD_FROM && !this.changed ? ` This plan is good for ${count(Math.ceil(left / 60_000), 'more minute')}.` : '';
  }

  async execute() {
    if (this.executing || this.done) return;
    this.executing = true;
    this.problem.replaceChildren();
    await Promise.all(this.cards.map((card) => card.settle()));
    const wrong = this.included.filter((card) => card.refused());
    if (wrong.length > 0) {
      // The action says what is wrong with it.
      wrong[0].refused({ show: true });
      this.executing = false;
      return;
    }
    announce('Executing.');
    const cards = this.included;
    try {
      const answer = await this.request(cards);
      const accepted = list(answer?.jobs).length > 0 ? answer.jobs : list(answer?.job_ids).map((job_id) => ({ job_id }));
      this.done = true;
      for (const card of this.cards) card.close();
      this.node.classList.add('done');
      this.stopped.replaceChildren();
      this.foot.replaceChildren(
        el(
          'p',
          { class: 'hint', 'data-test': 'accepted' },
          `Accepted as ${count(accepted.length, 'job')}${accepted.some((job) => job.replayed) ? ', already known, so nothing is done twice' : ''}.`,
        ),
        button('New request', clear, { class: 'small', 'data-test': 'new-request' }),
      );
      announce(`Accepted as ${count(accepted.length, 'job')}.`);
      jobs.accept(accepted.map((job, i) => [{ ...cards[i]?.about(), ...job }, cards[i]?.summary]));
    } catch (error) {
      announce('');
      if (error.code === 'plan-not-found') this.until = 0;
      this.renderFoot();
      // An error about one action marks its field too.
      list(error.fields?.errors).forEach(({ pointer, detail }) => {
        const [, place, field] = /^\/actions\/(\d+)\/params\/([^/]+)/.exec(asText(pointer)) ?? [];
        if (place) cards[place]?.refuse([{ field, detail }]);
      });
      showProblem(this.problem, error, { focus: true });
    } finally {
      this.executing = false;
    }
  }

  /** Executes an unchanged plan by its id, a changed plan, or one that was never planned, as actions. */
  async request(cards) {
    if (this.id && !this.changed) return api('POST', '/ai/execute', { plan_id: this.id }, { timeout: 60_000 });
    // An edited action keeps its id. If an earlier try got through unnoticed, the server then refuses
    // a second one instead of doing it.
    const actions = cards.map((card) => card.request());
    try {
      return await api('POST', '/ai/execute', { actions, actor_id: 'dev-ui' }, { timeout: 60_000 });
    } catch (error) {
      // A key that is bound to an actor acts for no other.
      if (error.code !== 'actor-mismatch') throw error;
      return api('POST', '/ai/execute', { actions }, { timeout: 60_000 });
    }
  }
}
