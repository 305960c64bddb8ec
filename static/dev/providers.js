// The bar that tells what is real here, and the panel of accounts: their state, what each right buys, and how to connect.

import {
  accountName,
  askToDisconnect,
  catalogue,
  connect,
  connections,
  disconnect,
  failure,
  keepConnected,
  loadAccounts,
  notes,
  pageMode,
  providerName,
  whoami,
} from './accounts.js';
import { key } from './api.js';
import { $, asText, bus, button, copyButton, count, el, foreign, isObject, list, pairs, present, time } from './dom.js';
import { problemView } from './problems.js';

const MODES = {
  live: 'connected',
  sandbox: 'sandbox, writes to the outbox',
  not_connected: 'not connected',
  needs_reauth: 'consent ended',
};
/** Where a provider's OAuth clients are made. */
const CONSOLES = { google: 'https://console.cloud.google.com/apis/credentials', microsoft: 'https://entra.microsoft.com' };

bus.addEventListener('accounts', ({ detail: changed }) => {
  const { connect: focused, disconnect: asked, keep } = document.activeElement?.dataset ?? {};
  renderMode();
  renderWho();
  $('providers').replaceChildren(...(failure ? [failed(failure)] : [...connections].map(account)));
  $('allowed').replaceChildren(...[...catalogue.values()].map(allowed));
  $('open-door').replaceChildren(...present([!failure && openDoor()]));
  const of = (name, provider) => $('providers').querySelector(`[data-${name}="${CSS.escape(provider)}"]`);
  if (focused) of('connect', focused)?.focus();
  // The question takes the focus, and gives it back.
  if (asked) of('keep', asked)?.focus();
  if (keep) (of('disconnect', keep) ?? of('connect', keep))?.focus();
  if (changed) of('provider', changed)?.scrollIntoView({ block: 'nearest' });
});

/** One line about what is real, always in sight. */
function renderMode() {
  const mode = pageMode();
  $('mode').hidden = !mode;
  if (!mode) return;
  $('mode').dataset.mode = mode;
  $('plan-execute').textContent = mode === 'sandbox' ? 'Plan and do it' : 'Plan and do it for real';
  const each = [...connections].map(([provider, { mode: of, address }]) => {
    const name = accountName(provider);
    return {
      live: [foreign(name), ' sends for real', address && [' as ', foreign(address)]],
      sandbox: [foreign(name), ' writes to the outbox'],
      not_connected: [foreign(name), ' is not connected'],
      needs_reauth: [foreign(name), ' has to be connected again'],
    }[of];
  });
  const told =
    mode === 'sandbox' ? ['Nothing leaves this server: see Outbox.'] : each.filter(Boolean).map((one, i) => [i > 0 && ' · ', one]);
  $('mode').replaceChildren(el('strong', {}, { sandbox: 'Sandbox', live: 'Live', mixed: 'Partly live' }[mode]), el('span', {}, told));
}

/** What a scope allows, in words. */
const SCOPES = {
  'actions:preview': 'plan and read',
  'actions:execute': 'execute',
  'actions:approve': 'approve',
  'accounts:read': 'look up in the accounts',
  'connections:write': 'connect accounts',
  'webhooks:write': 'manage webhooks',
  'audit:read': 'read the audit',
  'metrics:read': 'read the numbers',
};

/** Whose credential this tab has, and what it may do. */
function renderWho() {
  const who = failure ? null : whoami;
  $('key-open').textContent = who?.key_id ? `Key of ${asText(who.workspace_id)}` : 'API key';
  if (!who) {
    $('who').replaceChildren();
    return;
  }
  const limits = [
    who.actor_sha256 && 'for one actor only',
    who.actions && `only ${list(who.actions).map(asText).join(', ')}`,
    who.agent && 'its jobs are held until a person approves them',
    who.draft_only && 'drafts only, nothing is sent',
  ].filter(Boolean);
  $('who').replaceChildren(
    pairs([
      ['Workspace', foreign(who.workspace_id)],
      [
        'Key',
        who.key_id
          ? foreign([who.key_name, who.key_id].filter(Boolean).map(asText).join(' · '))
          : who.actor_sha256
            ? 'none: an access token of your issuer'
            : 'none: this server has no keys',
      ],
      [
        'May',
        foreign(
          list(who.scopes)
            .map((scope) => SCOPES[scope] ?? asText(scope))
            .join(', '),
        ),
      ],
      limits.length > 0 && ['Limits', foreign(limits.join('; '))],
      who.key_id && ['Expires', who.expires_at ? time(who.expires_at) : 'never'],
    ]),
  );
}

/** What a server without keys lets everybody on its machine do, as soon as an account is connected. */
function openDoor() {
  const live = [...connections].filter(([, { mode }]) => mode === 'live').map(([provider]) => accountName(provider));
  if (key.value || live.length === 0) return null;
  const command = 'orchestrator keys create --workspace local --scopes actions:preview,actions:execute,actions:approve,connections:write';
  return el(
    'div',
    { class: 'notice', 'data-test': 'open-door' },
    el('p', {}, 'This server has no keys, so every program on this machine can send through ', foreign(live.join(' and ')), '.'),
    el('p', {}, 'To require a key, run ', el('code', {}, command), ', restart the server, and enter the key here.'),
    el('div', { class: 'row' }, copyButton(command, 'the command')),
  );
}

const failed = (error) =>
  el(
    'li',
    { class: 'provider' },
    el('span', { class: 'dot' }),
    el('span', { class: 'muted' }, foreign(error.status === 401 ? 'Waiting for a key' : `Accounts: ${error.message}`)),
    error.status !== 401 && button('Try again', loadAccounts, { class: 'quiet small' }),
  );

/** What a connected account lets this server do. */
const RIGHTS = [
  [({ drafts }) => drafts === true, 'make drafts'],
  [({ lookups }) => list(lookups).includes('contact'), 'look up contacts'],
  [({ lookups }) => list(lookups).includes('event'), 'look into the calendar'],
  [({ directory }) => directory === true, 'look into the directory'],
];

function account([provider, connection]) {
  const { mode, address, can_connect, problem } = connection;
  const rights = ['send', ...RIGHTS.filter(([has]) => has(connection)).map(([, right]) => right)];
  const name = providerName(provider);
  const named = el('span', { class: 'sr-only' }, ' ', foreign(name));
  const preposition = { live: ' as ', needs_reauth: ' for ' }[mode];
  const note = notes.get(provider);
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
      mode === 'live' && el('span', { class: 'muted' }, `; may ${rights.join(', ')}`),
    ),
    // An account from the environment cannot be disconnected here.
    can_connect === true &&
      ['live', 'needs_reauth'].includes(mode) &&
      note?.asks === undefined &&
      button(['Disconnect', named.cloneNode(true)], () => askToDisconnect(provider), { class: 'quiet small', 'data-disconnect': provider }),
    mode !== 'live' &&
      button([mode === 'needs_reauth' ? 'Connect again' : 'Connect', named], () => connect(provider), {
        class: 'small',
        'data-connect': provider,
      }),
    isObject(problem) &&
      mode === 'live' &&
      el('span', { class: 'note', 'data-test': 'provider-problem' }, foreign(problem.message), ' ', foreign(problem.remediation)),
    note && el('div', { class: 'note' }, note.asks === undefined ? noteView(note) : disconnectView(provider, note)),
    can_connect === false && mode !== 'live' && setup(provider, note?.setup === true),
  );
}

function noteView({ text, href, error }) {
  if (error) return problemView(error);
  return href ? el('a', { href, target: '_blank', rel: 'noopener' }, foreign(text)) : el('span', { class: 'muted' }, foreign(text));
}

/** The question before an account is disconnected. */
function disconnectView(provider, { asks, more }) {
  const name = providerName(provider);
  const jobs = `${more ? 'At least ' : ''}${count(asks, 'job')} of ${name} ${asks === 1 ? 'waits' : 'wait'}`;
  const told = asks > 0 ? `${jobs} and will end with an error; nothing of ${asks === 1 ? 'it' : 'them'} is done.` : 'No job waits for it.';
  return el(
    'div',
    { class: 'notice', role: 'group', 'aria-label': `Disconnect ${name}`, 'data-test': 'disconnect-ask' },
    el('p', {}, el('strong', {}, 'Disconnect ', foreign(name), '? '), foreign(told)),
    el(
      'div',
      { class: 'row' },
      button('Keep it', () => keepConnected(provider), { class: 'small', 'data-test': 'disconnect-no', 'data-keep': provider }),
      button('Disconnect', () => disconnect(provider), { class: 'small', 'data-test': 'disconnect-yes', 'data-keep': provider }),
    ),
  );
}

/** How an operator makes sign-in possible, with what to copy. */
function setup(provider, open) {
  const name = providerName(provider);
  const variable = provider.toUpperCase();
  const redirect = `${location.origin}/oauth/${provider}/callback`;
  const lines = `${variable}_CLIENT_ID=…\n${variable}_CLIENT_SECRET=…`;
  const console = CONSOLES[provider];
  return el(
    'details',
    { class: 'note', open },
    el('summary', {}, 'How to set up sign-in with ', foreign(name)),
    el(
      'ol',
      { class: 'howto' },
      el(
        'li',
        {},
        'Make an OAuth client for a web application',
        console && [' at ', el('a', { href: console, target: '_blank', rel: 'noopener' }, new URL(console).host)],
        ', with this redirect URI:',
        el('pre', {}, redirect),
        copyButton(redirect, `the redirect URI of ${name}`),
      ),
      el(
        'li',
        {},
        'Start the server with these variables, then press Connect:',
        el('pre', {}, lines),
        copyButton(lines, `the variables of ${name}`),
      ),
      el('li', {}, 'For a first try, an access token pasted into ', el('code', {}, `${variable}_ACCESS_TOKEN`), ' is enough.'),
    ),
  );
}

const allowed = ({ id, title, description, allowed: is }) =>
  el(
    'li',
    { 'data-allowed': String(is === true) },
    el('span', { class: `badge ${is === true ? 'completed' : 'error'}` }, is === true ? 'Allowed' : 'Not allowed'),
    el(
      'div',
      {},
      present([
        foreign(title ?? id),
        ' ',
        foreign(id, { class: 'mono muted' }),
        el('p', { class: 'fine' }, foreign(description)),
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
