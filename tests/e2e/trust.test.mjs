// What a person who sees the page for the first time can rely on: what is real, what a button does, what was done, and what is wrong.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { by, fits, GMAIL_SEND, job, open, plan, ran, until, violations, World } from './support.mjs';

const THANKS = 'Send email to john@example.com saying thanks for the meeting';
const OUTLOOK = 'Use Outlook to tell amy@contoso.com that the report is ready';
const WIDE = { width: 1280, height: 900 };
const PHONE = { width: 390, height: 844, hasTouch: true, isMobile: true };

let world;
beforeEach(() => {
  world = new World();
});
afterEach(() => world.end());

const mail = (subject, to, more = {}) => ({
  action: 'gmail.send',
  client_request_id: crypto.randomUUID(),
  params: { to, subject, text: `About ${subject}.`, ...more },
});
const execute = (server, ...actions) => server.api('POST', '/ai/execute', { actions, actor_id: 'a' });
const live = async (token = 't') => {
  const fakes = await world.fakes();
  await fakes.token(token, 'google', GMAIL_SEND);
  return { ...fakes.env, GOOGLE_ACCESS_TOKEN: token };
};

for (const size of [WIDE, PHONE]) {
  test(`the plan and its button are in sight at ${size.width} × ${size.height}`, async (t) => {
    const server = await world.server();
    await execute(server, mail('Earlier', 'john@example.com'));
    const page = await open(t, server.page, size);
    await job(page, 'completed');
    const lines = Array.from({ length: 12 }, (_, i) => `line ${i}`).join(', ');
    for (const prompt of [THANKS, `Send email to john@example.com with the subject "Notes" saying ${lines}`]) {
      await plan(page, prompt);
      for (const hook of ['execute', 'prompt']) {
        const { y, height } = await by(page, hook).boundingBox();
        assert.ok(hook !== 'execute' || (y >= 0 && y + height <= size.height), `${hook} is at ${y} to ${y + height}`);
      }
      const { y } = await by(page, 'plan-view').boundingBox();
      assert.ok(y >= 0 && y < size.height / 2 + 60, `the plan begins at ${y}`);
      await fits(page);
    }
  });
}

test('the button says what it does, and the bar says what is real', async (t) => {
  const sandbox = await world.server();
  const one = await open(t, sandbox.page);
  await by(one, 'mode', '[data-mode=sandbox]').getByText('Nothing leaves this server').waitFor();
  await plan(one, THANKS);
  await by(one, 'execute').getByText('Write 1 mail to the outbox', { exact: true }).waitFor();

  const env = await live();
  const mixed = await open(t, (await world.server(env)).page);
  await by(mixed, 'mode', '[data-mode=mixed]').getByText('Gmail sends for real').waitFor();
  await plan(mixed, THANKS);
  await by(mixed, 'execute', '.live').getByText('Send 1 mail').waitFor();
  const two = ['google', 'microsoft'].map((provider, i) => ({
    ...mail('Two', 'bo@example.com'),
    provider,
    action: ['gmail.send', 'outlook.send'][i],
  }));
  const planned = { plan_id: 'p', intent: 'x', confidence: 1, actions: two, questions: [], clarifications: [], warnings: [], notes: null };
  await mixed.route('**/ai/plan2', (route) => route.fulfill({ json: { plan: planned, meta: {} } }));
  await mixed.route('**/actions/preview', async (route) => {
    const { plan_id: _, ...body } = route.request().postDataJSON();
    await route.continue({ postData: JSON.stringify(body) });
  });
  await plan(mixed, 'Two mails');
  await by(mixed, 'execute').getByText('Send 1 mail, write 1 mail to the outbox', { exact: true }).waitFor();

  const all = await open(t, (await world.server({ ...env, PROVIDER_MODE: 'live' })).page);
  await by(all, 'mode', '[data-mode=live]').waitFor();

  const held = await open(t, (await world.server({ REQUIRE_APPROVAL: 'all' })).page);
  await plan(held, THANKS);
  await by(held, 'execute').getByText('Hold 1 mail for approval', { exact: true }).waitFor();
});

test('a connected address is named on the button', async (t) => {
  const fakes = await world.fakes();
  const server = await world.server({ ...fakes.env, ...fakes.client });
  const page = await open(t, server.page);
  const tab = page.context().waitForEvent('page');
  await by(page, 'accounts').getByRole('button', { name: 'Connect Google' }).click();
  await (await tab).getByRole('heading', { name: 'The account is connected' }).waitFor();
  await page.evaluate(() => window.dispatchEvent(new Event('focus')));
  await by(page, 'mode').getByText('ana@example.com').waitFor();
  await plan(page, THANKS);
  await by(page, 'execute').getByText('Send 1 mail as ana@example.com', { exact: true }).waitFor();
});

test('a mail with markup is shown as a mail, and nothing in it runs or loads', async (t) => {
  const server = await world.server();
  const html =
    '<h1 onclick="globalThis.hacked = true">Hello</h1><p style="color: red">Hi <b>there</b> &amp; you<img src="https://example.com/x.png" onerror="globalThis.hacked = true">' +
    '<a title=">" href="https://evil.example.net/?a=1&amp;b=2">your bank</a></p><script>globalThis.hacked = true</script><svg onload="globalThis.hacked = true">' +
    '<p>gone</p></svg><form action="https://evil.example.net"><input></form><iframe srcdoc="<p>in"></iframe><<img onerror=x>i';
  await execute(server, mail('Markup', 'john@example.com', { html }));
  const page = await open(t, server.page);
  const entry = by(page, 'outbox-entry');
  await entry.getByText('About Markup.').waitFor();
  const frame = entry.locator('iframe[sandbox]');
  assert.ok(!(await frame.getAttribute('sandbox')).includes('scripts'));
  const body = entry.frameLocator('iframe').locator('body');
  await body.getByText('Hello').waitFor();
  const inside = await body.innerHTML();
  assert.match(
    inside,
    /<h1>Hello<\/h1><p>Hi <b>there<\/b> &amp; you<u>your bank<\/u> &lt;https:\/\/evil\.example\.net\/\?a=1&amp;b=2&gt;<\/p>/,
  );
  assert.doesNotMatch(inside, /gone|<(a|img|script|svg|form|input|iframe)\b|onclick|style=/);
  assert.equal(await ran(page), false);
});

test('a job is found by its subject or recipient, the oldest of many too', async (t) => {
  const server = await world.server();
  const crowd = Array.from({ length: 9 }, (_, i) => `guest-${i}@contoso.com`);
  const [first] = (await execute(server, mail('Grüße from the beginning', ['oldest@contoso.com', ...crowd]))).job_ids;
  for (let i = 0; i < 15; i += 1) {
    await execute(server, ...Array.from({ length: 10 }, (_, j) => mail(`Number ${i * 10 + j}`, `person-${i}@example.com`)));
  }
  await until('all are done', async () => (await server.api('GET', '/ai/jobs?status=pending')).data.length === 0);
  const page = await open(t, server.page);
  await by(page, 'job').nth(49).waitFor();
  assert.equal(await by(page, 'job').count(), 50);
  const shown = () =>
    by(page, 'job').evaluateAll((rows) =>
      rows.filter((row) => row.checkVisibility({ visibilityProperty: true })).map((row) => row.dataset.job),
    );
  // A summary names three recipients, and the job is none of the fifty on show.
  for (const words of ['oldest@contoso.com', 'GRÜ', 'grüße beginning', 'guest-8@contoso.com', first]) {
    await by(page, 'search').fill(words);
    await until(`${words} finds the first job`, async () => (await shown()).join() === first);
  }
  await by(page, 'search').fill('person-3@example.com');
  await until('ten are found', async () => (await shown()).length === 10);
  await by(page, 'search').fill('nobody@example.com');
  await page.getByText('No job has these words').waitFor();
  await by(page, 'search').fill('');
  await until('all are back', async () => (await shown()).length > 50);
  // A job of now is shown, whatever was looked for.
  await by(page, 'search').fill('nothing of the kind');
  await plan(page, THANKS, 'plan-execute');
  await until('the new job is there', async () =>
    (await by(page, 'job', '[data-status=completed]').first().innerText()).includes('Thanks'),
  );
});

test('what was just accepted is in sight and has the focus, the very first job too', async (t) => {
  for (const size of [WIDE, PHONE]) {
    const page = await open(t, (await world.server({ UNDO_SECONDS: '600' })).page, size);
    for (const prompt of [THANKS, OUTLOOK]) {
      await plan(page, prompt);
      await by(page, 'execute').click();
      await until('the job has the focus', () => page.evaluate(() => document.activeElement.className === 'job-link'));
      const { y, height } = await by(page, 'undo').first().boundingBox();
      assert.ok(y >= 0 && y + height <= size.height, `Undo is at ${y} to ${y + height} of ${size.height}`);
      await by(page, 'new-request').click();
    }
  }
});

test('a job has a link, and shows what went out', async (t) => {
  const server = await world.server();
  const { job_ids } = await execute(server, mail('Budget', ['john@example.com', 'ana@example.com'], { cc: 'cy@example.com' }));
  const page = await open(t, `${server.page}#job/${job_ids[0]}`);
  const row = by(page, 'job', `[data-job="${job_ids[0]}"]`);
  for (const text of ['About Budget.', 'cy@example.com']) await row.getByText(text, { exact: true }).waitFor();
  await row.getByText('Record').click();
  await row.getByText(job_ids[0]).waitFor();
  await row.getByRole('link', { name: 'Budget' }).click();
  await row.getByText('About Budget.').waitFor({ state: 'detached' });
  const missing = await open(t, `${server.page}#job/00000000-0000-0000-0000-000000000000`);
  await by(missing, 'error', '[data-code=job-not-found]').waitFor();
});

test('a job that was made elsewhere appears by itself, at its place', async (t) => {
  const server = await world.server();
  const page = await open(t, server.page);
  await page.getByText('No jobs yet').waitFor();
  const { job_ids } = await execute(server, mail('One', 'a@example.com'), mail('Two', 'b@example.com'), mail('Three', 'c@example.com'));
  await until('they appear', async () => (await by(page, 'job').count()) === 3, 14);
  const order = () => by(page, 'job').evaluateAll((rows) => rows.map((row) => row.dataset.job));
  assert.deepEqual(await order(), job_ids, 'jobs of one request are in its order');
  const later = (await execute(server, mail('Later', 'd@example.com'))).job_ids;
  await until('it appears', async () => (await by(page, 'job').count()) === 4, 14);
  assert.deepEqual(await order(), [...later, ...job_ids]);
});

test('an outcome that nobody knows comes first, however many jobs came after it', async (t) => {
  const fakes = await world.fakes();
  await fakes.token('t', 'google', GMAIL_SEND);
  await fakes.fault('accept-then-close', { on: 'gmail.messages.send' });
  const server = await world.server({ ...fakes.env, GOOGLE_ACCESS_TOKEN: 't' });
  const [unknown] = (await execute(server, mail('Lost', 'a@example.com'))).job_ids;
  await until('its outcome is unknown', async () => (await server.api('GET', `/ai/jobs/${unknown}`)).status === 'error');
  for (let i = 0; i < 6; i += 1) {
    await execute(server, ...Array.from({ length: 10 }, (_, j) => mail(`After ${i * 10 + j}`, 'b@example.com')));
  }
  const page = await open(t, server.page);
  await by(page, 'job', `[data-job="${unknown}"]`).waitFor();
  assert.equal(await by(page, 'job').first().getAttribute('data-job'), unknown);
  await by(page, 'job-resolve', '[data-outcome=sent]').click();
  await until('it takes its place', async () => (await by(page, 'job').last().getAttribute('data-job')) === unknown);
});

test('disconnecting asks first, and says how many jobs it stops', async (t) => {
  const fakes = await world.fakes();
  const server = await world.server({ ...fakes.env, ...fakes.client, UNDO_SECONDS: '600' });
  const page = await open(t, server.page);
  const tab = page.context().waitForEvent('page');
  await by(page, 'accounts').getByRole('button', { name: 'Connect Google' }).click();
  await (await tab).getByRole('heading', { name: 'The account is connected' }).waitFor();
  await page.evaluate(() => window.dispatchEvent(new Event('focus')));
  const google = by(page, 'provider', '[data-provider=google]');
  const asks = by(google, 'disconnect-ask');
  const disconnect = google.getByRole('button', { name: 'Disconnect Google' });
  const focused = () => page.evaluate(() => document.activeElement.textContent);
  await disconnect.click();
  await asks.getByText('No job waits for it.').waitFor();
  await until('the question has the focus', async () => (await focused()) === 'Keep it');
  await page.keyboard.press('Enter');
  await asks.waitFor({ state: 'detached' });
  assert.equal(await focused(), 'Disconnect Google');
  const outlook = { ...mail('Elsewhere', 'c@example.com'), action: 'outlook.send' };
  await execute(server, mail('One', 'a@example.com'), mail('Two', 'b@example.com'), outlook);
  await disconnect.click();
  await asks.getByText('2 jobs of Google wait and will end with an error; nothing of them is done.').waitFor();
  assert.equal((await server.api('GET', '/oauth/google/status')).mode, 'live', 'nothing is disconnected yet');
  await by(page, 'disconnect-yes').click();
  await google.getByText('Google is disconnected.').waitFor();
  await until('the focus stays here', async () => (await focused()) === 'Connect Google');
  assert.notEqual((await server.api('GET', '/oauth/google/status')).mode, 'live');
});

test('the page says whose key this tab has, and what it may do', async (t) => {
  const folder = world.folder();
  const scopes = 'actions:preview,actions:execute';
  const key = world.key(folder, scopes, '--name', 'backend', '--expires', '30d', '--actor', 'ana', '--allow', 'gmail.send', '--draft-only');
  const server = await world.server({}, folder);
  const page = await open(t, server.page);
  await by(page, 'api-key').waitFor();
  await page.locator('#key').fill(key);
  await page.getByRole('button', { name: 'Use key' }).click();
  await page.getByRole('button', { name: 'Key of acme' }).click();
  const who = await by(page, 'who').innerText();
  for (const part of [
    /Workspace\s+acme/,
    new RegExp(`Key\\s+backend · ${key.split('_')[1]}`),
    /May\s+plan and read, execute\n/,
    /for one actor only; only gmail\.send; drafts only/,
    /Expires\s+\w{3}/,
  ]) {
    assert.match(who, part);
  }
  assert.ok(!who.includes(key.split('_')[2]));

  const keyless = await open(t, (await world.server()).page);
  await by(keyless, 'provider').first().waitFor();
  await keyless.getByRole('button', { name: 'API key' }).click();
  assert.match(await by(keyless, 'who').innerText(), /Workspace\s+local[\s\S]*this server has no keys/);
});

test('a refusal that comes after the key was entered is not about that key', async (t) => {
  const folder = world.folder();
  const key = world.key(folder, 'actions:preview');
  const server = await world.server({}, folder);
  const page = await open(t, server.page);
  await by(page, 'api-key').waitFor();
  let enter;
  const entered = new Promise((done) => {
    enter = done;
  });
  let late = 0;
  await page.route(/\/actions$/, async (route) => {
    const response = await route.fetch();
    if (response.status() === 401) {
      late += 1;
      await entered;
    }
    await route.fulfill({ response });
  });
  await page.reload();
  await by(page, 'api-key').waitFor();
  await page.locator('#key').fill(key);
  await page.getByRole('button', { name: 'Use key' }).click();
  await page.getByRole('button', { name: 'Key of acme' }).waitFor();
  const again = page.waitForResponse((response) => response.url().endsWith('/actions') && response.ok());
  enter();
  await again;
  assert.equal(late, 1);
  assert.equal(await by(page, 'api-key').isVisible(), false);
});

test('planning can be stopped, and meanwhile no button looks ready', async (t) => {
  const server = await world.server();
  const page = await open(t, server.page);
  let answer;
  const asked = new Promise((done) => {
    answer = done;
  });
  await page.route('**/ai/plan2', async (route) => {
    await asked;
    await route.continue().catch(() => {});
  });
  await by(page, 'prompt').fill(THANKS);
  await by(page, 'plan').click();
  await by(page, 'planning-cancel').waitFor();
  assert.equal(await by(page, 'plan-execute').getAttribute('aria-disabled'), 'true');
  await by(page, 'planning-cancel').click();
  await until('the prompt has the focus', () => by(page, 'prompt').evaluate((box) => box === document.activeElement));
  assert.equal((await by(page, 'error').count()) + (await by(page, 'banner').count()), 0, 'stopping is no error');
  answer();
  await page.unroute('**/ai/plan2');
  await plan(page, THANKS);
});

/** A page with a plan, whose clock a test sets. */
async function plannedByClock(t) {
  const server = await world.server();
  const page = await open(t, `${server.url}/healthz`);
  await page.clock.install();
  await page.goto(server.page);
  await plan(page, THANKS);
  return page;
}

test('a plan tells when its end is near', async (t) => {
  const page = await plannedByClock(t);
  assert.doesNotMatch(await by(page, 'plan-view').innerText(), /more minute/);
  await page.clock.fastForward('11:00');
  await by(page, 'plan-view').getByText('good for 4 more minutes').waitFor();
  await page.clock.fastForward('04:30');
  await by(page, 'plan-again').waitFor();
});

test('an outage and its end are told within seconds, also where nobody does anything', async (t) => {
  const folder = world.folder();
  const server = await world.server({}, folder);
  const page = await open(t, server.page);
  await plan(page, THANKS, 'plan-execute');
  await job(page, 'completed');
  await server.stop();
  await until('the banner is there', () => by(page, 'banner').isVisible(), 18);
  assert.match(await by(page, 'banner').innerText(), /cannot be reached[\s\S]*goes out once/);
  assert.match(await by(page, 'job').innerText(), /Thanks for the meeting/, 'what is known stays');
  assert.ok(await by(page, 'metrics').isVisible());
  await world.server({ PORT: new URL(server.url).port }, folder);
  await until('the banner is gone', async () => (await by(page, 'banner').count()) === 0, 18);
  await plan(page, OUTLOOK, 'plan-execute');
  await until('it works again', async () => (await by(page, 'job', '[data-status=completed]').count()) === 2);
});

test('a model that does not answer is told in the banner until it does', async (t) => {
  const server = await world.server();
  const page = await open(t, server.page);
  let down = true;
  await page.route('**/ai/plan2', (route) =>
    down
      ? route.fulfill({
          status: 503,
          contentType: 'application/problem+json',
          body: JSON.stringify({ type: '/problems/planner-unavailable', title: 'The model is not available', code: 'planner-unavailable' }),
        })
      : route.continue(),
  );
  await by(page, 'prompt').fill(THANKS);
  await by(page, 'plan').click();
  await by(page, 'banner').getByText('The model did not answer').waitFor();
  down = false;
  await by(page, 'error').getByRole('button', { name: 'Try again' }).click();
  await by(page, 'plan-view').waitFor();
  assert.equal(await by(page, 'banner').count(), 0);
});

test('the page says who planned, and no percent is made up', async (t) => {
  const page = await open(t, (await world.server()).page);
  await plan(page, THANKS);
  const text = await by(page, 'plan-view').innerText();
  assert.match(text, /built-in rules, without a model/);
  assert.doesNotMatch(text, /% sure/);
});

test('a plan of an earlier request says so, and an old plan is planned again', async (t) => {
  const page = await plannedByClock(t);
  await by(page, 'prompt').fill(`${THANKS} and more`);
  await by(page, 'plan-view').getByText('has changed since').waitFor();
  await by(page, 'prompt').fill(THANKS);
  await page.clock.fastForward('16:00');
  await by(page, 'plan-again').click();
  await by(page, 'execute').waitFor();
  await by(page, 'execute').click();
  await job(page, 'completed');
});

test('a mistake is told once, and nothing is asked for meanwhile', async (t) => {
  const page = await open(t, (await world.server()).page);
  const asked = [];
  page.on('request', (request) => request.url().endsWith('/ai/execute') && asked.push(request.url()));
  await plan(page, THANKS);
  await by(page, 'edit').click();
  await by(page, 'edit-to').fill('john@example.com; nobody');
  await by(page, 'execute').click();
  await by(page, 'error', '[data-code=invalid-params]').waitFor();
  assert.equal(await by(page, 'error').count(), 1);
  assert.deepEqual(asked, []);
  await by(page, 'edit').click();
  await by(page, 'edit-to').fill('john@example.com, "Doe, Ana" <ana@example.com>');
  await by(page, 'execute').click();
  await job(page, 'completed');
  await by(page, 'outbox-entry')
    .getByText('john@example.com, ana@example.com')
    .or(by(page, 'outbox-entry').getByText('Doe, Ana'))
    .first()
    .waitFor();
});

test('the accounts say what each right buys, and how to set up sign-in', async (t) => {
  const page = await open(t, (await world.server()).page, PHONE);
  const accounts = by(page, 'accounts');
  for (const text of ['Send.', 'Drafts.', 'leaves no doubt']) await accounts.getByText(text).first().waitFor();
  await accounts.getByText('How to set up sign-in with Google').click();
  await accounts.getByText(`${new URL(page.url()).origin}/oauth/google/callback`).waitFor();
  await by(page, 'mcp')
    .getByText(`${new URL(page.url()).origin}/mcp`)
    .first()
    .waitFor();
  await fits(page);
});

test('a plan with lookups is resolved, and says where it found what', async (t) => {
  const server = await world.server();
  const page = await open(t, `${server.url}/healthz`);
  const action = (to) => ({
    provider: 'google',
    action: 'gmail.send',
    params: { to, subject: 'Lunch', text: 'Noon?' },
    client_request_id: 'l-1',
  });
  const made = { intent: 'send_email', confidence: 0.9, questions: [], clarifications: [], warnings: [], notes: null };
  const lookups = [{ id: 'l1', find: 'contact', name: 'Ana' }];
  const which = {
    id: 'q_1',
    kind: 'choice',
    about: 'Ana',
    field: null,
    text: 'Which Ana?',
    options: [
      { value: 'c1', label: 'Ana Lima <ana@example.com>' },
      { value: 'c2', label: 'Ana Berg <berg@example.com>' },
    ],
  };
  const what = { id: 'q_2', kind: 'text', about: null, field: null, text: 'What should the mail say?', options: null };
  const resolved = [];
  await page.route('**/ai/plan2', (route) =>
    route.fulfill({
      json: { plan: { ...made, plan_id: 'p1', status: 'unresolved', lookups, actions: [action({ $ref: 'l1.address' })] }, meta: {} },
    }),
  );
  await page.route('**/ai/plans/*/resolve', (route) => {
    const { answers } = route.request().postDataJSON();
    resolved.push([new URL(route.request().url()).pathname, answers]);
    const recipients = [{ address: 'berg@example.com', source: 'contact', lookup: 'l1', external: true }];
    const plan =
      answers.length === 0
        ? { ...made, plan_id: 'p2', status: 'unresolved', lookups, actions: [], questions: [which.text], clarifications: [which] }
        : answers[0].id === 'q_1'
          ? { ...made, plan_id: 'p3', status: 'unresolved', lookups, actions: [], questions: [what.text], clarifications: [what] }
          : { ...made, plan_id: 'p4', status: 'ready', actions: [{ ...action('Ana Berg <berg@example.com>'), recipients }] };
    return route.fulfill({ json: { plan, meta: {} } });
  });
  await page.route('**/actions/preview', (route) =>
    route.fulfill({ json: { content_type: 'message/rfc822', body: '', sha256: '', from: null, warnings: [], because: [] } }),
  );
  await page.goto(server.page);
  await plan(page, 'Ask Ana for lunch at noon');
  await by(page, 'answer', '[data-kind=choice]').getByRole('button', { name: 'Ana Berg' }).click();
  await by(page, 'answer-plan').click();
  await by(page, 'answer', '[data-kind=text]').locator('input').fill('Noon?');
  await by(page, 'answer-plan').click();
  await by(page, 'action').getByText('Ana Berg <berg@example.com>').waitFor();
  await by(page, 'source', '[data-source=contact]').getByText('from your contacts').waitFor();
  assert.deepEqual(resolved, [
    ['/ai/plans/p1/resolve', []],
    ['/ai/plans/p2/resolve', [{ id: 'q_1', value: 'c2' }]],
    ['/ai/plans/p3/resolve', [{ id: 'q_2', value: 'Noon?' }]],
  ]);
  // An edited action is sent without what the plan told of it.
  const executed = page.waitForRequest('**/ai/execute');
  await by(page, 'edit').click();
  await by(page, 'edit-subject').fill('Lunch?');
  await by(page, 'execute').click();
  const [sent] = (await executed).postDataJSON().actions;
  assert.deepEqual(Object.keys(sent).sort(), ['action', 'client_request_id', 'params', 'provider']);
});

test('the sandbox shows whom and what its lookups find, and rights are asked for by name', async (t) => {
  const server = await world.server();
  const page = await open(t, `${server.url}/healthz`);
  await page.route('**/dev/address-book?*', (route) => {
    assert.equal(new URL(route.request().url()).searchParams.get('timezone'), 'Europe/Berlin');
    return route.fulfill({
      json: {
        people: [{ name: 'Sam Miller', address: 'sam@example.com', source: 'contact' }],
        events: [{ title: 'Project review', start: '2026-12-01T09:00:00Z', end: '2026-12-01T10:00:00Z', attendees: ['bo@example.com'] }],
      },
    });
  });
  await page.goto(server.page);
  await by(page, 'address-book').getByText('People and events').click();
  assert.match(
    await by(page, 'address-book').innerText(),
    /Sam Miller\s+sam@example\.com\s+contacts[\s\S]*Project review[\s\S]*bo@example\.com/,
  );
  const started = page.waitForRequest('**/oauth/google/start');
  await by(page, 'right-contacts').check();
  await by(page, 'right-calendar').check();
  await by(page, 'accounts').getByRole('button', { name: 'Connect Google' }).click();
  assert.deepEqual((await started).postDataJSON(), { drafts: false, lookups: ['contact', 'event', 'free_time'] });
});

test('with a thumb every target is large enough', async (t) => {
  const server = await world.server({ REQUIRE_APPROVAL: 'all' });
  await execute(server, mail('Held', 'a@example.com'));
  const page = await open(t, server.page, PHONE);
  await by(page, 'approve').waitFor();
  await plan(page, THANKS);
  const small = await page.evaluate(() =>
    [...document.querySelectorAll('button, summary, nav a, .filter span, [data-test=search], .job-row')]
      .filter((node) => node.checkVisibility() && !node.closest('.sr-only'))
      .map((node) => [node.textContent.trim() || node.id, Math.round(node.getBoundingClientRect().height)])
      .filter(([, height]) => height < 44),
  );
  assert.deepEqual(small, []);
});

test('forced colours hide nothing that a person has to tell apart', async (t) => {
  const server = await world.server(await live());
  const page = await open(t, server.page, { forcedColors: 'active' });
  await plan(page, THANKS);
  await until('the plan is checked', async () => (await by(page, 'execute').innerText()).startsWith('Send 1 mail'));
  const look = (hook) => by(page, hook).evaluate((node) => [getComputedStyle(node).backgroundColor, getComputedStyle(node).borderTopWidth]);
  assert.notDeepEqual((await look('execute'))[0], (await look('preview'))[0], 'the button that sends is not like the others');
  const chosen = await page.locator('.filter span').evaluateAll((nodes) => nodes.map((node) => getComputedStyle(node).backgroundColor));
  assert.notEqual(chosen[0], chosen[1], 'the chosen filter is told');
  assert.notEqual((await look('mode'))[1], '0px');
});

test('a thousand jobs are listed, opened and searched without strain', async (t) => {
  const server = await world.server();
  const page = await open(t, `${server.url}/healthz`);
  const all = Array.from({ length: 1000 }, (_, i) => ({
    job_id: `j${i}`,
    status: 'completed',
    summary: { title: `Subject ${i}`, recipients: [`person-${i}@example.com`], more: 0 },
    provider: 'google',
    action: 'gmail.send',
    effect: 'send',
    payload_sha256: 'x',
    created_at: new Date(Date.UTC(2026, 10, 1) - i * 60_000).toISOString(),
    result: { outbox: true },
    error: null,
  }));
  await page.route('**/ai/jobs?*', (route) => {
    const query = new URL(route.request().url()).searchParams;
    if (query.get('search')) {
      const data = all.filter(({ summary }) => summary.recipients.includes(query.get('search')));
      return route.fulfill({ json: { data, next_cursor: null, has_more: false } });
    }
    if (query.get('waiting_for') || query.get('status')) return route.fulfill({ json: { data: [], next_cursor: null, has_more: false } });
    const [from, limit] = [Number(query.get('cursor') ?? 0), Number(query.get('limit'))];
    const next = from + limit < all.length ? String(from + limit) : null;
    return route.fulfill({ json: { data: all.slice(from, from + limit), next_cursor: next, has_more: next !== null } });
  });
  await page.goto(server.page);
  await by(page, 'job').nth(49).waitFor();
  const began = performance.now();
  await by(page, 'search').fill('person-999@example.com');
  await by(page, 'job', '[data-job=j999]').waitFor();
  await until('only it is shown', async () => (await by(page, 'job', ':not([hidden])').count()) === 1);
  await by(page, 'search').fill('');
  const older = page.getByRole('button', { name: 'Show older jobs' });
  for (let shown = 51; shown < 1000; shown += 50) {
    await older.click();
    await until(`${shown + 50} are shown`, async () => (await by(page, 'job', ':not([hidden])').count()) >= Math.min(shown + 50, 1000));
  }
  const took = performance.now() - began;
  assert.ok(took < 30_000, `it took ${took} ms`);
  const order = await by(page, 'job').evaluateAll((rows) => rows.map((row) => row.dataset.job));
  assert.deepEqual(
    order,
    all.map(({ job_id }) => job_id),
  );
});

test('/docs begins with a start, and each route has its request, a filter and a try', async (t) => {
  const folder = world.folder();
  const key = world.key(folder, 'actions:preview,actions:execute');
  const server = await world.server({}, folder);
  const page = await open(t, server.page, { permissions: ['clipboard-read', 'clipboard-write'] });
  await page.getByLabel('API key', { exact: true }).fill(key);
  await page.getByRole('button', { name: 'Use key' }).click();
  await by(page, 'provider').first().waitFor();
  await page.goto(`${server.url}/docs`);
  await page.locator('main .route').first().waitFor();
  const heads = await page.locator('main h2').allInnerTexts();
  assert.deepEqual(
    heads.slice(0, 5).map((text) => text.toLowerCase()),
    ['start', 'keys', 'once', 'plan', 'execute'],
  );
  const jobs = page.getByRole('article', { name: 'GET /ai/jobs', exact: true });
  const code = by(jobs, 'snippet').locator('pre');
  assert.ok((await code.innerText()).includes(`curl -sS '${server.url}/ai/jobs'`) && (await code.innerText()).includes(key));
  await by(jobs, 'copy').click();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), await code.innerText());
  const plan2 = by(page.getByRole('article', { name: 'POST /ai/plan2', exact: true }), 'snippet');
  for (const [language, parts] of [
    ['Python', ['import requests', 'requests.post(', '"context": None']],
    ['TypeScript', ['await fetch(', "'Content-Type': 'application/json'", 'JSON.stringify({']],
  ]) {
    await plan2.getByRole('button', { name: language, exact: true }).click();
    for (const part of parts) assert.ok((await plan2.locator('pre').innerText()).includes(part), `${language}: ${part}`);
  }
  await by(jobs, 'try').getByRole('button', { name: 'Try' }).click();
  await jobs.getByText('"has_more": false').last().waitFor();
  await by(page, 'filter').fill('webhooks post');
  await until('few are shown', async () => (await page.locator('main .route:not([hidden])').count()) === 3);
  await by(page, 'filter').fill('no such route');
  await page.getByText('No route has these words.').waitFor();
  assert.deepEqual(await violations(page), []);
});

test('/problems links every code', async (t) => {
  const server = await world.server();
  const page = await open(t, `${server.url}/problems`);
  const links = await page.locator('main li a').evaluateAll((nodes) => nodes.map((node) => node.getAttribute('href')));
  for (const code of ['rate-limited', 'outcome-unknown', 'provider-rejected', 'gave-up', 'cancelled', 'not-sent', 'approval-expired']) {
    assert.ok(links.includes(`/problems/${code}`), code);
  }
  assert.ok(links.length > 50);
  assert.deepEqual(await violations(page), []);
  await fits(page);
  await page.getByRole('link', { name: 'gave-up' }).click();
  await page.getByRole('heading', { name: 'The job waited for too long' }).waitFor();
});
