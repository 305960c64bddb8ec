// Care: keyboard, screen reader, narrow and dark screens, and text by people who mean harm.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, test } from 'node:test';
import { DIGEST, digest } from './pictures.mjs';
import { by, fits, GMAIL_SEND, job, open, plan, ran, until, violations, World } from './support.mjs';

const THANKS = 'Send email to john@example.com saying thanks for the meeting';
const BAD = '<script>globalThis.hacked = true</script><img src=x onerror="globalThis.hacked = true">';

let world;
beforeEach(() => {
  world = new World();
});
afterEach(() => world.end());

test('a script in a subject, a name, an error and a result stays text', async (t) => {
  const server = await world.server();
  const page = await open(t, server.page);
  await by(page, 'prompt').fill(`Send email to john@example.com with the subject "${BAD.replaceAll('"', "'")}" saying ${BAD}`);
  await by(page, 'plan-execute').click();
  await job(page, 'completed');
  assert.match(await by(page, 'outbox-entry').innerText(), /<script>/);
  assert.equal(await ran(page), false, 'in a subject');

  // The API's answers are replaced by hostile ones.
  const answers = {
    '**/actions': {
      data: [
        {
          id: BAD,
          title: BAD,
          provider: BAD,
          effect: BAD,
          description: BAD,
          allowed: false,
          mode: BAD,
          address: BAD,
          params_schema: { required: [BAD], properties: { [BAD]: { title: BAD, 'x-kind': BAD }, html: { title: BAD, 'x-kind': 'html' } } },
        },
      ],
      providers: [{ id: BAD, name: BAD, account: BAD, revoke_page: 'javascript:globalThis.hacked = true' }],
    },
    '**/oauth/*/status': { provider: BAD, mode: 'live', address: BAD },
    '**/ai/jobs?*': {
      data: ['completed', 'error'].map((status, i) => ({
        job_id: `${i}${BAD}`,
        status,
        action: BAD,
        provider: BAD,
        client_request_id: BAD,
        created_at: BAD,
        attempts: 1,
        result: status === 'completed' ? { from: BAD, via: BAD, [BAD]: BAD, nested: { [BAD]: BAD } } : null,
        error: status === 'error' ? { code: BAD, message: BAD, remediation: BAD, retriable: true } : null,
      })),
      next_cursor: BAD,
      has_more: true,
    },
    '**/dev/outbox': {
      data: [{ job_id: BAD, title: BAD, recipients: [BAD], from: BAD, action: BAD, content_type: BAD, body: BAD, written_at: BAD }],
    },
    '**/ai/plan2': {
      plan: {
        plan_id: BAD,
        intent: BAD,
        confidence: 1,
        notes: BAD,
        questions: [BAD, BAD, BAD],
        clarifications: [
          { id: BAD, kind: BAD, about: BAD, field: BAD, text: BAD, options: null },
          { id: `${BAD}2`, kind: 'confirm', about: BAD, field: null, text: BAD, options: null },
          { id: `${BAD}3`, kind: 'choice', about: BAD, field: null, text: BAD, options: [{ value: BAD, label: BAD }] },
        ],
        warnings: [
          { code: BAD, field: BAD, text: BAD },
          { code: BAD, field: `/actions/0/params/${BAD}`, text: BAD },
        ],
        actions: [
          {
            provider: BAD,
            action: BAD,
            client_request_id: BAD,
            params: { to: `${BAD} <a@example.com>`, subject: BAD, text: BAD, html: BAD, [BAD]: BAD },
          },
        ],
      },
      meta: { model: BAD, duration: 1, tokens_in: 1, tokens_out: 1 },
    },
    '**/actions/preview': { content_type: BAD, body: BAD, sha256: BAD, from: BAD, warnings: [{ code: BAD, field: BAD, text: BAD }] },
  };
  for (const [path, json] of Object.entries(answers)) await page.route(path, (route) => route.fulfill({ json }));
  await page.route('**/ai/execute', (route) =>
    route.fulfill({
      status: 422,
      contentType: 'application/problem+json',
      body: JSON.stringify({
        type: `/problems/${BAD}`,
        title: BAD,
        detail: BAD,
        code: BAD,
        correlation_id: BAD,
        connect_url: `javascript:${BAD}`,
        errors: [{ pointer: BAD, detail: BAD }],
      }),
    }),
  );
  await page.route('**/oauth/*/start', (route) => route.fulfill({ json: { authorization_url: 'javascript:globalThis.hacked = true' } }));
  await page.reload();
  await by(page, 'job').nth(1).waitFor();
  await plan(page, BAD);
  await by(page, 'preview').click();
  for (const tab of await page.getByRole('tab').all()) await tab.click();
  await by(page, 'edit').click();
  await by(page, 'execute').click();
  await by(page, 'plan-view').locator('[data-test=error]').waitFor();
  for (const summary of await page.locator('summary').all()) await summary.click();
  assert.equal(await ran(page), false);
  assert.ok((await page.locator('main').innerText()).split('<script>').length > 20, 'all of it is shown as text');
  assert.equal(await page.locator('a[href^="javascript:"]').count(), 0);
});

test('an address that is no web address is not opened', async (t) => {
  const server = await world.server({ PROVIDER_MODE: 'live' });
  const page = await open(t, server.page);
  await page.route('**/oauth/*/start', (route) => route.fulfill({ json: { authorization_url: 'javascript:globalThis.hacked = true' } }));
  await by(page, 'provider', '[data-provider=google]').getByRole('button').click();
  await by(page, 'provider').getByText('The response has no address to open').waitFor();
  assert.equal(page.context().pages().length, 1);
  assert.equal(await ran(page), false);
});

test('everything can be done with the keyboard, and the focus is always visible', async (t) => {
  const server = await world.server();
  const page = await open(t, server.page);
  await by(page, 'provider').first().waitFor();
  const focused = () =>
    page.evaluate(() => {
      const node = document.activeElement;
      const box = node.getBoundingClientRect();
      return {
        hook: node.dataset.test ?? node.closest('[data-test=answer]')?.dataset.test ?? node.id,
        text: node.textContent.trim(),
        lost: node === document.body,
        seen: box.width > 0 && box.height > 0,
      };
    });
  const tabTo = async (hook, key = 'Tab') => {
    for (let i = 0; i < 60; i += 1) {
      const now = await focused();
      assert.ok((now.seen && !now.lost) || i === 0, `the focus is lost: ${JSON.stringify(now)}`);
      if (now.hook === hook) return;
      await page.keyboard.press(key);
    }
    assert.fail(`the keyboard does not reach ${hook}`);
  };
  await page.keyboard.press('Tab');
  assert.equal((await focused()).text, 'Skip to the prompt');
  await page.keyboard.press('Enter');
  await until('the prompt has the focus', async () => (await focused()).hook === 'prompt');
  await page.keyboard.type('Send my boss a mail saying I am running late');
  await page.keyboard.press('Control+Enter');
  await by(page, 'answer').waitFor();
  await until('the question has the focus', async () => (await focused()).hook === 'answer');
  await page.keyboard.type('maria@example.com');
  await page.keyboard.press('Enter');
  await by(page, 'execute').waitFor();
  await until('the plan has the focus', async () => (await focused()).hook === 'plan-title');
  await tabTo('edit');
  await page.keyboard.press('Enter');
  await tabTo('edit-subject');
  await page.keyboard.press('Control+A');
  await page.keyboard.type('Late');
  await tabTo('edit');
  await page.keyboard.press('Space');
  await tabTo('preview', 'Shift+Tab');
  await page.keyboard.press('Enter');
  await by(page, 'preview-body').waitFor();
  await tabTo('tab-0');
  await page.keyboard.press('ArrowRight');
  assert.equal((await focused()).text, 'Text');
  await tabTo('execute');
  await page.keyboard.press('Enter');
  await job(page, 'completed');
  await until('the job has the focus', async () => (await focused()).text === 'Late');
  await page.locator('input[name=filter]').first().focus();
  await page.keyboard.press('ArrowLeft');
  await page.getByText('No job is in error.').waitFor();
  assert.equal(await page.locator('#announcer').getAttribute('role'), 'status');
});

test('screen readers are told what happens', async (t) => {
  const server = await world.server();
  const page = await open(t, server.page);
  await page.evaluate(() => {
    globalThis.said = [];
    new MutationObserver(() => globalThis.said.push(document.getElementById('announcer').textContent)).observe(
      document.getElementById('announcer'),
      { childList: true, characterData: true, subtree: true },
    );
  });
  await plan(page, THANKS, 'plan-execute');
  await job(page, 'completed');
  const said = await until('the end is announced', async () => {
    const all = await page.evaluate(() => globalThis.said);
    return all.includes('Thanks for the meeting: Completed.') && all;
  });
  assert.ok(said.includes('Planning.') && said.includes('Executing.'), said.join(' '));
});

for (const colorScheme of ['light', 'dark']) {
  test(`axe finds nothing, ${colorScheme}`, async (t) => {
    const server = await world.server({ ALLOW_ACTIONS_DEFAULT: 'gmail.send' });
    const page = await open(t, server.page, { colorScheme });
    const check = async (where) => assert.deepEqual(await violations(page), [], where);
    await by(page, 'provider').first().waitFor();
    await page.getByText('What is allowed here').click();
    await check('the start');
    await plan(page, 'Send my boss a mail saying I am running late');
    await check('a question');
    await plan(page, THANKS);
    await by(page, 'preview').click();
    await by(page, 'preview-body').waitFor();
    await check('a plan and its preview');
    await by(page, 'edit').click();
    await by(page, 'edit-to').fill('nobody');
    await by(page, 'edit-to', '[aria-invalid]').waitFor();
    await check('an editor with a mistake');
    await by(page, 'execute').click();
    await by(page, 'plan-view').locator('[data-code="invalid-params"]').first().waitFor();
    await check('an error');
    await plan(page, THANKS, 'plan-execute');
    const done = await job(page, 'completed');
    await done.getByText('Record').click();
    await by(page, 'key-open').click();
    await check('a job, and the form for a key');
    for (const path of ['/docs', '/problems', '/problems/rate-limited']) {
      await page.goto(server.url + path);
      await page.locator('main :is(.card, li)').first().waitFor();
      await check(path);
    }
  });

  test(`axe finds nothing in what waits, failed or cannot be reached, ${colorScheme}`, async (t) => {
    const folder = world.folder();
    const fakes = await world.fakes();
    await fakes.token('t', 'google', GMAIL_SEND);
    await fakes.fault('accept-then-close', { on: 'gmail.messages.send' });
    const env = { ...fakes.env, GOOGLE_ACCESS_TOKEN: 't', REQUIRE_APPROVAL: 'external', INTERNAL_DOMAINS: 'example.com' };
    const server = await world.server(env, folder);
    const page = await open(t, server.page, { colorScheme });
    const check = async (where) => assert.deepEqual(await violations(page), [], where);
    await plan(page, THANKS, 'plan-execute');
    await (await job(page, 'error')).getByText('Outcome unknown', { exact: true }).waitFor();
    await check('an unknown outcome');
    await plan(page, THANKS);
    await by(page, 'warning', '[data-code=duplicate]').waitFor();
    await check('a duplicate');
    await plan(page, 'Send email to ana@contoso.com saying hello');
    await by(page, 'execute').click();
    await by(page, 'approve').waitFor();
    await check('a held job');
    await by(page, 'search').fill('nobody');
    await page.getByText('No job has these words').waitFor();
    await check('a search that finds nothing');
    await server.stop();
    await by(page, 'banner').waitFor();
    await check('an outage');
  });
}

// A window of 1280 × 900 is 640 wide at a zoom of 200 %, and 320 at 400 %.
for (const [width, height] of [
  [320, 225],
  [320, 700],
  [640, 450],
]) {
  test(`a screen of ${width} × ${height} cuts nothing off`, async (t) => {
    const server = await world.server({ PROVIDER_MODE: 'live' });
    const page = await open(t, server.page, { width, height, hasTouch: true });
    await by(page, 'provider').first().waitFor();
    await fits(page);
    await plan(page, `Send email to john@example.com with the subject "${'Long'.repeat(60)}" saying ${'wide'.repeat(90)}`, 'plan-execute');
    await by(page, 'stopped').waitFor();
    await by(page, 'preview').tap();
    await by(page, 'preview-body').waitFor();
    await fits(page);
    await by(page, 'edit').tap();
    await by(page, 'execute').tap();
    await by(page, 'plan-view').locator('[data-code="connection-required"]').waitFor();
    await fits(page);
    await page.goto(`${server.url}/docs`);
    await page.locator('main .route').first().waitFor();
    await fits(page);
  });
}

test('the API page shows every route of the document', async (t) => {
  const server = await world.server();
  const page = await open(t, `${server.url}/docs`);
  await page.locator('main .route').first().waitFor();
  const { paths } = await server.api('GET', '/openapi.json');
  const wanted = Object.entries(paths).flatMap(([path, item]) =>
    Object.keys(item)
      .filter((method) => ['get', 'post', 'delete'].includes(method))
      .map((method) => `${method.toUpperCase()} ${path}`),
  );
  assert.ok(wanted.length >= 15);
  for (const name of wanted) await page.getByRole('article', { name, exact: true }).waitFor();
});

test('the pictures in docs/images show the page as it is', () => {
  assert.equal(readFileSync(DIGEST, 'utf8').trim(), digest(), 'the page has changed since: run scripts/pictures');
});
