// The plan: made from the prompt, shown, corrected and executed.

import { consequence } from './accounts.js';
import { ActionCard, stops, warningView } from './action.js';
import { api, Problem } from './api.js';
import { contextText, isTooLong, TOO_LONG } from './context.js';
import { $, announce, asText, bus, button, count, duration, el, foreign, isObject, list, tell } from './dom.js';
import { jobs } from './jobs.js';
import { showProblem } from './problems.js';
import { answeredView, questionForm } from './questions.js';

/** The shown plan, or null. */
let shown = null;
let planning = false;

/** The catalogue or a connection changed. */
export function refreshPlan() {
  shown?.refresh();
  if (!shown?.done) shown?.check();
}

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

/** Plans a request. `answered` holds every answer to earlier questions by its id, since the server keeps none. */
async function ask(request, thenExecute) {
  if (planning) return;
  planning = true;
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
  $('planning').hidden = false;
  announce('Planning.');
  try {
    const { prompt, context, answered } = request;
    const answers = answered.size > 0 ? [...answered].map(([id, { value }]) => ({ id, value })) : undefined;
    const body = { prompt, context, answers, timezone: timezone() };
    const answer = await api('POST', '/ai/plan2', body, { timeout: 120_000 });
    if (!isObject(answer?.plan) || !Array.isArray(answer.plan.actions)) throw new Problem({ title: 'The response has no plan' });
    const plan = new PlanView(request, answer.plan, answer.meta ?? {});
    shown = plan;
    $('plan-slot').replaceChildren(plan.node);
    tell('planned');
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
      (plan.form ?? plan.heading).focus();
    }
  } catch (error) {
    announce('');
    if (request.answered.size > 0 && before) {
      shown = before;
      $('plan-slot').replaceChildren(before.node);
    }
    showProblem($('plan-error'), error, { focus: true });
  } finally {
    planning = false;
    clearInterval(ticking);
    $('planning').hidden = true;
  }
}

/** An action that a person edits before it is executed once more. */
bus.addEventListener('edit-again', ({ detail: action }) => {
  shown = new PlanView({ answered: new Map() }, { actions: [action] }, {});
  $('plan-slot').replaceChildren(shown.node);
  tell('planned');
  shown.check();
  shown.cards[0].toggleEditor(true);
});

class PlanView {
  constructor(request, planned, meta) {
    this.id = planned.plan_id;
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
          plan: planned.plan_id,
          warnings: warnings.filter((warning) => at(warning) === String(index)),
        }),
    );
    if (this.questions.length > 0) {
      this.form = questionForm(this.questions, request.answered, (given) => {
        const answered = new Map(closed);
        for (const [one, value] of given) answered.set(one.id, { one: request.answered.get(one.id)?.one ?? one, value });
        ask({ ...request, answered }, false);
      });
    }
    const answerAgain = (id) => ask({ ...request, answered: new Map([...closed].filter(([other]) => other !== id)) }, false);

    const intent = asText(planned.intent ?? '').replaceAll('_', ' ');
    const facts = [
      typeof planned.confidence === 'number' && this.cards.length > 0 && `${Math.round(planned.confidence * 100)} % sure`,
      meta.model && asText(meta.model),
      typeof meta.duration === 'number' && duration(meta.duration * 1000),
      meta.tokens_in + meta.tokens_out > 0 && `${meta.tokens_in} tokens in, ${meta.tokens_out} out`,
    ]
      .filter(Boolean)
      .join(' · ');

    this.heading = el('h2', { tabindex: '-1', id: 'plan-title' }, 'Plan', intent && intent !== 'none' && [': ', foreign(intent)]);
    this.footHint = el('p', { class: 'hint' });
    this.executeButton = button('Execute', () => this.execute(), { class: 'primary', 'data-test': 'execute' });
    this.foot = el('div', { class: 'foot' }, this.executeButton, this.footHint);
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
    const several = this.cards.length > 1 ? ` ${this.included.length} of ${this.cards.length}` : '';
    this.executeButton.textContent = `Execute${this.included.length < this.cards.length ? several : ''}${this.cards.some((card) => card.edited) ? ' as edited' : ''}`;
    this.executeButton.hidden = this.included.length === 0;
    this.footHint.textContent =
      this.included.length === 0 ? 'Everything is left out.' : consequence(this.included.map(({ original }) => original));
  }

  async execute() {
    if (this.executing || this.done) return;
    this.executing = true;
    this.problem.replaceChildren();
    for (const card of this.cards) card.settle();
    announce('Executing.');
    const cards = this.included;
    try {
      const answer = await this.request(cards);
      const accepted = list(answer?.jobs).length > 0 ? answer.jobs : list(answer?.job_ids).map((job_id) => ({ job_id }));
      this.done = true;
      for (const card of this.cards) card.close();
      this.stopped.replaceChildren();
      this.foot.replaceChildren(
        el(
          'p',
          { class: 'hint', 'data-test': 'accepted' },
          `Accepted as ${count(accepted.length, 'job')}${accepted.some((job) => job.replayed) ? ', already known, so nothing is done twice' : ''}.`,
        ),
      );
      announce(`Accepted as ${count(accepted.length, 'job')}.`);
      jobs.accept(accepted.map((job, i) => [{ ...cards[i]?.about(), ...job }, cards[i]?.summary]));
    } catch (error) {
      announce('');
      // An error about one action is shown at that action too.
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
