// What is wrong with the server or the planner, told in one banner for the whole page until it is mended.

import { $, announce, bus, el, foreign, sleep, tell } from './dom.js';

const LOOK_EVERY = 2000;
/** What is wrong now, by its part: `server`, `store`, `planner`. */
const troubles = new Map();
let looking = false;

export const isLost = () => troubles.has('server');

/** Tells what is wrong with a part, as `[title, what to do]`; nothing once it is mended. */
export function setTrouble(part, told) {
  if (!told && !troubles.delete(part)) return;
  if (told) troubles.set(part, told);
  const [first] = troubles.values();
  document.body.classList.toggle('lost', isLost());
  if (first?.[0] === $('banner').firstElementChild?.dataset.says) return;
  $('banner').replaceChildren();
  if (!first) return;
  const [title, detail] = first;
  $('banner').append(
    el(
      'div',
      { class: 'notice bad', 'data-test': 'banner', 'data-says': title, role: 'alert' },
      el('strong', {}, foreign(title)),
      el('p', {}, foreign(detail)),
    ),
  );
}

async function answers() {
  try {
    return (await fetch('/healthz', { cache: 'no-store', signal: AbortSignal.timeout(3000) })).ok;
  } catch {
    return false;
  }
}

/** A request got no answer: if the server gives none at all, says so, and looks until it is back. */
bus.addEventListener('unreachable', async () => {
  if (looking) return;
  looking = true;
  while (!(await answers())) {
    setTrouble('server', [
      'The server cannot be reached',
      'Nothing is lost. Accepted jobs continue when the server is back, and a plan goes out once, however often you press. This page checks every two seconds.',
    ]);
    await sleep(LOOK_EVERY);
  }
  looking = false;
  if (!isLost()) return;
  setTrouble('server', null);
  announce('The server is back.');
  tell('back');
});
