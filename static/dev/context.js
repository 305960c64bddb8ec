// The text by somebody else that a prompt is about, such as a mail to answer.

import { $ } from './dom.js';

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

$('context').addEventListener('input', measure);
measure();
