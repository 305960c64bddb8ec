// How fast the page is with 1,000 jobs, measured in the browser. Run by scripts/page-speed, and no part of the tests: a busy machine
// is no mistake.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { by, open, thousandJobs, until, World } from './support.mjs';

const VISITS = 9;
const WORDS = 'subject 99';
/** What a person should not wait longer for, in milliseconds. */
const GOAL = { 'first row': 300, keystroke: 50 };

test('1,000 jobs', async (t) => {
  const world = new World();
  t.after(() => world.end());
  const server = await world.server();
  await thousandJobs(server);
  const page = await open(t, `${server.url}/healthz`);
  await page.addInitScript(() => {
    // After the next picture, as a person sees it.
    const seen = (told) =>
      requestAnimationFrame(() => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => told(performance.now());
        port2.postMessage(null);
      });
    const look = new MutationObserver(() => {
      if (!document.querySelector('#jobs [data-test=job]')) return;
      look.disconnect();
      seen((at) => {
        globalThis.firstRow = at;
      });
    });
    look.observe(document, { childList: true, subtree: true });
    globalThis.keys = [];
    addEventListener('keydown', ({ timeStamp }) => seen((at) => globalThis.keys.push(at - timeStamp)), true);
  });
  const firsts = [];
  for (let visit = 0; visit < VISITS; visit += 1) {
    await page.goto(server.page);
    firsts.push(await until('there is a row', () => page.evaluate(() => globalThis.firstRow)));
  }
  const shown = () => by(page, 'job', ':not([hidden])').count();
  const older = page.getByRole('button', { name: 'Show older jobs' });
  for (let rows = await shown(); rows < 1000; rows = await shown()) {
    await older.click();
    await until('more rows are shown', async () => (await shown()) > rows);
  }
  await by(page, 'search').focus();
  for (const keys of [[...WORDS], [...WORDS].map(() => 'Backspace')]) {
    for (const key of keys) {
      const before = await page.evaluate(() => globalThis.keys.length);
      await page.keyboard.press(key === ' ' ? 'Space' : key);
      await until('the key is seen', async () => (await page.evaluate(() => globalThis.keys.length)) > before);
    }
    if (keys[0] !== 'Backspace') await until('the search ends', async () => (await shown()) < 30);
  }
  assert.equal(await shown(), 1000);
  const told = { 'first row': firsts, keystroke: await page.evaluate(() => globalThis.keys) };
  for (const [what, all] of Object.entries(told)) {
    all.sort((a, b) => a - b);
    const [median, most] = [all[Math.floor(all.length / 2)], all.at(-1)].map(Math.round);
    console.log(`${what}: ${median} ms (median of ${all.length}), ${most} ms at most; the goal is ${GOAL[what]} ms`);
  }
});
