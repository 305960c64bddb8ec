// Where mail goes: the providers' accounts, how to connect one, and what is allowed here.

import { api, Problem } from './api.js';
import { $, announce, asText, button, el, foreign, isObject, list, present, tell } from './dom.js';
import { problemView } from './problems.js';

const NAMES = { google: 'Google', microsoft: 'Microsoft' };
export const providerName = (provider) => NAMES[provider] ?? asText(provider);

/** The catalogue by action id, as GET /actions last gave it. */
export const catalogue = new Map();
/** Each provider's connection, as its status says: mode, address, whether consent is wanted again. */
const connections = new Map();
const notes = new Map();
let connecting = false;

/** What a provider's mails meet: `live`, `sandbox`, `not_connected` or `expired`. */
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
        // What comes from the environment is not ended here.
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

/** Why an action of the catalogue cannot be carried out now; empty where it can. */
export function reasons(id) {
  const entry = catalogue.get(id);
  if (!entry) return catalogue.size > 0 ? ['The catalogue has no such action.'] : [];
  const name = providerName(entry.provider);
  const state = stateOf(entry.provider);
  return present([
    entry.allowed === false && `${id} is not on this deployment’s allowlist. Whoever runs it can add it to ALLOW_ACTIONS_DEFAULT.`,
    state === 'not_connected' && `No ${name} account is connected.`,
    state === 'expired' && `${name} wants consent again.`,
  ]);
}

export async function connect(provider) {
  notes.delete(provider);
  const name = providerName(provider);
  try {
    const { authorization_url: url } =
      (await api('POST', `/oauth/${encodeURIComponent(provider)}/start`, { drafts: $('drafts').checked })) ?? {};
    const target = URL.canParse(url) ? new URL(url) : null;
    if (!target || !['https:', 'http:'].includes(target.protocol)) {
      throw new Problem({ title: 'The answer holds no address to go to' });
    }
    connecting = true;
    // The provider's page learns nothing of this one. A browser that blocks the tab leaves the link.
    window.open(target.href, '_blank', 'noopener');
    notes.set(provider, () => el('a', { href: target.href, target: '_blank', rel: 'noopener' }, `Continue at ${name}`));
    announce(`Continue at ${name}, in the other tab.`);
  } catch (error) {
    const upper = provider.toUpperCase();
    const note =
      error.status === 404 || error.status === 405
        ? `This server has no OAuth client of ${name}. Set ${upper}_CLIENT_ID and ${upper}_CLIENT_SECRET, or ${upper}_ACCESS_TOKEN, and start it again.`
        : null;
    notes.set(provider, () => (note ? el('span', { class: 'muted' }, note) : problemView(error)));
    announce(note ?? '');
  }
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
          : `${name} is disconnected here. End the consent there, too: ${asText(ended.revoke_at)}`;
    notes.set(provider, () => el('span', { class: 'muted' }, foreign(said)));
    announce(said);
  } catch (error) {
    notes.set(provider, () => problemView(error));
  }
  await loadProviders();
}

// A person who comes back from the provider's page wants to see what came of it.
window.addEventListener('focus', () => {
  if (!connecting) return;
  connecting = false;
  notes.clear();
  loadProviders();
});
