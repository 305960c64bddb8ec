// The made-up people and events in which lookups of the sandbox find something.

import { pageMode } from './accounts.js';
import { api } from './api.js';
import { $, asText, bus, el, foreign, list, time } from './dom.js';
import { timezone } from './plan.js';

const SOURCES = { contact: 'contacts', directory: 'directory' };

const person = ({ name, address, source }) =>
  el(
    'li',
    { class: 'row tight' },
    el('strong', {}, foreign(name)),
    foreign(address),
    el('span', { class: 'badge' }, foreign(SOURCES[source] ?? source)),
  );

const event = ({ title, start, attendees }) =>
  el(
    'li',
    {},
    el('strong', {}, foreign(title)),
    ' ',
    time(start),
    list(attendees).length > 0 && el('p', { class: 'fine' }, 'with ', foreign(list(attendees).map(asText).join(', '))),
  );

bus.addEventListener('catalogue', async () => {
  $('address-book').replaceChildren();
  if (pageMode() === 'live' || pageMode() === null) return;
  try {
    const zone = timezone();
    const { people, events } = await api('GET', `/dev/address-book${zone ? `?timezone=${encodeURIComponent(zone)}` : ''}`);
    $('address-book').replaceChildren(
      el(
        'details',
        { 'data-test': 'address-book' },
        el('summary', {}, 'People and events that lookups find in the sandbox'),
        el('ul', { class: 'stack', 'aria-label': 'People' }, list(people).map(person)),
        el('h3', {}, 'Events'),
        el('ul', { class: 'stack', 'aria-label': 'Events' }, list(events).map(event)),
      ),
    );
  } catch {
    /* A deployment without a sandbox has none. */
  }
});
