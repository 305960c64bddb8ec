// A readable page of /openapi.json. Text from the document is only ever set as text.

import { el } from './el.js';
import { snippet } from './snippets.js';

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];

const pretty = (value) => (typeof value === 'string' ? value : JSON.stringify(value, null, 2));
const code = (text, label) => el('pre', { tabindex: '0', role: 'group', 'aria-label': label }, text);
const idOf = (method, path) => `${method}${path.replace(/[{}]/g, '').replaceAll('/', '-')}`;

/** The API key of this tab, as the page under /dev keeps it. */
function tabKey() {
  try {
    return sessionStorage.getItem('api-key');
  } catch {
    return null;
  }
}

/** Text whose code stands between backticks. */
const prose = (text) => text.split('`').map((part, i) => (i % 2 === 1 ? el('code', {}, part) : part));

/** Prints a schema as a readable type, with its descriptions as comments. */
function type(schema, document, depth = 0, seen = []) {
  const name = schema.$ref?.split('/').pop();
  if (name) {
    if (seen.includes(name)) return name;
    return type(document.components.schemas[name], document, depth, [...seen, name]);
  }
  const union = schema.oneOf ?? schema.anyOf;
  if (union) return [...new Set(union.map((one) => type(one, document, depth, seen)))].join(' | ');
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  const types = [schema.type ?? 'any'].flat();
  return types
    .map((one) => {
      if (one === 'array') return `${type(schema.items ?? {}, document, depth, seen)}[]`;
      if (one === 'object' && schema.properties) {
        const pad = '  '.repeat(depth + 1);
        const lines = Object.entries(schema.properties).flatMap(([key, value]) => [
          ...(value.description ? value.description.split('\n').map((line) => `${pad}// ${line}`) : []),
          `${pad}${key}${schema.required?.includes(key) ? '' : '?'}: ${type(value, document, depth + 1, seen)}`,
        ]);
        return `{\n${lines.join('\n')}\n${'  '.repeat(depth)}}`;
      }
      return one === 'string' && schema.format ? schema.format : one;
    })
    .join(' | ');
}

/** Returns the examples of a content as [name, value]. */
function examples(content) {
  if (content.example !== undefined) return [['', content.example]];
  return Object.entries(content.examples ?? {}).map(([name, { value }]) => [name, value]);
}

function body(title, { content = {} } = {}, document) {
  return Object.entries(content).map(([kind, one]) => {
    const [first] = examples(one);
    const shape = one.schema && type(one.schema, document);
    return el(
      'div',
      {},
      el('h4', {}, `${title} · ${kind}`),
      el(
        'div',
        { class: 'halves' },
        first && code(pretty(first[1]), `${title}: example`),
        shape && shape !== 'string' && code(shape, `${title}: fields`),
      ),
    );
  });
}

function parameters(list = [], document) {
  if (list.length === 0) return null;
  return el(
    'div',
    {},
    el('h4', {}, 'Parameters'),
    el(
      'dl',
      { class: 'pairs' },
      list.flatMap((one) => [
        el('dt', {}, el('code', {}, one.name)),
        el(
          'dd',
          {},
          [one.in, one.required && 'required', type(one.schema ?? {}, document)].filter(Boolean).join(', '),
          one.description && ['. ', prose(one.description)],
        ),
      ]),
    ),
  );
}

/** Lists the errors of a route, from the names of its examples. */
function errors(responses) {
  const all = responses
    .flatMap(([status, { content = {} }]) =>
      Object.values(content).flatMap((one) => examples(one).map(([name, value]) => [status, name, value])),
    )
    .filter(([, name, value]) => name && value?.title);
  return (
    all.length > 0 &&
    el(
      'details',
      {},
      el('summary', {}, `Errors (${all.length})`),
      el(
        'ul',
        { class: 'errors' },
        all.map(([status, name, value]) =>
          el(
            'li',
            {},
            el('span', { class: 'status' }, status),
            el('a', { href: `/problems/${encodeURIComponent(name)}` }, name),
            el('span', { class: 'muted' }, value.title),
          ),
        ),
      ),
    )
  );
}

/** The request of a route, made of its examples. A key is shown where the route wants one and this tab has one. */
function requestOf(path, method, operation) {
  const required = (operation.parameters ?? []).filter((one) => one.in === 'path');
  const filled = required.reduce(
    (text, { name, example, schema }) => text.replace(`{${name}}`, example ?? schema?.example ?? `{${name}}`),
    path,
  );
  const [content] = Object.entries(operation.requestBody?.content ?? {});
  const [first] = content ? examples(content[1]) : [];
  return { method: method.toUpperCase(), url: location.origin + filled, body: first?.[1] };
}

const keyFor = (operation) => () => (operation.security ? tabKey() : null);

/** Asks a route that changes nothing, and shows what it says. */
function tryIt(operation, request) {
  const answer = el('div');
  const path = el('input', { 'aria-label': 'Path', spellcheck: 'false', autocomplete: 'off' });
  path.value = request.url.slice(location.origin.length);
  const ask = async (event) => {
    event.preventDefault();
    // Only this server is asked, whatever the box says.
    const url = new URL(path.value, location.origin);
    if (url.origin !== location.origin) return;
    const key = keyFor(operation)();
    try {
      const response = await fetch(url, { headers: { accept: 'application/json', ...(key && { authorization: `Bearer ${key}` }) } });
      const text = await response.text();
      let shown = text;
      try {
        shown = pretty(JSON.parse(text));
      } catch {
        /* it is no JSON */
      }
      answer.replaceChildren(el('p', { class: 'hint' }, `${response.status} ${response.statusText}`), code(shown, 'The answer'));
    } catch {
      answer.replaceChildren(el('p', { class: 'notice bad', role: 'alert' }, 'The server cannot be reached.'));
    }
  };
  return el(
    'form',
    { class: 'try', 'data-test': 'try', onsubmit: ask },
    el('div', { class: 'row' }, path, el('button', { class: 'small' }, 'Try')),
    answer,
  );
}

function route(path, method, operation, document) {
  const scopes = (operation.security ?? []).flatMap((one) => Object.values(one).flat());
  const request = requestOf(path, method, operation);
  const responses = Object.entries(operation.responses ?? {});
  const [good, bad] = [responses.filter(([status]) => status < '4'), responses.filter(([status]) => status >= '4')];
  return el(
    'article',
    { class: 'card route', id: idOf(method, path), 'aria-label': `${method.toUpperCase()} ${path}` },
    el(
      'h3',
      {},
      el('span', { class: `badge ${method}` }, method.toUpperCase()),
      path,
      el('span', { class: 'badge' }, scopes.length > 0 ? scopes.join(', ') : 'no key'),
    ),
    el('p', {}, prose(operation.summary ?? '')),
    operation.description && operation.description !== operation.summary && el('p', { class: 'hint' }, prose(operation.description)),
    snippet(request, keyFor(operation)),
    method === 'get' && !path.includes('callback') && tryIt(operation, request),
    parameters(operation.parameters, document),
    body('Request', operation.requestBody, document),
    good.map(([status, response]) => [
      el('p', { class: 'hint' }, `${status}: `, prose(response.description)),
      body(status, response, document),
    ]),
    errors(bad),
  );
}

/** Shows the routes that have these words in their method, path or summary. */
function filter(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (node) => words.every((word) => node.dataset.words.includes(word));
  for (const node of document.querySelectorAll('[data-words]')) node.hidden = !fits(node);
  for (const group of document.querySelectorAll('.group')) group.hidden = !group.querySelector('[data-words]:not([hidden])');
  document.getElementById('nothing').hidden = document.querySelector('.route:not([hidden])') !== null;
}

/** The two calls that most programs make. */
function start() {
  const post = (path, body) => snippet({ method: 'POST', url: location.origin + path, body }, tabKey);
  document
    .getElementById('start-snippets')
    .append(
      post('/ai/plan2', { prompt: 'Send email to john@example.com saying thanks for the meeting' }),
      el('p', {}, 'The plan has a ', el('code', {}, 'plan_id'), '. Look at its actions, questions and warnings; then:'),
      post('/ai/execute', { plan_id: 'PLAN_ID' }),
      el('p', {}, 'Each action becomes a job. ', el('code', {}, 'GET /ai/jobs/{job_id}?wait=10'), ' answers when it ends.'),
    );
  document.getElementById('key-state').textContent = tabKey()
    ? 'The requests on this page carry the key of this tab.'
    : 'Enter a key on the page of this server, in this tab, and the requests here carry it.';
}

async function show() {
  const main = document.querySelector('main');
  start();
  try {
    const answer = await fetch('/openapi.json');
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    const api = await answer.json();
    const groups = new Map((api.tags ?? []).map(({ name, description }) => [name, { description, routes: [] }]));
    for (const [path, item] of Object.entries(api.paths)) {
      for (const method of METHODS.filter((one) => item[one])) {
        const tag = item[method].tags?.[0] ?? 'other';
        if (!groups.has(tag)) groups.set(tag, { routes: [] });
        groups.get(tag).routes.push([path, method, item[method]]);
      }
    }
    const used = [...groups].filter(([, { routes }]) => routes.length > 0);
    const words = (path, method, { summary = '' }) => `${method} ${path} ${summary}`.toLowerCase();
    document.getElementById('about').textContent = `${api.info.title} ${api.info.version}. ${api.info.description ?? ''}`;
    const chapter = (id, name) => el('a', { href: `#${id}` }, name);
    document.getElementById('links').replaceChildren(
      el('div', {}, chapter('start', 'Start'), chapter('keys', 'Keys'), chapter('once', 'Once')),
      ...used.map(([tag, { routes }]) =>
        el(
          'div',
          { class: 'group' },
          el('h2', {}, tag),
          routes.map(([path, method, operation]) =>
            el('a', { href: `#${idOf(method, path)}`, 'data-words': words(path, method, operation) }, `${method.toUpperCase()} ${path}`),
          ),
        ),
      ),
    );
    document.getElementById('groups').replaceChildren(
      ...used.map(([tag, { description, routes }]) =>
        el(
          'section',
          { class: 'group', 'aria-label': tag },
          el('h2', {}, tag),
          description && el('p', { class: 'hint' }, prose(description)),
          routes.map(([path, method, operation]) => {
            const node = route(path, method, operation, api);
            node.dataset.words = words(path, method, operation);
            return node;
          }),
        ),
      ),
    );
    if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
  } catch (error) {
    document
      .getElementById('groups')
      .replaceChildren(el('p', { class: 'notice bad', role: 'alert' }, `The document cannot be read: ${error.message}`));
  } finally {
    main.removeAttribute('aria-busy');
  }
}

// On a narrow screen the list of routes must not stand before everything else.
document.getElementById('links-box').open = matchMedia('(min-width: 62rem)').matches;
document.getElementById('filter').addEventListener('input', ({ target }) => filter(target.value));
show();
