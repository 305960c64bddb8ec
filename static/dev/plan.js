// The plan: made from the prompt, reviewed, edited, executed.

import { ActionCard } from './action.js';
import { withAnswers } from './answers.js';
import { api, Problem } from './api.js';
import { $, announce, asText, button, count, duration, el, foreign, freshId, isObject, list, tell } from './dom.js';
import { jobs } from './jobs.js';
import { showProblem } from './problems.js';
import { stateOf } from './providers.js';

/** The shown plan, or null. */
let shown = null;
let planning = false;

export const refreshPlan = () => shown?.refresh();

export const timezone = () => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  // Some browsers return a name that is not a zone if they do not know it.
  return zone && zone !== 'Etc/Unknown' ? zone : undefined;
};

/** Plans the prompt. With `thenExecute` it also executes the plan, unless there is a question, a note or a warning. */
export async function makePlan(thenExecute) {
  const prompt = $('prompt').value.trim();
  $('plan-error').replaceChildren();
  if (prompt === '') {
    $('plan-error').replaceChildren(
      el('p', { class: 'notice bad', role: 'alert', id: 'prompt-error', 'data-test': 'error' }, 'Describe what should be done first.'),
    );
    $('prompt').setAttribute('aria-invalid', 'true');
    $('prompt').focus();
    return;
  }
  if (planning) return;
  planning = true;
  // Remove the earlier plan so that nobody mistakes it for the new one.
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
    const answer = await api('POST', '/ai/plan2', { prompt, timezone: timezone() }, { timeout: 120_000 });
    if (!isObject(answer?.plan) || !Array.isArray(answer.plan.actions)) throw new Problem({ title: 'The response has no plan' });
    const plan = new PlanView(prompt, answer.plan, answer.meta ?? {});
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
      (plan.firstAnswer ?? plan.heading).focus();
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
  constructor(prompt, planned, meta) {
    this.prompt = prompt;
    this.id = planned.plan_id;
    this.questions = list(planned.questions).map(asText);
    this.notes = planned.notes;
    this.cards = planned.actions.map(
      (action, index) => new ActionCard(action, index, { alone: planned.actions.length === 1, changed: () => this.refresh() }),
    );

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
      this.questions.length > 0 && this.questionForm(),
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
  /** Whether there is no question, note or warning. */
  get clear() {
    return this.cards.length > 0 && this.questions.length === 0 && !this.notes && this.cards.every((card) => card.clear);
  }

  /** Lets the server render every action, which also returns the warnings. */
  async check() {
    await Promise.all(this.cards.map((card) => card.check()));
  }

  questionForm() {
    const boxes = this.questions.map((question) => {
      const id = freshId('answer');
      return { question, id, box: el('input', { id, dir: 'auto', autocomplete: 'off', 'data-test': 'answer' }) };
    });
    this.firstAnswer = boxes[0].box;
    return el(
      'form',
      {
        class: 'notice ask',
        onsubmit: (event) => {
          event.preventDefault();
          const answered = boxes.map(({ question, box }) => ({ question, answer: box.value }));
          if (answered.every(({ answer }) => answer.trim() === '')) {
            this.firstAnswer.focus();
            return;
          }
          // What is planned is always what stands in the prompt, where a person sees it.
          $('prompt').value = withAnswers(this.prompt, answered);
          makePlan(false);
        },
      },
      el('h3', {}, boxes.length === 1 ? 'One question first' : `${boxes.length} questions first`),
      el(
        'ul',
        { class: 'questions', 'data-test': 'questions' },
        boxes.map(({ question, id, box }) => el('li', { class: 'field' }, el('label', { for: id }, foreign(question)), box)),
      ),
      el(
        'div',
        { class: 'row' },
        el('button', { class: 'small primary', 'data-test': 'answer-plan' }, 'Plan with this'),
        el('span', { class: 'hint' }, 'What you answer becomes part of the prompt.'),
      ),
    );
  }

  showStopped() {
    if (this.cards.length === 0) return;
    const why = this.questions.length > 0 ? 'there is a question' : this.notes ? 'there is a note' : 'there is a warning';
    this.stopped.replaceChildren(
      el(
        'p',
        { class: 'notice calm', 'data-test': 'stopped' },
        el('span', {}, el('strong', {}, 'Nothing was sent. '), `Review the plan first: ${why}.`),
      ),
    );
  }

  /** Updates everything that depends on edits, the catalogue or the execution. */
  refresh() {
    for (const card of this.cards) card.refresh();
    const states = this.included.map((card) => stateOf(card.original.provider));
    const several = this.cards.length > 1 ? ` ${this.included.length} of ${this.cards.length}` : '';
    this.executeButton.textContent = `Execute${this.included.length < this.cards.length ? several : ''}${this.cards.some((card) => card.edited) ? ' as edited' : ''}`;
    this.executeButton.hidden = this.included.length === 0;
    this.footHint.textContent =
      this.included.length === 0
        ? 'Everything is left out.'
        : states.includes('live')
          ? 'Sends real mail.'
          : states.every((state) => state === 'sandbox')
            ? 'Nothing leaves this server: sandbox mail goes to the outbox.'
            : '';
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
          `Accepted as ${count(accepted.length, 'job')}${accepted.some((job) => job.replayed) ? ', already known: nothing is done twice' : ''}.`,
        ),
      );
      announce(`Accepted as ${count(accepted.length, 'job')}.`);
      jobs.accept(accepted.map((job, i) => [{ ...cards[i]?.about(), ...job }, cards[i]?.params]));
    } catch (error) {
      announce('');
      // Show the errors of an action at the action too.
      list(error.fields?.errors).forEach(({ pointer, detail }) => {
        const [, place, field] = /^\/actions\/(\d+)\/params\/([^/]+)/.exec(asText(pointer)) ?? [];
        if (place) cards[place]?.refuse([{ field, detail }]);
      });
      showProblem(this.problem, error, { focus: true });
    } finally {
      this.executing = false;
    }
  }

  /** Executes an unchanged plan by its id, and a changed one as actions. */
  async request(cards) {
    if (!this.changed) return api('POST', '/ai/execute', { plan_id: this.id }, { timeout: 60_000 });
    // Edited actions keep their ids. If an earlier request did reach the server, it refuses a second mail instead of
    // sending it.
    const actions = cards.map((card) => card.request());
    try {
      return await api('POST', '/ai/execute', { actions, actor_id: 'dev-ui' }, { timeout: 60_000 });
    } catch (error) {
      // A key that is bound to an actor acts for that actor.
      if (error.code !== 'actor-mismatch') throw error;
      return api('POST', '/ai/execute', { actions }, { timeout: 60_000 });
    }
  }
}
