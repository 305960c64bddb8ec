// A readable page of /openapi.json. Text from the document is only ever set as text.

import { el } from './el.js';

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];

const pretty = (value) => (typeof value === 'string' ? value : JSON.stringify(value, null, 2));
const code = (text, label) => el('pre', { tabindex: '0', role: 'group', 'aria-label': label }, text);
const idOf = (method, path) => `${method}${path.replace(/[{}]/g, '').replaceAll('/', '-')}`;

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
          one.description && `. ${one.description}`,
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

function route(path, method, operation, document) {
  const scopes = (operation.security ?? []).flatMap((one) => Object.values(one).flat());
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
    el('p', {}, operation.summary),
    operation.description && operation.description !== operation.summary && el('p', { class: 'hint' }, operation.description),
    parameters(operation.parameters, document),
    body('Request', operation.requestBody, document),
    good.map(([status, response]) => [el('p', { class: 'hint' }, `${status}: ${response.description}`), body(status, response, document)]),
    errors(bad),
  );
}

async function show() {
  const main = document.querySelector('main');
  try {
    const answer = await fetch('/openapi.json');
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    const api = await answer.json();
    const groups = new Map();
    for (const [path, item] of Object.entries(api.paths)) {
      for (const method of METHODS.filter((one) => item[one])) {
        const tag = item[method].tags?.[0] ?? 'other';
        groups.set(tag, [...(groups.get(tag) ?? []), [path, method, item[method]]]);
      }
    }
    document.getElementById('about').textContent = `${api.info.title} ${api.info.version}. ${api.info.description ?? ''}`;
    document.getElementById('contents').replaceChildren(
      ...[...groups].map(([tag, routes]) =>
        el(
          'div',
          {},
          el('h2', {}, tag),
          routes.map(([path, method]) => el('a', { href: `#${idOf(method, path)}` }, `${method.toUpperCase()} ${path}`)),
        ),
      ),
    );
    main.replaceChildren(
      ...[...groups].map(([tag, routes]) =>
        el(
          'section',
          { class: 'group', 'aria-label': tag },
          el('h2', {}, tag),
          routes.map(([path, method, operation]) => route(path, method, operation, api)),
        ),
      ),
    );
    if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
  } catch (error) {
    main.replaceChildren(el('p', { class: 'notice bad', role: 'alert' }, `The document cannot be read: ${error.message}`));
  } finally {
    main.removeAttribute('aria-busy');
  }
}

show();
