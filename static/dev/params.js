// The params of an action as fields, built from the JSON Schema in the catalogue. `x-kind` tells how a field is shown and edited:
// `addresses` (one or a list), `line`, `text` (long), `html` (source); a param without one is plain text or JSON.

import { catalogue } from './accounts.js';
import { asText, el, foreign, freshId, isObject, list, pairs, present, visible, wallTime } from './dom.js';
import { htmlView } from './markup.js';

const KINDS = ['addresses', 'line', 'text', 'html'];
const isText = (kind) => kind === 'text' || kind === 'html';

/** The fields of an action: the properties of its schema in their order, then params that the schema does not know. */
export function fieldsOf(action, params) {
  const schema = catalogue.get(action)?.params_schema;
  const properties = isObject(schema?.properties) ? schema.properties : {};
  return [...new Set([...Object.keys(properties), ...Object.keys(params)])].map((name) => {
    const property = Object.hasOwn(properties, name) && isObject(properties[name]) ? properties[name] : {};
    const value = Object.hasOwn(params, name) ? params[name] : undefined;
    const plain = typeof value === 'string' || list(property.type).includes('string');
    return {
      name,
      value,
      label: asText(property.title) || name,
      kind: KINDS.find((kind) => kind === property['x-kind']) ?? (plain ? 'plain' : 'json'),
      required: list(schema?.required).includes(name),
    };
  });
}

/** An action in one line: its first short text and its first addresses. */
export function summaryOf(action, params) {
  const present = fieldsOf(action, params).filter(({ value }) => value !== undefined);
  const first = (kind) => present.find((field) => field.kind === kind)?.value;
  return { title: asText(first('line')), recipients: list(first('addresses')).map(asText) };
}

/** The fields as a person reads them, below rows of the card's own. `told` says of an address where it comes from. */
export function paramsView(rows, fields, { open = true, told = () => null } = {}) {
  const shown = fields.filter(({ value }) => value !== undefined);
  const title = shown.find(({ kind }) => kind === 'line');
  const short = shown.filter(({ kind }) => !isText(kind));
  const row = (field) => [
    foreign(field.label),
    field.kind === 'addresses'
      ? list(field.value).map((address) => el('div', { class: 'row tight' }, foreign(address), told(asText(address))))
      : (wallTime(field.value) ??
        foreign(field.value, { class: field === title ? 'title' : typeof field.value === 'object' ? 'mono' : '' })),
  ];
  return present([
    rows.length + short.length > 0 && pairs([...rows, ...short.map(row)]),
    shown
      .filter(({ kind }) => isText(kind))
      .map(({ kind, label, value }) =>
        kind === 'html'
          ? el('details', { open }, el('summary', {}, 'As HTML'), htmlView(asText(value), label))
          : el('div', { class: 'sheet', dir: 'auto', tabindex: '0', role: 'group', 'aria-label': label }, visible(asText(value))),
      ),
  ]);
}

/** A field of the editor. `changed` gets the new value, undefined if the param is gone. */
export function fieldEditor({ name, label, kind, required, value }, changed) {
  const [id, wrong] = [freshId('edit'), freshId('wrong')];
  const props = { id, dir: 'auto', 'aria-describedby': wrong, 'data-field': name, 'data-test': `edit-${name}` };
  const box =
    kind === 'line'
      ? el('input', props)
      : el('textarea', {
          ...props,
          rows: isText(kind) ? '5' : '1',
          class: isText(kind) ? 'text' : kind,
          spellcheck: String(kind === 'text'),
        });
  const before = editable(kind, value);
  box.value = before;
  // A text that reads as before leaves the param as it was.
  box.addEventListener('input', () => changed(box.value === before ? value : read(kind, box.value, required)));
  return el(
    'div',
    { class: 'field' },
    el(
      'label',
      { for: id },
      foreign(label),
      kind === 'addresses' && el('span', { class: 'hint' }, ', one address a line or after a comma'),
      kind === 'json' && el('span', { class: 'hint' }, ', as JSON'),
    ),
    box,
    el('p', { class: 'wrong', id: wrong, 'data-test': `wrong-${name}` }),
  );
}

/** A param as a text box holds it. */
function editable(kind, value) {
  const text = kind === 'addresses' ? list(value).map(asText).join('\n') : asText(value);
  return text.replace(/\r\n?/g, '\n');
}

/** A param from its text. The server says what is wrong with it. */
function read(kind, text, required) {
  if (kind === 'addresses') {
    // A name in quotes may have a comma.
    const addresses = (text.match(/(?:"[^"\n]*"|[^",;\n]|")+/g) ?? []).map((one) => one.trim()).filter(Boolean);
    return addresses.length > 1 ? addresses : addresses[0];
  }
  if (text === '' && (!required || kind === 'json')) return undefined;
  if (kind !== 'json') return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const SOURCES = {
  contact: 'from your contacts',
  directory: 'from your organisation’s directory',
  event: 'from the event’s guests',
  answer: 'your answer',
};

/** Says of an address where it was found, and whether it is outside, as the server tells it in `recipients`. */
export const sourcesOf = (recipients) => {
  const known = list(recipients).filter(isObject);
  return (address) => {
    const bare = /<([^<>]+)>\s*$/.exec(address)?.[1] ?? address;
    const found = known.find((one) => asText(one.address).toLowerCase() === bare.trim().toLowerCase());
    return present([
      SOURCES[found?.source] &&
        el('span', { class: 'badge found', 'data-test': 'source', 'data-source': found.source }, SOURCES[found.source]),
      found?.external === true && el('span', { class: 'badge sandbox' }, 'external'),
    ]);
  };
};
