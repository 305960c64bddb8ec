// Jobs that wait for a person, and jobs that can be taken back.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { by, fits, job, open, plan, until, violations, World } from './support.mjs';

let world;
beforeEach(() => {
  world = new World();
});
afterEach(() => world.end());

const row = (page, id) => by(page, 'job', `[data-job="${id}"]`);
const inside = (node, hook) => node.locator(`[data-test="${hook}"]`);

async function execute(server, subject) {
  const params = { to: ['john@example.com', 'ana@example.com'], cc: 'bo@example.com', subject, text: `About ${subject}.\nAll of it.` };
  const action = {
    provider: 'google',
    action: 'gmail.send',
    params,
    client_request_id: crypto.randomUUID(),
  };
  return (await server.api('POST', '/ai/execute', { actions: [action], actor_id: 'a' })).job_ids[0];
}

test('a held job shows everything that goes out, and approving it sends just that', async (t) => {
  const server = await world.server({ REQUIRE_APPROVAL: 'all' });
  const id = await execute(server, 'Budget');
  const page = await open(t, server.page);
  const held = by(page, 'held');
  const waits = held.locator(`[data-job="${id}"]`);
  await inside(waits, 'approve').waitFor();
  const text = await waits.innerText();
  for (const part of [
    /Held/,
    /Budget/,
    /sandbox@orchestrator\.invalid/,
    /john@example\.com/,
    /ana@example\.com/,
    /bo@example\.com/,
    /About Budget\.\s+All of it\./,
    /Everything is approved first/,
    /It expires \w{3}/,
  ]) {
    assert.match(text, part);
  }
  assert.equal(await inside(waits, 'because').getAttribute('data-because'), 'all');
  assert.match(await page.getByRole('heading', { name: /waits for approval/ }).innerText(), /^1 job waits for approval$/);
  // What waits for a person comes first.
  const [top, prompt] = await Promise.all([held.boundingBox(), by(page, 'prompt').boundingBox()]);
  assert.ok(top.y < prompt.y, `${top.y} is not above ${prompt.y}`);
  const sent = [];
  page.on('request', (request) => request.url().endsWith('/approve') && sent.push(request.postDataJSON()));
  await inside(waits, 'approve').focus();
  await page.keyboard.press('Enter');
  await by(page, 'job', '[data-status=completed]').getByText('Budget').waitFor();
  assert.deepEqual(sent, [{ payload_sha256: (await server.api('GET', `/ai/jobs/${id}`)).payload_sha256 }]);
  assert.equal(await held.isVisible(), false);
  await by(page, 'outbox-entry').getByText('Budget', { exact: true }).waitFor();
  assert.equal(await by(page, 'outbox-entry').count(), 1);
  assert.ok(await row(page, id).evaluate((node) => node.contains(document.activeElement)), 'the focus stays at the job');
});

test('a job that is held elsewhere appears by itself, and a rejected one sends nothing', async (t) => {
  const server = await world.server({ REQUIRE_APPROVAL: 'external', INTERNAL_DOMAINS: 'contoso.com' });
  const page = await open(t, server.page);
  await until('the page is ready', () => by(page, 'metrics').isVisible());
  const id = await execute(server, 'Offer');
  await until('the job appears', () => by(page, 'held').locator(`[data-job="${id}"]`).isVisible(), 14);
  assert.match(await row(page, id).innerText(), /outside your own domains/);
  assert.match(await inside(row(page, id), 'job-content').innerText(), /john@example\.com\s+external/);
  await inside(row(page, id), 'reject').click();
  await by(page, 'job', '[data-status=error]').getByText('approval-rejected').waitFor();
  assert.equal(await by(page, 'outbox-entry').count(), 0);
  // One that is decided elsewhere leaves the list by itself, too.
  const other = await execute(server, 'Offer 2');
  await until('the job appears', () => by(page, 'held').locator(`[data-job="${other}"]`).isVisible(), 14);
  const { payload_sha256 } = await server.api('GET', `/ai/jobs/${other}`);
  await server.api('POST', `/ai/jobs/${other}/approve`, { payload_sha256 });
  await until('the job leaves the list', async () => !(await by(page, 'held').isVisible()), 14);
  await by(page, 'job', '[data-status=completed]').getByText('Offer 2').waitFor();
});

test('all that are shown are approved or rejected together', async (t) => {
  const server = await world.server({ REQUIRE_APPROVAL: 'all' });
  for (const subject of ['One', 'Two', 'Three']) await execute(server, subject);
  const page = await open(t, server.page);
  await page.getByRole('button', { name: 'Approve all 3' }).click();
  await until('all are sent', async () => (await by(page, 'job', '[data-status=completed]').count()) === 3);
  for (const subject of ['Four', 'Five']) await execute(server, subject);
  await page.getByRole('button', { name: 'Reject all 2' }).click();
  await until('two are rejected', async () => (await by(page, 'job', '[data-status=error]').count()) === 2);
  assert.equal((await server.api('GET', '/dev/outbox')).data.length, 3);
  assert.equal(await by(page, 'held').isVisible(), false);
});

test('a send can be undone while its time runs', async (t) => {
  const server = await world.server({ UNDO_SECONDS: '45' });
  const page = await open(t, server.page);
  await plan(page, 'Send email to john@example.com saying thanks for the meeting');
  await by(page, 'execute').click();
  const waits = await job(page, 'pending');
  const left = inside(waits, 'countdown');
  const seconds = async () => Number.parseInt(await left.innerText(), 10);
  await until('the countdown runs', async () => (await seconds()) > 0 && (await seconds()) <= 45);
  const before = await seconds();
  await until('the countdown goes down', async () => (await seconds()) < before);
  await inside(waits, 'undo').click();
  await by(page, 'job', '[data-status=error]').getByText('Cancelled').first().waitFor();
  assert.deepEqual((await server.api('GET', '/dev/outbox')).data, []);
});

test('a time in the prompt is shown in the plan and at the job', async (t) => {
  const server = await world.server();
  const page = await open(t, server.page);
  await plan(page, 'Send an email to john@example.com tomorrow at 9 saying good morning');
  const shown = inside(by(page, 'action'), 'send-at').locator('time');
  const at = new Date(await shown.getAttribute('datetime'));
  const berlin = new Intl.DateTimeFormat('en-GB', { timeZone: 'Europe/Berlin', timeStyle: 'short' }).format(at);
  assert.equal(berlin, '09:00');
  await by(page, 'execute').click();
  const waits = await job(page, 'pending');
  await inside(waits, 'undo').waitFor();
  assert.match(await waits.innerText(), /Goes out in \d+ (h|min)/);
  const [kept] = (await server.api('GET', '/ai/jobs?waiting_for=time')).data;
  assert.equal(Date.parse(kept.send_at), at.valueOf());
});

test('a time that may be two is a choice', async (t) => {
  const page = await open(t, (await world.server()).page);
  await plan(page, 'Email john@example.com tomorrow at 3 saying hi');
  const question = by(page, 'answer', '[data-kind=choice]');
  await question.getByRole('button', { name: /, 15:00$/ }).click();
  await by(page, 'answer-plan').click();
  await by(page, 'send-at').waitFor();
});

for (const width of [1280, 390]) {
  test(`held jobs are usable at a width of ${width}`, async (t) => {
    const server = await world.server({ REQUIRE_APPROVAL: 'all' });
    for (const subject of ['A', `A subject of many words ${'and more '.repeat(20)}`]) await execute(server, subject.trim());
    const page = await open(t, server.page, { width, height: 900 });
    await page.getByRole('button', { name: 'Approve all 2' }).waitFor();
    await fits(page);
    assert.deepEqual(await violations(page), []);
    for (const hook of ['approve', 'reject', 'approve-all', 'reject-all']) {
      for (const node of await by(page, hook).all()) {
        const { width: w, height: h } = await node.boundingBox();
        assert.ok(w >= 44 && h >= 44, `${hook} is ${w} × ${h}`);
      }
    }
    const names = await by(page, 'approve').evaluateAll((nodes) => nodes.map((node) => node.getAttribute('aria-label')));
    assert.equal(new Set(names).size, 2, 'each button says what it approves');
    if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/held-${width}.png`, fullPage: true });
  });
}
