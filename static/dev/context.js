// The text by somebody else that a prompt is about, such as a mail to answer.

import { $, announce, button, el } from './dom.js';

/** The server's limit in bytes of UTF-8. */
const MOST = 32 * 1024;
export const TOO_LONG = `The text beside the prompt is too long. At most ${MOST / 1024} KiB fit.`;

const bytes = (text) => new TextEncoder().encode(text ?? '').length;
export const isTooLong = (text) => bytes(text) > MOST;

/** The text; undefined if it is blank. */
export const contextText = () => ($('context').value.trim() === '' ? undefined : $('context').value);

function measure() {
  const text = $('context').value;
  $('context-hint').textContent = text === '' ? `At most ${MOST / 1024} KiB.` : `${(bytes(text) / 1024).toFixed(1)} of ${MOST / 1024} KiB.`;
  if (isTooLong(text)) $('context').setAttribute('aria-invalid', 'true');
}

const ADDRESS = /[^\s<>@]+@[^\s<>@]+\.[^\s<>@]+/;

/** Whether a text has the shape of a mail, in any language: header lines, the head of a reply, a rule, or quoted lines. */
function isMail(text) {
  const lines = text.split(/\r\n?|\n/).filter((line) => line.trim() !== '');
  if (lines.length < 2) return false;
  const headers = lines.filter((line) => /^\s*[*_]*\p{L}[\p{L}\p{M} '’-]{0,24}[*_]*\s?[:：]\s*\S/u.test(line));
  return (
    (headers.length > 1 && headers.some((line) => ADDRESS.test(line))) ||
    lines.some((line) => ADDRESS.test(line) && /[:：]\s*$/.test(line)) ||
    lines.some((line) => /^\s*[-_=—–*]{4,}/.test(line)) ||
    lines.filter((line) => /^\s*[>|]/.test(line)).length > 1
  );
}

function setValue(box, text) {
  box.value = text;
  box.dispatchEvent(new Event('input'));
}

/** Keeps a mail that is pasted into the prompt beside it, where no address in it counts and nothing in it is an order. */
function divert(event) {
  const pasted = event.clipboardData?.getData('text/plain') ?? '';
  if (!isMail(pasted)) return;
  event.preventDefault();
  const [prompt, context] = [$('prompt'), $('context')];
  const [start, end, before] = [prompt.selectionStart, prompt.selectionEnd, context.value];
  const undo = button('It is my own request: put it there', () => {
    setValue(context, before);
    setValue(prompt, prompt.value.slice(0, start) + pasted + prompt.value.slice(end));
    $('pasted').replaceChildren();
    prompt.focus();
  });
  setValue(context, before.trim() === '' ? pasted : `${before}\n\n${pasted}`);
  context.closest('details').open = true;
  const says = 'What you pasted looks like a mail, so it was put beside your request. Write here what to do with it.';
  $('pasted').replaceChildren(el('p', { class: 'notice calm', 'data-test': 'pasted' }, el('span', {}, says), undo));
  announce(says);
}

$('context').addEventListener('input', measure);
$('prompt').addEventListener('paste', divert);
measure();
