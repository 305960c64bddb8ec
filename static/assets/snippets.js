// A request in curl, Python and TypeScript, with a button that copies it.

import { copyButton, el } from './el.js';

const indented = (value, by) => JSON.stringify(value, null, 2).replaceAll('\n', `\n${' '.repeat(by)}`);
/** A text in single quotes of a shell. */
const quoted = (text) => `'${text.replaceAll("'", String.raw`'\''`)}'`;
/** JSON as Python writes it. */
const python = (value) =>
  indented(value, 4).replace(
    /"(?:[^"\\]|\\.)*"|\b(?:true|false|null)\b/g,
    (word) => ({ true: 'True', false: 'False', null: 'None' })[word] ?? word,
  );

const LANGUAGES = {
  curl: ({ method, url, key, body }) =>
    [
      `curl -sS${method === 'GET' ? '' : ` -X ${method}`} ${quoted(url)}`,
      key && `-H ${quoted(`Authorization: Bearer ${key}`)}`,
      method !== 'GET' && "-H 'Content-Type: application/json'",
      body !== undefined && `-d ${quoted(JSON.stringify(body))}`,
    ]
      .filter(Boolean)
      .join(' \\\n  '),
  Python: ({ method, url, key, body }) =>
    [
      'import requests',
      '',
      `answer = requests.${method.toLowerCase()}(`,
      `    ${JSON.stringify(url)},`,
      key && `    headers={"Authorization": ${JSON.stringify(`Bearer ${key}`)}},`,
      // A write without a body is JSON too, or the server refuses it.
      method !== 'GET' && `    json=${body === undefined ? '{}' : python(body)},`,
      ')',
      'answer.raise_for_status()',
      'print(answer.text)',
    ]
      .filter((line) => typeof line === 'string')
      .join('\n'),
  TypeScript: ({ method, url, key, body }) => {
    const headers = [method !== 'GET' && "'Content-Type': 'application/json'", key && `Authorization: ${quoted(`Bearer ${key}`)}`].filter(
      Boolean,
    );
    return [
      `const answer = await fetch(${quoted(url)}, {`,
      `  method: '${method}',`,
      headers.length > 0 && `  headers: { ${headers.join(', ')} },`,
      body !== undefined && `  body: JSON.stringify(${indented(body, 2)}),`,
      '});',
      'if (!answer.ok) throw new Error(await answer.text());',
      'console.log(await answer.text());',
    ]
      .filter(Boolean)
      .join('\n');
  },
};

let language = 'curl';
const shown = new Set();

/** A request in the chosen language; one choice counts for all of a page. `key` gives the key to show, if there is one. */
export function snippet(request, key) {
  const code = el('pre', { tabindex: '0', role: 'group', 'aria-label': 'The request' });
  const write = () => LANGUAGES[language]({ ...request, key: key() });
  const buttons = Object.keys(LANGUAGES).map((name) => el('button', { type: 'button', class: 'small', onclick: () => choose(name) }, name));
  const show = () => {
    code.textContent = write();
    for (const one of buttons) one.setAttribute('aria-pressed', String(one.textContent === language));
  };
  shown.add(show);
  show();
  return el(
    'div',
    { class: 'snippet', 'data-test': 'snippet' },
    el('div', { class: 'row' }, buttons, copyButton(write, 'the request')),
    code,
  );
}

function choose(name) {
  language = name;
  for (const show of shown) show();
}
