// The providers' accounts and how to connect one, and the allowed actions.

import { api, Problem } from './api.js';
import { catalogue, providerName } from './catalogue.js';
import { $, announce, asText, bus, button, el, foreign, isObject, list, present, tell } from './dom.js';
import { problemView } from './problems.js';

export { catalogue, providerName };

/** Each provider's connection status: mode, address, whether it needs consent again. */
const connections = new Map();
const notes = new Map();
/** The providers whose consent page is being opened. */
const starting = new Set();
/** Whether a consent page is open in another tab. */
let connecting = false;

/** A provider's state: `live`, `sandbox`, `not_connected` or `expired`. */
export function stateOf(provider) {
  const connection = connections.get(provider);
  if (!connection) return undefined;
  return connection.needs_reauth === true || ['needs_reauth', 'expired'].includes(connection.mode) ? 'expired' : connection.mode;
}

export const addressOf = (provider) => connections.get(provider)?.address ?? undefined;

export async function loadProviders() {
  try {
    const entries = list((await api('GET', '/actions'))?.data).filter(isObject);
    const providers = [...new Set(entries.map((entry) => asText(entry.provider)))];
    const statuses = await Promise.all(
      providers.map((provider) =>
        api('GET', `/oauth/${encodeURIComponent(provider)}/status`).catch((error) => {
          if (error.status === 404) return {};
          throw error;
        }),
      ),
    );
    catalogue.clear();
    for (const entry of entries) catalogue.set(entry.id, entry);
    connections.clear();
    providers.forEach((provider, i) => {
      const entry = entries.find((one) => one.provider === provider);
      connections.set(provider, { mode: entry.mode, address: entry.address, ...statuses[i] });
    });
    render();
    tell('catalogue');
  } catch (error) {
    $('providers').replaceChildren(
      el(
        'li',
        { class: 'provider' },
        el('span', { class: 'dot' }),
        el('span', { class: 'muted' }, foreign(error.status === 401 ? 'Waiting for a key' : `Providers: ${error.message}`)),
        error.status !== 401 && button('Try again', loadProviders, { class: 'quiet small' }),
      ),
    );
  }
}

const WORDS = { live: 'connected', sandbox: 'sandbox → outbox', not_connected: 'not connected', expired: 'consent ended' };

function render() {
  const focused = document.activeElement?.dataset?.connect;
  $('providers').replaceChildren(
    ...[...connections].map(([provider, { address, can_connect }]) => {
      const name = providerName(provider);
      const state = stateOf(provider);
      const label = state === 'expired' ? 'Connect again' : 'Connect';
      return el(
        'li',
        { class: 'provider', 'data-test': 'provider', 'data-provider': provider, 'data-mode': state },
        el('span', { class: `dot ${state}`, 'aria-hidden': 'true' }),
        el(
          'span',
          { class: 'where' },
          el('strong', {}, foreign(name)),
          ' ',
          el(
            'span',
            { class: 'muted' },
            WORDS[state] ?? asText(state),
            state === 'live' && address && [' as ', foreign(address)],
            state === 'expired' && address && [' for ', foreign(address)],
          ),
        ),
        // An account from the environment cannot be disconnected here.
        can_connect === true &&
          ['live', 'expired'].includes(state) &&
          button(['Disconnect', el('span', { class: 'sr-only' }, ` ${name}`)], () => disconnect(provider), {
            class: 'quiet small',
            'data-disconnect': provider,
          }),
        state !== 'live' &&
          button([label, el('span', { class: 'sr-only' }, ` ${name}`)], () => connect(provider), {
            class: state === 'sandbox' ? 'quiet small' : 'small',
            'data-connect': provider,
          }),
        notes.has(provider) && el('span', { class: 'note' }, notes.get(provider)()),
      );
    }),
  );
  if (focused)
    $('providers')
      .querySelector(`[data-connect="${CSS.escape(focused)}"]`)
      ?.focus();
  $('allowed').replaceChildren(
    ...[...catalogue.values()].map((entry) =>
      el(
        'li',
        { 'data-allowed': String(entry.allowed === true) },
        el(
          'span',
          { class: `badge ${entry.allowed === true ? 'completed' : 'error'}` },
          entry.allowed === true ? 'Allowed' : 'Not allowed',
        ),
        el(
          'div',
          {},
          foreign(entry.id, { class: 'mono' }),
          ' ',
          el('span', { class: 'muted' }, foreign(entry.description)),
          ...reasons(entry.id).map((reason) => el('p', { class: 'fine' }, foreign(reason))),
        ),
      ),
    ),
  );
}

/** The reasons why an action cannot run now; empty if it can. */
export function reasons(id) {
  const entry = catalogue.get(id);
  if (!entry) return catalogue.size > 0 ? ['The catalogue has no such action.'] : [];
  const name = providerName(entry.provider);
  const state = stateOf(entry.provider);
  return present([
    entry.allowed === false && `${id} is not on this deployment’s allowlist. Its operator can add it to ALLOW_ACTIONS_DEFAULT.`,
    state === 'not_connected' && `No ${name} account is connected.`,
    state === 'expired' && `${name} needs your consent again.`,
  ]);
}

async function connect(provider) {
  if (starting.has(provider)) return;
  starting.add(provider);
  notes.delete(provider);
  const name = providerName(provider);
  try {
    const { authorization_url: url } =
      (await api('POST', `/oauth/${encodeURIComponent(provider)}/start`, { drafts: $('drafts').checked })) ?? {};
    const target = URL.canParse(url) ? new URL(url) : null;
    if (!target || !['https:', 'http:'].includes(target.protocol)) {
      throw new Problem({ title: 'The response has no address to open' });
    }
    connecting = true;
    // `noopener` hides this page from the provider's. If the browser blocks the tab, the link remains.
    window.open(target.href, '_blank', 'noopener');
    notes.set(provider, () => el('a', { href: target.href, target: '_blank', rel: 'noopener' }, `Continue at ${name}`));
    announce(`Continue at ${name} in the other tab.`);
  } catch (error) {
    const upper = provider.toUpperCase();
    const note =
      error.status === 404 || error.status === 405
        ? `This server has no OAuth client for ${name}. Set ${upper}_CLIENT_ID and ${upper}_CLIENT_SECRET, or ${upper}_ACCESS_TOKEN, and restart it.`
        : null;
    notes.set(provider, () => (note ? el('span', { class: 'muted' }, note) : problemView(error)));
    announce(note ?? '');
  }
  starting.delete(provider);
  render();
  $('providers')
    .querySelector(`[data-provider="${CSS.escape(provider)}"]`)
    ?.scrollIntoView({ block: 'nearest' });
}

async function disconnect(provider) {
  const name = providerName(provider);
  try {
    const ended = (await api('DELETE', `/oauth/${encodeURIComponent(provider)}`)) ?? {};
    const said =
      ended.disconnected !== true
        ? 'This account comes from the server’s environment.'
        : ended.revoked === true
          ? `${name} is disconnected.`
          : `${name} is disconnected here. Revoke the consent there, too: ${asText(ended.revoke_at)}`;
    notes.set(provider, () => el('span', { class: 'muted' }, foreign(said)));
    announce(said);
  } catch (error) {
    notes.set(provider, () => problemView(error));
  }
  await loadProviders();
}

// After returning from the provider's page, show the new state.
window.addEventListener('focus', () => {
  if (!connecting) return;
  connecting = false;
  notes.clear();
  loadProviders();
});

bus.addEventListener('connect', ({ detail: provider }) => connect(provider));
