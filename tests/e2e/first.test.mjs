// The first minutes of a stranger: from the first visit to a mail, by mouse and by keyboard, and what becomes of first sentences.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { by, job, open, ROOT, until, World } from './support.mjs';

let world;
beforeEach(() => {
  world = new World();
});
afterEach(() => world.end());

test('the first visit leads to a sent mail in at most four actions and a minute', async (t) => {
  const server = await world.server();
  const began = performance.now();
  const page = await open(t, server.page);
  await page.evaluate(() => {
    globalThis.actions = 0;
    for (const kind of ['pointerdown', 'keydown']) addEventListener(kind, () => (globalThis.actions += 1), true);
  });
  await by(page, 'example').first().click();
  await by(page, 'plan').click();
  await by(page, 'execute').click();
  await job(page, 'completed');
  await by(page, 'outbox-entry').getByText('to john@example.com').waitFor();
  const actions = await page.evaluate(() => globalThis.actions);
  assert.ok(actions > 0 && actions <= 4, `${actions} actions`);
  assert.ok(performance.now() - began < 60_000);
});

const README = readFileSync(join(ROOT, 'README.md'), 'utf8');
/** The sentence that README begins with. */
const [, HEADLINE] = /^Write "([^"]+)"/m.exec(README);

/** What people write first. A name alone, a missing text, two mails, a time, a condition: most of them lead to a question. */
const SENTENCES = [
  HEADLINE,
  'send John a thank-you for the meeting',
  'Send Maria a mail saying I am running late',
  'Send my boss a mail saying I am running late',
  'Send an email to john@example.com',
  'Mail ana@contoso.com and bo@contoso.com that the demo moved to Friday 3pm',
  'Use Outlook to tell amy@contoso.com that the report is ready',
  'Use Gmail to email sam@example.com saying lunch is at noon and use Outlook to tell amy@contoso.com that the report is ready',
  'Email sam@example.com saying lunch is at noon. Then tell dana@example.com that I will be there.',
  'Send john@example.com an apology for the delay',
  'Remind ana@example.com of the invoice tomorrow at 9',
  'Email john@example.com tomorrow at 3 saying hi',
  'Send the invoice to accounting@example.com',
  'Ask bo@example.com whether she can review the draft',
  'Write to my team that the server is back',
  'If it rains, tell john@example.com that the picnic is cancelled',
  'Every Monday send john@example.com the numbers',
  'Reply to Ana that I agree',
  'email john',
  'Congratulate nora@example.com on the new job',
  'Invite nora@example.com to dinner on Friday at 7pm',
  'Thank everyone at the meeting',
];

const ANSWERS = { address: 'guest@example.net', text: 'see you at the harbour' };
/** The most rounds of questions until a plan stands, or says why it does not. */
const ROUNDS = 6;
const words = (text) => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];

test(`${SENTENCES.length} first sentences lead to a mail in the person's own words, and nothing is asked twice`, async (t) => {
  const server = await world.server();
  const page = await open(t, server.page);
  const told = { mails: 0, questions: 0, nothing: [] };
  for (const sentence of SENTENCES) {
    const asked = new Set();
    const given = [sentence, ...Object.values(ANSWERS)];
    await by(page, 'prompt').fill(sentence);
    await by(page, 'plan').click();
    for (let round = 0; ; round += 1) {
      await by(page, 'plan-view').waitFor();
      await until('planning ends', async () => !(await page.locator('#planning').isVisible()));
      const open = await by(page, 'questions').locator('[data-test=answer]').all();
      if (open.length === 0) break;
      assert.ok(round < ROUNDS, `“${sentence}” still asks after ${ROUNDS} rounds: ${[...asked].join(' ')}`);
      for (const question of open) {
        const { id, kind } = await question.evaluate((node) => ({ ...node.dataset }));
        const text = await question.innerText();
        assert.ok(!asked.has(id) && !asked.has(text), `“${sentence}” asks twice: ${text}`);
        asked.add(id).add(text);
        told.questions += 1;
        if (kind === 'address' || kind === 'text') await question.locator('input').fill(ANSWERS[kind]);
        else {
          const choice = question.getByRole('button').first();
          given.push(await choice.innerText());
          await choice.click();
        }
      }
      await by(page, 'answer-plan').click();
    }
    const before = (await server.api('GET', '/ai/jobs?limit=100')).data.length;
    if ((await by(page, 'execute').count()) === 0) {
      // A plan without an action says why.
      await by(page, 'notes').waitFor();
      told.nothing.push(sentence);
      continue;
    }
    const cards = await by(page, 'action').count();
    await by(page, 'execute').click();
    await by(page, 'accepted').waitFor();
    const jobs = (await server.api('GET', '/ai/jobs?limit=100')).data;
    assert.equal(jobs.length, before + cards, sentence);
    for (const { job_id } of jobs.slice(0, cards)) {
      const { subject, text } = await server.api('GET', `/ai/jobs/${job_id}/content`);
      const own = new Set(words(given.join(' ')));
      const ours = words(`${subject ?? ''} ${text ?? ''}`).filter((word) => !own.has(word));
      assert.deepEqual(ours, [], `“${sentence}” sends words of ours: ${subject} / ${text}`);
      told.mails += 1;
    }
  }
  t.diagnostic(`${told.mails} mails after ${told.questions} questions; nothing to do: ${told.nothing.join(' | ') || 'never'}`);
});

test('the keyboard alone leads from the first visit to an approved mail', async (t) => {
  const server = await world.server({ REQUIRE_APPROVAL: 'all' });
  const page = await open(t, server.page);
  await by(page, 'provider').first().waitFor();
  await page.evaluate(() => {
    globalThis.pointed = false;
    addEventListener('pointerdown', () => (globalThis.pointed = true), true);
  });
  const focused = () => page.evaluate(() => document.activeElement.dataset.test ?? document.activeElement.id);
  const tabTo = async (hook) => {
    for (let i = 0; i < 80 && (await focused()) !== hook; i += 1) await page.keyboard.press('Tab');
    assert.equal(await focused(), hook);
  };
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await until('the prompt has the focus', async () => (await focused()) === 'prompt');
  await page.keyboard.type('Send email to john@example.com saying thanks for the meeting');
  await page.keyboard.press('Control+Enter');
  await until('the plan has the focus', async () => (await focused()) === 'plan-title');
  await tabTo('execute');
  await page.keyboard.press('Enter');
  await by(page, 'held').getByText('john@example.com').first().waitFor();
  await by(page, 'approve').waitFor();
  assert.deepEqual((await server.api('GET', '/dev/outbox')).data, []);
  // The focus is at the job, so its buttons come next.
  await tabTo('approve');
  await page.keyboard.press('Enter');
  await job(page, 'completed');
  await by(page, 'outbox-entry').getByText('to john@example.com').waitFor();
  assert.equal(await page.evaluate(() => globalThis.pointed), false);
});
