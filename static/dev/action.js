// One action of a plan: a mail as it will go out, with what speaks against it, an editor and a preview.

import { api } from './api.js';
import { announce, asText, button, el, foreign, freshId, isObject, list, pairs, present, same, source, visible } from './dom.js';
import { connectButton, problemView } from './problems.js';
import { addressOf, catalogue, providerName, reasons, stateOf } from './providers.js';

const ADDRESSES = ['to', 'cc', 'bcc', 'reply_to'];
const LABELS = { to: 'To', cc: 'Cc', bcc: 'Bcc', reply_to: 'Reply-To', subject: 'Subject', text: 'Text', html: 'HTML source' };
const STATES = { live: 'Live', sandbox: 'Sandbox', not_connected: 'Not connected', expired: 'Consent ended' };
/** How long after the last keystroke an edited mail is checked. */
const PAUSE = 400;

export class ActionCard {
  constructor(action, index, { alone, changed }) {
    this.original = action;
    this.params = structuredClone(this.planned);
    this.changed = changed;
    this.leftOut = false;
    this.warnings = [];
    this.badges = el('span', { class: 'badges' });
    this.shown = el('div', { class: 'stack' });
    this.against = el('div', { class: 'stack' });
    this.editor = el('div', { class: 'fields', hidden: true });
    this.previewSlot = el('div', { class: 'preview', hidden: true });
    this.previewButton = button('Preview', () => this.togglePreview(), {
      class: 'small',
      'data-test': 'preview',
      'aria-expanded': 'false',
    });
    this.editButton = el(
      'button',
      { type: 'button', class: 'small', 'data-test': 'edit', 'aria-expanded': 'false', onclick: () => this.toggleEditor() },
      'Edit',
    );
    this.undoButton = el(
      'button',
      { type: 'button', class: 'small', hidden: true, 'data-test': 'undo', onclick: () => this.undo() },
      'Undo changes',
    );
    this.outButton =
      !alone &&
      el(
        'button',
        { type: 'button', class: 'small', 'data-test': 'leave-out', 'aria-pressed': 'false', onclick: () => this.toggleOut() },
        'Leave out',
      );
    this.buttons = el('div', { class: 'row' }, present([this.previewButton, this.editButton, this.undoButton, this.outButton]));
    this.node = el(
      'article',
      {
        class: 'call',
        'data-test': 'action',
        'data-action': asText(action.action),
        'aria-label': `Action ${index + 1}: ${asText(action.action)}`,
      },
      el(
        'div',
        { class: 'call-head' },
        el('h3', {}, foreign(providerName(action.provider))),
        foreign(action.action, { class: 'mono muted' }),
        this.badges,
      ),
      this.shown,
      this.editor,
      this.against,
      this.buttons,
      this.previewSlot,
    );
  }

  get planned() {
    return isObject(this.original.params) ? this.original.params : {};
  }
  get edited() {
    return !same(this.params, this.planned);
  }
  /** The server rendered it, and nothing speaks against it. */
  get clear() {
    return Boolean(this.rendered) && this.warnings.length === 0 && reasons(this.original.action).length === 0;
  }

  request() {
    return { ...this.original, params: this.params };
  }

  about() {
    const { provider, action, client_request_id } = this.original;
    return { provider, action, client_request_id };
  }

  refresh() {
    const entry = catalogue.get(this.original.action);
    const state = stateOf(this.original.provider);
    this.badges.replaceChildren(
      ...present([
        STATES[state] && el('span', { class: `badge ${state}` }, STATES[state]),
        entry?.allowed === false && el('span', { class: 'badge error' }, 'Not allowed'),
        this.edited && el('span', { class: 'badge edited' }, 'Edited'),
        this.leftOut && el('span', { class: 'badge' }, 'Left out'),
      ]),
    );
    this.node.classList.toggle('left-out', this.leftOut);
    this.undoButton.hidden = !this.edited || Boolean(this.closed);
    this.renderMail();
    this.renderAgainst();
  }

  renderMail() {
    const { params } = this;
    const from = this.rendered?.from ?? addressOf(this.original.provider);
    const rows = [['From', from ? foreign(from) : el('span', { class: 'muted' }, 'the connected account')]];
    for (const name of ADDRESSES) {
      if (name in params) rows.push([LABELS[name], list(params[name]).map((address) => el('div', {}, foreign(address)))]);
    }
    if ('subject' in params) rows.push([LABELS.subject, foreign(params.subject, { class: 'subject' })]);
    for (const [name, value] of Object.entries(params)) {
      if (!(name in LABELS)) rows.push([foreign(name), foreign(value)]);
    }
    const open = this.shown.querySelector('details')?.open;
    this.shown.replaceChildren(
      ...present([
        pairs(rows),
        'text' in params &&
          el('div', { class: 'sheet', dir: 'auto', tabindex: '0', role: 'group', 'aria-label': 'Text' }, visible(asText(params.text))),
        'html' in params && el('details', { open }, el('summary', {}, LABELS.html), source(params.html, LABELS.html)),
      ]),
    );
  }

  renderAgainst() {
    const why = reasons(this.original.action);
    const state = stateOf(this.original.provider);
    // The preview says it too, in fewer words.
    const said = /is not connected$|is not allowed here/;
    const warnings = why.length > 0 ? this.warnings.filter((warning) => !said.test(warning)) : this.warnings;
    const hadFocus = this.against.contains(document.activeElement) ? document.activeElement.dataset.test : null;
    this.against.replaceChildren(
      ...present([
        (why.length > 0 || warnings.length > 0) &&
          el(
            'div',
            { class: 'notice', 'data-test': 'warnings' },
            [...why, ...warnings].map((text) => el('p', {}, foreign(text))),
            ['not_connected', 'expired'].includes(state) &&
              !this.closed &&
              el(
                'div',
                { class: 'row' },
                connectButton(this.original.provider, state === 'expired' ? 'reauth-required' : 'connection-required'),
              ),
          ),
        this.invalid && !this.editing && problemView(this.invalid),
      ]),
    );
    if (hadFocus) this.against.querySelector(`[data-test="${hadFocus}"]`)?.focus();
  }

  /** Has the server render the action as it is now: what goes out, from whom, and what to know. */
  async check() {
    const asked = JSON.stringify(this.params);
    let [rendered, invalid] = [null, null];
    try {
      rendered = await api('POST', '/actions/preview', { action: this.original.action, params: this.params });
    } catch (error) {
      invalid = error;
    }
    // It was edited meanwhile; a later check will tell.
    if (asked !== JSON.stringify(this.params)) return;
    this.rendered = rendered;
    this.invalid = invalid;
    this.warnings = list(rendered?.warnings).map(asText);
    this.refuse(
      list(invalid?.fields?.errors).map(({ pointer, detail }) => ({ field: /^\/params\/([^/]+)/.exec(asText(pointer))?.[1], detail })),
    );
    this.renderMail();
    this.renderAgainst();
    if (!this.previewSlot.hidden) this.renderPreview();
  }

  /** Marks the fields of the editor that something is wrong with. */
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

  renderEditor() {
    const names = Object.keys(LABELS).filter((name) => name in this.params || ['to', 'cc', 'subject', 'text'].includes(name));
    const more = Object.keys(this.params).filter((name) => !(name in LABELS) && typeof this.params[name] === 'string');
    this.editor.replaceChildren(
      ...[...names, ...more].map((name) => {
        const [id, wrong] = [freshId('edit'), freshId('wrong')];
        const long = name === 'text' || name === 'html';
        const box =
          name === 'subject'
            ? el('input', { id, dir: 'auto' })
            : el('textarea', {
                id,
                dir: 'auto',
                rows: long ? '5' : '1',
                class: long ? 'text' : 'addresses',
                spellcheck: String(name === 'text'),
              });
        box.dataset.test = `edit-${name}`;
        box.dataset.field = name;
        box.setAttribute('aria-describedby', wrong);
        box.value = editable(this.params[name]);
        box.addEventListener('input', () => this.set(name, box.value));
        return el(
          'div',
          { class: 'field' },
          el(
            'label',
            { for: id },
            LABELS[name] ?? foreign(name),
            ADDRESSES.includes(name) && el('span', { class: 'hint' }, ', one address a line'),
          ),
          box,
          el('p', { class: 'wrong', id: wrong, 'data-test': `wrong-${name}` }),
        );
      }),
    );
  }

  set(name, value) {
    const before = this.planned[name];
    const lines = value
      .split('\n')
      .map((line) => line.trim())
      .filter(Boolean);
    let next = ADDRESSES.includes(name) ? (lines.length > 1 ? lines : lines[0]) : value;
    // What reads as before is as before, to the letter.
    if (value === editable(before)) next = before;
    if (next === undefined || (next === '' && name === 'html')) delete this.params[name];
    else this.params[name] = next;
    this.stale();
  }

  /** What was rendered is not what there is now. */
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
    this.outButton.setAttribute('aria-pressed', String(this.leftOut));
    this.changed();
  }

  /** What is written is what is sent: the editor closes. */
  settle() {
    if (this.editing) this.toggleEditor(false);
  }

  /** After it was executed there is nothing more to change. */
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
    // What the account or the allowlist does to it may have changed since the plan came.
    await this.check();
    this.renderPreview();
    announce(this.rendered ? 'Preview shown.' : '');
  }

  renderPreview() {
    const { rendered } = this;
    if (!rendered) {
      this.previewSlot.replaceChildren(el('p', { class: 'hint' }, this.invalid ? 'As it is, it cannot go out.' : 'Rendering…'));
      return;
    }
    const raw = rendered.content_type === 'message/rfc822' ? 'Raw message' : 'Raw request';
    const views = [
      [raw, 'preview-body', rendered.body],
      'text' in this.params && ['Text', 'preview-text', this.params.text],
      'html' in this.params && ['HTML as source', 'preview-html', this.params.html],
    ].filter(Boolean);
    this.previewSlot.replaceChildren(
      tabs(
        'Preview',
        views.map(([name, test, text]) => [name, source(text, name, { 'data-test': test })]),
      ),
      pairs(
        [
          ['Goes out as', foreign(rendered.content_type ?? '', { class: 'mono' })],
          ['SHA-256', foreign(rendered.sha256 ?? '', { class: 'mono' })],
        ],
        'pairs tight',
      ),
      el(
        'p',
        { class: 'fine' },
        'The same code sends it, with its own date and ids. HTML is shown as source: nothing of a mail runs or loads here.',
      ),
    );
  }
}

/** A param as a text box holds it. */
const editable = (value) => list(value).map(asText).join('\n').replace(/\r\n?/g, '\n');

/** Views of one thing, one at a time; arrow keys go from tab to tab. */
function tabs(label, views) {
  const panels = views.map(([, content]) => el('div', { role: 'tabpanel', id: freshId('panel') }, content));
  const buttons = views.map(([name], i) =>
    el('button', { type: 'button', role: 'tab', id: freshId('tab'), 'aria-controls': panels[i].id, 'data-test': `tab-${i}` }, name),
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
