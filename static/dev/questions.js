// The questions of a plan, and the answers that were given. An answer is data: the prompt stays as it was written.

import { asText, el, foreign, freshId, list } from './dom.js';

const YES_OR_NO = [
  { value: true, label: 'Yes' },
  { value: false, label: 'No' },
];

/** The values to choose from; null for a question that takes a text. */
const choices = ({ kind, options }) => (kind === 'confirm' ? YES_OR_NO : kind === 'choice' ? list(options) : null);

/** A form that asks, with `focus()` for its first answer. `submit` gets `[clarification, value]` of each answer. */
export function questionForm(clarifications, answered, submit) {
  const questions = clarifications.map((one) => {
    // A question comes back when its answer could not be used.
    const before = answered.get(one.id)?.value;
    return { one, ...(choices(one) ? buttons(one) : box(one, before)) };
  });
  const focus = () => questions[0].first?.focus();
  const node = el(
    'form',
    {
      class: 'notice ask',
      onsubmit: (event) => {
        event.preventDefault();
        const given = questions.map(({ one, read }) => [one, read()]).filter(([, value]) => value !== undefined && value !== '');
        if (given.length > 0) submit(given);
        else focus();
      },
    },
    el('h3', {}, questions.length === 1 ? 'One question first' : `${questions.length} questions first`),
    el(
      'ul',
      { class: 'questions', 'data-test': 'questions' },
      questions.map(({ node }) => el('li', {}, node)),
    ),
    el('div', { class: 'row' }, el('button', { class: 'small primary', 'data-test': 'answer-plan' }, 'Answer and plan')),
  );
  return { node, focus };
}

const hooks = ({ id, kind }) => ({ 'data-test': 'answer', 'data-id': asText(id), 'data-kind': asText(kind) });

function box(one, before) {
  const first = el('input', {
    dir: 'auto',
    autocomplete: 'off',
    inputmode: one.kind === 'address' && 'email',
    'aria-invalid': before !== undefined && 'true',
  });
  first.value = asText(before);
  return { first, read: () => first.value.trim(), node: el('label', { class: 'field', ...hooks(one) }, foreign(one.text), first) };
}

function buttons(one) {
  let chosen;
  const legend = freshId('question');
  const all = choices(one).map(({ value, label }) =>
    el(
      'button',
      {
        type: 'button',
        class: 'small',
        'aria-pressed': 'false',
        'data-value': asText(value),
        onclick: ({ currentTarget }) => {
          chosen = chosen === value ? undefined : value;
          for (const button of all) button.setAttribute('aria-pressed', String(button === currentTarget && chosen !== undefined));
        },
      },
      foreign(label),
    ),
  );
  const node = el(
    'div',
    { class: 'field', role: 'group', 'aria-labelledby': legend, ...hooks(one) },
    el('p', { id: legend, class: 'question' }, foreign(one.text)),
    el('div', { class: 'row' }, all),
  );
  return { first: all[0], read: () => chosen, node };
}

/** The answers that a plan was made with. `change` gets the id of an answer that a person wants to give again. */
export const answeredView = (answered, change) =>
  el(
    'div',
    { class: 'notice calm', 'data-test': 'answered' },
    el('strong', {}, 'You answered:'),
    el(
      'ul',
      {},
      [...answered].map(([id, { one, value }]) =>
        el(
          'li',
          { class: 'row' },
          foreign(one.text),
          el('strong', {}, foreign(choices(one)?.find((option) => option.value === value)?.label ?? value)),
          el(
            'button',
            { type: 'button', class: 'small', 'data-test': 'change-answer', onclick: () => change(id) },
            'Change',
            el('span', { class: 'sr-only' }, ' the answer to: ', foreign(one.text)),
          ),
        ),
      ),
    ),
  );
