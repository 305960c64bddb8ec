// One action of a plan as it would be carried out, with its warnings, an editor and a preview.

import { addressOf, catalogue, modeOf, providerName } from './accounts.js';
import { api } from './api.js';
import { announce, asText, button, el, foreign, freshId, isObject, list, pairs, present, same, source, time } from './dom.js';
import { fieldEditor, fieldsOf, paramsView, sourcesOf, summaryOf } from './params.js';
import { connectButton, problemView } from './problems.js';

const MODES = { live: 'Live', sandbox: 'Sandbox', not_connected: 'Not connected', needs_reauth: 'Consent ended' };
/** What executing does in a connected account, by effect: a verb, and what follows the thing and the account. */
const DEEDS = { send: ['Send', 'as'], draft: ['Leave', 'in'], change: ['Make', 'in'] };
/** Warnings about the account, which a connect button answers. The value tells whether it was connected before. */
const CONNECT = new Map([
  ['not-connected', false],
  ['needs-reauth', true],
]);
/** Warnings that are shown, and that no action waits for. */
const ONLY_SHOWN = new Set(['external', 'draft-only']);
/** Whether a person has to look at a warning first. */
export const stops = ({ code }) => !ONLY_SHOWN.has(code);
/** How long after the last keystroke an edited action is checked. */
const PAUSE = 400;

/** A warning of a plan or of a preview. */
export const warningView = ({ code, text }) => el('p', { 'data-test': 'warning', 'data-code': asText(code) }, foreign(text));

export class ActionCard {
  constructor(action, index, { alone, changed, checked, plan, recipients, warnings }) {
    this.original = action;
    this.params = structuredClone(this.planned);
    this.changed = changed;
    this.checked = checked;
    this.leftOut = false;
    this.plan = plan;
    this.told = sourcesOf(recipients);
    this.plannedWarnings = warnings;
    this.previewWarnings = [];
    this.heading = el('h3');
    this.origin = el('span', { class: 'muted' });
    this.badges = el('span', { class: 'badges' });
    this.shown = el('div', { class: 'stack' });
    this.against = el('div', { class: 'stack' });
    this.editor = el('div', { class: 'fields', hidden: true });
    this.previewSlot = el('div', { class: 'preview', hidden: true });
    const small = (label, test, work, props = {}) => button(label, work, { class: 'small', 'data-test': test, ...props });
    this.previewButton = small('Preview', 'preview', () => this.togglePreview(), { 'aria-expanded': 'false' });
    this.editButton = small('Edit', 'edit', () => this.toggleEditor(), { 'aria-expanded': 'false' });
    this.undoButton = small('Undo changes', 'undo-edit', () => this.undo(), { hidden: true });
    this.outButton = !alone && small('Leave out', 'leave-out', () => this.toggleOut());
    this.node = el(
      'article',
      {
        class: 'call',
        'data-test': 'action',
        'data-action': asText(action.action),
        'aria-label': `Action ${index + 1}: ${asText(action.action)}`,
      },
      el('div', { class: 'call-head' }, this.heading, this.origin, this.badges),
      this.shown,
      this.editor,
      this.against,
      el('div', { class: 'row' }, present([this.previewButton, this.editButton, this.undoButton, this.outButton])),
      this.previewSlot,
    );
  }

  get planned() {
    return isObject(this.original.params) ? this.original.params : {};
  }
  get edited() {
    return !same(this.params, this.planned);
  }
  get fields() {
    return fieldsOf(this.original.action, this.params);
  }
  get summary() {
    return summaryOf(this.original.action, this.params);
  }
  /** The plan's warnings are about the action as it was planned. Preview repeats most of them. */
  get warnings() {
    const all = new Map();
    for (const warning of [...(this.edited ? [] : this.plannedWarnings), ...this.previewWarnings]) {
      all.set(`${warning.code} ${warning.text}`, warning);
    }
    return [...all.values()];
  }
  /** The server rendered it, without a warning to look at first. */
  get clear() {
    return Boolean(this.rendered) && !this.warnings.some(stops);
  }

  /** What executing it does, as `[verb, thing, rest]`: the same verb and rest are told once for several things. */
  get deed() {
    const { action, provider, send_at } = this.original;
    const entry = catalogue.get(action);
    const thing = this.rendered?.draft_only ? 'draft' : asText(entry?.noun ?? 'action').replace(/^the /, '');
    const account = this.rendered?.from ?? addressOf(provider);
    if (list(this.rendered?.because).length > 0) return ['Hold', thing, ' for approval'];
    if (modeOf(provider) === 'sandbox') return ['Write', thing, ' to the outbox'];
    const [verb, where] = (this.rendered?.draft_only ? DEEDS.draft : DEEDS[entry?.effect]) ?? ['Execute', 'in'];
    return [send_at ? 'Schedule' : verb, thing, account ? ` ${where} ${account}` : ''];
  }

  request() {
    return { ...this.about(), params: this.params, send_at: this.original.send_at };
  }

  about() {
    const { provider, action, client_request_id } = this.original;
    return { provider, action, client_request_id };
  }

  refresh() {
    const { action, provider } = this.original;
    const [entry, mode] = [catalogue.get(action), modeOf(provider)];
    this.heading.replaceChildren(foreign(entry?.title ?? action));
    this.origin.replaceChildren(foreign(providerName(provider)), ' · ', foreign(action, { class: 'mono' }));
    this.badges.replaceChildren(
      ...present([
        MODES[mode] && el('span', { class: `badge ${mode}` }, MODES[mode]),
        entry?.allowed === false && el('span', { class: 'badge error' }, 'Not allowed'),
        this.edited && el('span', { class: 'badge edited' }, 'Edited'),
        this.leftOut && el('span', { class: 'badge' }, 'Left out'),
      ]),
    );
    this.node.classList.toggle('left-out', this.leftOut);
    this.undoButton.hidden = !this.edited || Boolean(this.closed);
    this.renderParams();
    this.renderAgainst();
  }

  renderParams() {
    const { action, provider, send_at } = this.original;
    const account = this.rendered?.from ?? addressOf(provider);
    const rows = [
      [
        catalogue.get(action)?.effect === 'send' ? 'From' : 'Account',
        account ? foreign(account) : el('span', { class: 'muted' }, 'the connected account'),
      ],
      send_at && ['Goes out', el('strong', { 'data-test': 'send-at' }, time(send_at))],
    ];
    this.shown.replaceChildren(...paramsView(rows, this.fields, { open: this.shown.querySelector('details')?.open, told: this.told }));
  }

  renderAgainst() {
    const { provider } = this.original;
    const { warnings } = this;
    const account = warnings.find(({ code }) => CONNECT.has(code));
    const hadFocus = this.against.contains(document.activeElement) ? document.activeElement.dataset.test : null;
    this.against.replaceChildren(
      ...present([
        warnings.length > 0 &&
          el(
            'div',
            { class: 'notice', 'data-test': 'warnings' },
            warnings.map(warningView),
            account && !this.closed && el('div', { class: 'row' }, connectButton(provider, CONNECT.get(account.code))),
          ),
        // That the server is gone is told once, for the whole page.
        this.invalid && this.invalid.code !== 'network' && !this.editing && problemView(this.invalid),
      ]),
    );
    if (hadFocus) this.against.querySelector(`[data-test="${hadFocus}"]`)?.focus();
  }

  /** Has the server render the action as it is now: its exact content, its account and its warnings. */
  async check() {
    const asked = JSON.stringify(this.params);
    let [rendered, invalid] = [null, null];
    try {
      const { action, client_request_id, send_at } = this.original;
      // What was edited is the person's own, and the prompt tells nothing of it.
      const plan_id = this.edited ? undefined : this.plan;
      rendered = await api('POST', '/actions/preview', { action, params: this.params, client_request_id, send_at, plan_id });
    } catch (error) {
      invalid = error;
    }
    // It was edited meanwhile, and a later check will tell.
    if (asked !== JSON.stringify(this.params)) return;
    this.rendered = rendered;
    this.invalid = invalid;
    this.previewWarnings = list(rendered?.warnings).filter(isObject);
    const errors = list(invalid?.fields?.errors);
    this.refuse(errors.map(({ pointer, detail }) => ({ field: /^\/params\/([^/]+)/.exec(asText(pointer))?.[1], detail })));
    this.renderParams();
    this.renderAgainst();
    if (!this.previewSlot.hidden) this.renderPreview();
    this.checked();
  }

  /** Marks the editor's wrong fields. */
  refuse(errors) {
    for (const box of this.editor.querySelectorAll('[data-field]')) {
      const wrong = errors.filter(({ field }) => field === box.dataset.field).map(({ detail }) => asText(detail));
      const said = box.parentElement.querySelector('.wrong');
      if (wrong.length > 0) box.setAttribute('aria-invalid', 'true');
      else box.removeAttribute('aria-invalid');
      said.replaceChildren(...wrong.map((detail) => foreign(detail)));
    }
  }

  get editing() {
    return !this.editor.hidden;
  }

  toggleEditor(open = !this.editing) {
    if (open) this.renderEditor();
    this.editor.hidden = !open;
    this.shown.hidden = open;
    this.editButton.textContent = open ? 'Done' : 'Edit';
    this.editButton.setAttribute('aria-expanded', String(open));
    this.renderAgainst();
    if (open) this.editor.querySelector('textarea, input').focus();
  }

  /** The required fields and those in use, then the others in a fold. */
  renderEditor() {
    const edit = (field) => fieldEditor(field, (value) => this.set(field.name, value));
    const used = ({ required, value }) => required || value !== undefined;
    const others = this.fields.filter((field) => !used(field));
    this.editor.replaceChildren(
      ...this.fields.filter(used).map(edit),
      ...present([
        others.length > 0 && el('details', {}, el('summary', {}, 'More fields'), el('div', { class: 'fields' }, others.map(edit))),
      ]),
    );
  }

  set(name, value) {
    if (value === undefined) delete this.params[name];
    else this.params[name] = value;
    this.stale();
  }

  /** The rendered text no longer fits the params. */
  stale() {
    this.rendered = null;
    this.changed();
    clearTimeout(this.checking);
    this.checking = setTimeout(() => this.check(), PAUSE);
  }

  undo() {
    this.params = structuredClone(this.planned);
    this.toggleEditor(false);
    this.stale();
    this.editButton.focus();
  }

  toggleOut() {
    this.leftOut = !this.leftOut;
    this.outButton.replaceChildren(this.leftOut ? 'Put back' : 'Leave out');
    this.changed();
  }

  /** Closes the editor, since what it shows is what is executed, and waits for the check of the last change. */
  async settle() {
    if (this.editing) this.toggleEditor(false);
    clearTimeout(this.checking);
    if (!this.rendered) await this.check();
  }

  /** Whether the server refused it as it is now; a person is led to what it said. */
  refused({ show = false } = {}) {
    if (show) this.against.querySelector('[data-test=error]')?.focus();
    return this.invalid?.status === 422;
  }

  /** After the execution nothing can be changed. */
  close() {
    this.closed = true;
    this.editButton.hidden = true;
    if (this.outButton) this.outButton.hidden = true;
    this.refresh();
  }

  async togglePreview(open = this.previewSlot.hidden) {
    this.previewSlot.hidden = !open;
    this.previewButton.textContent = open ? 'Hide preview' : 'Preview';
    this.previewButton.setAttribute('aria-expanded', String(open));
    if (!open) return;
    // The account or the allowlist may have changed since the plan came. One check is enough.
    clearTimeout(this.checking);
    await this.check();
    this.renderPreview();
    announce(this.rendered ? 'Preview shown.' : '');
  }

  renderPreview() {
    const { rendered } = this;
    if (!rendered) {
      this.previewSlot.replaceChildren(el('p', { class: 'hint' }, this.invalid ? 'It cannot be executed as it is.' : 'Rendering…'));
      return;
    }
    const had = this.previewSlot.contains(document.activeElement) && document.activeElement.dataset.test;
    const texts = this.fields.filter(({ kind, value }) => ['text', 'html'].includes(kind) && value !== undefined);
    const views = [['Raw', 'preview-body', rendered.body], ...texts.map(({ name, label, value }) => [label, `preview-${name}`, value])];
    this.previewSlot.replaceChildren(
      tabs(
        'Preview',
        views.map(([name, test, text]) => [name, source(text, name, { 'data-test': test })]),
      ),
      pairs(
        [
          ['Content type', foreign(rendered.content_type ?? '', { class: 'mono' })],
          ['SHA-256', foreign(rendered.sha256 ?? '', { class: 'mono' })],
        ],
        'pairs tight',
      ),
      el(
        'p',
        { class: 'fine' },
        'Exactly this text is sent, except for its date and ids.',
        texts.some(({ kind }) => kind === 'html') && ' HTML is shown as source here.',
      ),
    );
    if (had) this.previewSlot.querySelector(`[data-test="${had}"]`)?.focus();
  }
}

/** Views of one thing in tabs. Arrow keys go from tab to tab. */
function tabs(label, views) {
  const panels = views.map(([, content]) => el('div', { role: 'tabpanel', id: freshId('panel') }, content));
  const buttons = views.map(([name], i) =>
    el(
      'button',
      { type: 'button', role: 'tab', id: freshId('tab'), 'aria-controls': panels[i].id, 'data-test': `tab-${i}` },
      foreign(name),
    ),
  );
  const select = (chosen) =>
    buttons.forEach((tab, i) => {
      tab.setAttribute('aria-selected', String(i === chosen));
      tab.tabIndex = i === chosen ? 0 : -1;
      panels[i].hidden = i !== chosen;
    });
  buttons.forEach((tab, i) => {
    panels[i].setAttribute('aria-labelledby', tab.id);
    tab.addEventListener('click', () => select(i));
    tab.addEventListener('keydown', (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const next = (i + step + buttons.length) % buttons.length;
      select(next);
      buttons[next].focus();
    });
  });
  select(0);
  return el('div', { class: 'tabs' }, el('div', { role: 'tablist', 'aria-label': label }, buttons), panels);
}
