// What the server can do, through which accounts, and how a person connects one. Only data: providers.js shows it.

import { api, Problem } from './api.js';
import { $, announce, asText, isObject, list, tell } from './dom.js';

/** The actions by id, as GET /actions gave them last. */
export const catalogue = new Map();
/** The providers by id, in the same answer: their names, and the page where a consent is withdrawn. */
export const providers = new Map();
/** Each provider's connection: its mode, its address, whether it can be connected here. */
export const connections = new Map();
/** The last result of connecting or disconnecting, by provider: `{ text }`, `{ text, href }`, `{ setup }` or `{ error }`; or `{ asks }`, how many jobs a disconnection would stop. */
export const notes = new Map();
/** Whose credential this tab has, as GET /whoami tells it; null while it is unknown. */
export let whoami = null;
/** Why the catalogue could not be read, or null. */
export let failure = null;
let connecting = false;

export const providerName = (provider) => asText(providers.get(provider)?.name ?? provider ?? '');
/** The name of the account that people connect, such as that of its mail service. */
export const accountName = (provider) => asText(providers.get(provider)?.account ?? providerName(provider));
/** `live`, `sandbox`, `not_connected` or `needs_reauth`; undefined while it is unknown. */
export const modeOf = (provider) => connections.get(provider)?.mode ?? undefined;
export const addressOf = (provider) => connections.get(provider)?.address ?? undefined;

/** What executing does in a connected account, by the strongest effect. */
const EFFECTS = [
  ['send', 'Sends for real from the connected account.'],
  ['change', 'Changes the connected account for real.'],
  ['draft', 'Leaves a draft in the connected account.'],
  ['read', 'Reads from the connected account and changes nothing.'],
];

/** Whether what this page does is real: `sandbox`, `live` or `mixed`; null while it is unknown. */
export function pageMode() {
  const modes = new Set([...connections.values()].map(({ mode }) => (mode === 'sandbox' ? 'sandbox' : 'live')));
  return modes.size > 1 ? 'mixed' : ([...modes][0] ?? null);
}

/** What executing these actions does, in a sentence; empty if that is unknown. */
export function consequence(actions) {
  if (actions.every(({ provider }) => modeOf(provider) === 'sandbox')) {
    return 'Nothing leaves this server: the sandbox writes to the outbox.';
  }
  const live = actions.filter(({ provider }) => modeOf(provider) === 'live').map(({ action }) => catalogue.get(action)?.effect);
  return EFFECTS.find(([effect]) => live.includes(effect))?.[1] ?? '';
}

/** Reads the catalogue and the connections, then tells `accounts`, and `catalogue` if it succeeded. */
export async function loadAccounts() {
  try {
    const answer = await api('GET', '/actions');
    const [actions, known] = [list(answer?.data).filter(isObject), list(answer?.providers).filter(isObject)];
    const [who, ...statuses] = await Promise.all([
      api('GET', '/whoami'),
      ...known.map(({ id }) =>
        api('GET', `/oauth/${encodeURIComponent(asText(id))}/status`).catch((error) => {
          if (error.status === 404) return {};
          throw error;
        }),
      ),
    ]);
    whoami = who;
    for (const map of [catalogue, providers, connections]) map.clear();
    for (const action of actions) catalogue.set(action.id, action);
    known.forEach((provider, i) => {
      const { mode, address } = actions.find((action) => action.provider === provider.id) ?? {};
      providers.set(provider.id, provider);
      connections.set(provider.id, { mode, address, ...statuses[i] });
    });
    failure = null;
    tell('catalogue');
  } catch (error) {
    failure = error;
  }
  tell('accounts');
}

export async function connect(provider) {
  const name = providerName(provider);
  let note;
  try {
    const lookups = [...document.querySelectorAll('[data-lookups]:checked')].flatMap((box) => box.dataset.lookups.split(' '));
    // Undefined is left out of the request.
    const body = {
      drafts: $('drafts').checked,
      lookups: lookups.length > 0 ? lookups : undefined,
      directory: $('directory').checked || undefined,
    };
    const { authorization_url: url } = (await api('POST', `/oauth/${encodeURIComponent(provider)}/start`, body)) ?? {};
    const target = URL.canParse(url) ? new URL(url) : null;
    if (!target || !['https:', 'http:'].includes(target.protocol)) {
      throw new Problem({ title: 'The response has no address to open' });
    }
    connecting = true;
    // The provider's page learns nothing about this one. If the browser blocks the tab, the link remains.
    window.open(target.href, '_blank', 'noopener');
    note = { text: `Continue at ${name}`, href: target.href };
    announce(`Continue at ${name}, in the other tab.`);
  } catch (error) {
    // Without an OAuth client the provider's card tells how to make one.
    note = [404, 405].includes(error.status) ? { text: `Sign-in with ${name} is not set up on this server yet.`, setup: true } : { error };
    announce(note.text ?? '');
  }
  notes.set(provider, note);
  tell('accounts', provider);
}

/** How many open jobs are read to count those of an account. */
const MOST_COUNTED = 1000;

/** Asks before an account is disconnected: the jobs that were accepted for it are then not done. */
export async function askToDisconnect(provider) {
  let [waiting, read, cursor] = [0, 0, ''];
  try {
    do {
      const page = await api('GET', `/ai/jobs?status=pending&limit=100${cursor}`);
      waiting += list(page?.data).filter((job) => job.provider === provider).length;
      read += 100;
      cursor = page?.has_more ? `&cursor=${encodeURIComponent(page.next_cursor)}` : null;
    } while (cursor && read < MOST_COUNTED);
    notes.set(provider, { asks: waiting, more: Boolean(cursor) });
  } catch (error) {
    notes.set(provider, { error });
  }
  tell('accounts', provider);
}

export function keepConnected(provider) {
  notes.delete(provider);
  tell('accounts', provider);
}

export async function disconnect(provider) {
  const name = providerName(provider);
  try {
    const ended = (await api('DELETE', `/oauth/${encodeURIComponent(provider)}`)) ?? {};
    const page = asText(providers.get(provider)?.revoke_page);
    const note =
      ended.disconnected !== true
        ? { text: 'This account comes from the server’s environment.' }
        : ended.revoked === true
          ? { text: `${name} is disconnected.` }
          : { text: `${name} is disconnected here. Revoke the consent there, too`, href: page.startsWith('https://') ? page : undefined };
    notes.set(provider, note);
    announce(note.text);
  } catch (error) {
    notes.set(provider, { error });
  }
  await loadAccounts();
}

// A person who comes back from the provider's page wants to see the result.
window.addEventListener('focus', () => {
  if (!connecting) return;
  connecting = false;
  notes.clear();
  loadAccounts();
});
