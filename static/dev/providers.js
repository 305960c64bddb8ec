// The providers' accounts with their buttons, and the list of what is allowed here.

import { accountName, catalogue, connect, connections, disconnect, failure, loadAccounts, notes, providerName } from './accounts.js';
import { key } from './api.js';
import { $, asText, bus, button, el, foreign, isObject, present } from './dom.js';
import { problemView } from './problems.js';

const MODES = { live: 'connected', sandbox: 'sandbox → outbox', not_connected: 'not connected', needs_reauth: 'consent ended' };

bus.addEventListener('accounts', ({ detail: changed }) => {
  const focused = document.activeElement?.dataset?.connect;
  $('providers').replaceChildren(...(failure ? [failed(failure)] : [...connections].map(account)));
  $('allowed').replaceChildren(...[...catalogue.values()].map(allowed));
  $('open-door').replaceChildren(...present([!failure && openDoor()]));
  const of = (name, provider) => $('providers').querySelector(`[data-${name}="${CSS.escape(provider)}"]`);
  if (focused) of('connect', focused)?.focus();
  if (changed) of('provider', changed)?.scrollIntoView({ block: 'nearest' });
});

/** What a server without keys lets everybody on its machine do, as soon as an account is connected. */
function openDoor() {
  const live = [...connections].filter(([, { mode }]) => mode === 'live').map(([provider]) => accountName(provider));
  if (key.value || live.length === 0) return null;
  const command = 'orchestrator keys create --workspace local --scopes actions:preview,actions:execute,actions:approve,connections:write';
  return el(
    'div',
    { class: 'notice', 'data-test': 'open-door' },
    el('p', {}, 'This server has no keys, so every program on this machine can send through ', foreign(live.join(' and ')), '.'),
    el('p', {}, 'To close the door, run ', el('code', {}, command), ', restart the server, and enter the key here.'),
  );
}

const failed = (error) =>
  el(
    'li',
    { class: 'provider' },
    el('span', { class: 'dot' }),
    el('span', { class: 'muted' }, foreign(error.status === 401 ? 'Waiting for a key' : `Providers: ${error.message}`)),
    error.status !== 401 && button('Try again', loadAccounts, { class: 'quiet small' }),
  );

function account([provider, { mode, address, can_connect, problem }]) {
  const name = providerName(provider);
  const named = el('span', { class: 'sr-only' }, ' ', foreign(name));
  const preposition = { live: ' as ', needs_reauth: ' for ' }[mode];
  return el(
    'li',
    { class: 'provider', 'data-test': 'provider', 'data-provider': provider, 'data-mode': mode },
    el('span', { class: `dot ${mode ?? ''}`, 'aria-hidden': 'true' }),
    el(
      'span',
      { class: 'where' },
      el('strong', {}, foreign(name)),
      ' ',
      el('span', { class: 'muted' }, MODES[mode] ?? asText(mode), preposition && address && [preposition, foreign(address)]),
    ),
    // An account from the environment cannot be disconnected here.
    can_connect === true &&
      ['live', 'needs_reauth'].includes(mode) &&
      button(['Disconnect', named.cloneNode(true)], () => disconnect(provider), { class: 'quiet small', 'data-disconnect': provider }),
    mode !== 'live' &&
      button([mode === 'needs_reauth' ? 'Connect again' : 'Connect', named], () => connect(provider), {
        class: mode === 'sandbox' ? 'quiet small' : 'small',
        'data-connect': provider,
      }),
    isObject(problem) &&
      mode === 'live' &&
      el('span', { class: 'note', 'data-test': 'provider-problem' }, foreign(problem.message), ' ', foreign(problem.remediation)),
    notes.has(provider) && el('span', { class: 'note' }, note(notes.get(provider))),
  );
}

function note({ text, href, error }) {
  if (error) return problemView(error);
  return href ? el('a', { href, target: '_blank', rel: 'noopener' }, foreign(text)) : el('span', { class: 'muted' }, foreign(text));
}

const allowed = ({ id, description, allowed: is }) =>
  el(
    'li',
    { 'data-allowed': String(is === true) },
    el('span', { class: `badge ${is === true ? 'completed' : 'error'}` }, is === true ? 'Allowed' : 'Not allowed'),
    el(
      'div',
      {},
      present([
        foreign(id, { class: 'mono' }),
        ' ',
        el('span', { class: 'muted' }, foreign(description)),
        is === false &&
          el(
            'p',
            { class: 'fine' },
            foreign(id),
            ' is not on this deployment’s allowlist. Its operator can add it to ALLOW_ACTIONS_DEFAULT.',
          ),
      ]),
    ),
  );
