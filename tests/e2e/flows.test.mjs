// How a person uses the Dev UI, against the running program.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { by, fits, GMAIL_COMPOSE, GMAIL_SEND, job, open, plan, until, World } from './support.mjs';

const THANKS = 'Send email to john@example.com saying thanks for the meeting';
const MARIA = 'Send my boss a mail saying I am running late';

let world;
beforeEach(() => {
  world = new World();
});
afterEach(() => world.end());

test('Plan shows the mail and sends nothing', async (t) => {
  const server = await world.server();
  const page = await open(t, server.page);
  await plan(page, THANKS);
  const card = by(page, 'action');
  for (const text of ['Google', 'gmail.send', 'sandbox@orchestrator.invalid', 'john@example.com', 'Thanks for the meeting', 'Sandbox']) {
    await card.getByText(text, { exact: false }).first().waitFor();
  }
  assert.equal(await by(page, 'job').count(), 0);
  assert.deepEqual((await server.api('GET', '/ai/jobs')).data, []);
  await by(page, 'execute').click();
  await job(page, 'completed');
});

test('an example is planned and executed in one click, into the outbox', async (t) => {
  const server = await world.server();
  const page = await open(t, server.page);
  await by(page, 'example').first().click();
  await by(page, 'plan-execute').click();
  const done = await job(page, 'completed');
  assert.match(await done.innerText(), /Thanks for the meeting[\s\S]*to john@example\.com · Google[\s\S]*In the outbox/);
  const mail = by(page, 'outbox-entry');
  await mail.getByText('to john@example.com').waitFor();
  await mail.getByText('Raw message/rfc822').click();
  assert.match(await by(page, 'outbox-body').innerText(), /^Subject: Thanks for the meeting$/m);
  await page.locator('[data-metric="Done"]').getByText('1', { exact: true }).waitFor();
  assert.equal((await server.api('GET', '/ai/jobs')).data.length, 1);
});

test('a question is answered in place, and the prompt stays as it was written', async (t) => {
  const page = await open(t, (await world.server()).page);
  const sent = [];
  page.on('request', (request) => request.url().endsWith('/ai/plan2') && sent.push(request.postDataJSON()));
  await plan(page, MARIA, 'plan-execute');
  assert.equal(await by(page, 'execute').count(), 0);
  const question = by(page, 'questions').locator('[data-test=answer][data-kind=address]');
  await question.getByText('address').waitFor();
  await until('the question has the focus', () => question.evaluate((node) => node.contains(document.activeElement)));
  const id = await question.getAttribute('data-id');
  await question.locator('input').fill('maria@example.com');
  await question.locator('input').press('Enter');
  await by(page, 'action').getByText('maria@example.com').waitFor();
  assert.equal(await by(page, 'prompt').inputValue(), MARIA);
  assert.equal(await by(page, 'questions').count(), 0);
  assert.match(await by(page, 'answered').innerText(), /You answered:[\s\S]*maria@example\.com/);
  assert.deepEqual(
    sent.map(({ prompt, answers }) => [prompt, answers]),
    [
      [MARIA, undefined],
      [MARIA, [{ id, value: 'maria@example.com' }]],
    ],
  );
  await by(page, 'execute').click();
  await job(page, 'completed');
});

test('a mail without a text leads to a question', async (t) => {
  const page = await open(t, (await world.server()).page);
  await plan(page, 'Send an email to john@example.com');
  await by(page, 'answer', '[data-kind=text]').locator('input').fill('the keys are under the mat');
  await by(page, 'answer-plan').click();
  await by(page, 'action').getByText('keys are under the mat').first().waitFor();
});

test('with a note, one click stops at the plan', async (t) => {
  const server = await world.server({ ALLOW_RECIPIENT_DOMAINS: 'example.com' });
  const page = await open(t, server.page);
  await plan(page, 'Send email to sam@example.com saying hi and send another email to ann@contoso.com saying hello', 'plan-execute');
  await by(page, 'notes').getByText('contoso.com').waitFor();
  await by(page, 'stopped').getByText('Nothing was executed.').waitFor();
  assert.equal(await by(page, 'action').count(), 1);
  assert.deepEqual((await server.api('GET', '/ai/jobs')).data, []);
  await by(page, 'execute').click();
  await job(page, 'completed');
});

test('the page tells what is not allowed, and why', async (t) => {
  const server = await world.server({ ALLOW_ACTIONS_DEFAULT: 'gmail.send', ALLOW_RECIPIENT_DOMAINS: 'example.com' });
  const page = await open(t, server.page);
  await page.getByText('What is allowed here').click();
  const [allowed, denied] = [by(page, 'allowed').locator('[data-allowed=true]'), by(page, 'allowed').locator('[data-allowed=false]')];
  assert.match(await allowed.innerText(), /Allowed\s+Send a mail with Gmail gmail\.send/);
  const sends = denied.filter({ hasText: 'outlook.send' });
  assert.match(await sends.innerText(), /Not allowed\s+Send a mail with Outlook outlook\.send[\s\S]*ALLOW_ACTIONS_DEFAULT/);
  await plan(page, 'Send email to ann@contoso.com saying hello');
  await by(page, 'notes').getByText('contoso.com').waitFor();
  await by(page, 'plan-view').getByText('There is nothing to execute').waitFor();

  // The server refuses a recipient that an edit brought in, and the page shows where.
  await plan(page, THANKS);
  await by(page, 'edit').click();
  await by(page, 'edit-to').fill('ann@contoso.com');
  await by(page, 'execute').click();
  const error = by(page, 'plan-view').locator('[data-code="recipient-not-allowed"]');
  await error.getByText('The recipient is not allowed').waitFor();
  await error.getByRole('link', { name: 'What this means' }).waitFor();
  assert.deepEqual((await server.api('GET', '/ai/jobs')).data, []);
});

test('not connected: the plan warns, and there is a button that connects', async (t) => {
  const server = await world.server({ PROVIDER_MODE: 'live' });
  const page = await open(t, server.page);
  const google = by(page, 'provider', '[data-provider=google]');
  await google.getByText('not connected').waitFor();
  await plan(page, THANKS, 'plan-execute');
  await by(page, 'stopped').waitFor();
  await by(page, 'warning', '[data-code=not-connected]').waitFor();
  await by(page, 'execute').click();
  const error = by(page, 'plan-view').locator('[data-code="connection-required"]');
  await error.getByRole('button', { name: 'Connect Google' }).click();
  // No OAuth client is configured here, so the page tells which variables to set.
  await google.getByText('GOOGLE_CLIENT_ID').waitFor();
  assert.deepEqual((await server.api('GET', '/ai/jobs')).data, []);
});

test('a server without keys says who can send through its account, and how to close the door', async (t) => {
  const fakes = await world.fakes();
  await fakes.token('t-live', 'google', GMAIL_SEND);
  const env = { ...fakes.env, GOOGLE_ACCESS_TOKEN: 't-live' };
  const keyless = await open(t, (await world.server(env)).page);
  const notice = by(keyless, 'open-door');
  await notice.getByText('every program on this machine can send through Gmail').waitFor();
  await notice.getByText('orchestrator keys create --workspace local').waitFor();
  await fits(keyless);

  const sandbox = await open(t, (await world.server()).page);
  await by(sandbox, 'provider', '[data-mode=sandbox]').first().waitFor();
  assert.equal(await by(sandbox, 'open-door').count(), 0, 'nothing leaves the sandbox');

  const folder = world.folder();
  const key = world.key(folder, 'actions:preview');
  const closed = await open(t, (await world.server(env, folder)).page);
  await by(closed, 'api-key').waitFor();
  await closed.locator('#key').fill(key);
  await closed.getByRole('button', { name: 'Use key' }).click();
  await by(closed, 'provider').first().waitFor();
  assert.equal(await by(closed, 'open-door').count(), 0, 'a key is wanted');
});

test('after its consent ended, an account is connected again and the job retried', async (t) => {
  const fakes = await world.fakes();
  const server = await world.server({ ...fakes.env, GOOGLE_ACCESS_TOKEN: 't-old' });
  const page = await open(t, server.page);
  await by(page, 'provider', '[data-mode=live]').getByText('connected').waitFor();
  await plan(page, THANKS, 'plan-execute');
  const failed = await job(page, 'error');
  await failed.locator('[data-code="reauth-required"]').getByText('retry the job').waitFor();
  await failed.getByRole('button', { name: 'Connect Google again' }).waitFor();
  assert.deepEqual(await fakes.deliveries(), []);
  await fakes.token('t-old', 'google', GMAIL_SEND);
  await by(page, 'job-retry').click();
  await job(page, 'completed');
  assert.equal((await fakes.deliveries()).length, 1);
});

test('a connection shows its state, is disconnected, and is connected again in another tab', async (t) => {
  const server = await world.server();
  const page = await open(t, server.page);
  // The states of an account as the API gives them, without a provider.
  let status = {
    provider: 'google',
    connected: false,
    mode: 'needs_reauth',
    needs_reauth: true,
    address: 'ana@example.com',
    can_connect: true,
  };
  await page.route('**/oauth/google/status', (route) => route.fulfill({ json: status }));
  await page.route('**/oauth/google', (route) => {
    assert.equal(route.request().method(), 'DELETE');
    status = { ...status, mode: 'not_connected', needs_reauth: false, address: null };
    return route.fulfill({ json: { provider: 'google', disconnected: true, revoked: true, revoke_at: null } });
  });
  await page.route('**/oauth/google/start', (route) => {
    assert.deepEqual(route.request().postDataJSON(), { drafts: true }, 'the ticked scope is requested');
    return route.fulfill({ json: { authorization_url: `${server.url}/healthz?consent` } });
  });
  await page.route('**/actions/preview', async (route) => {
    const response = await route.fetch();
    const ended = { code: 'needs-reauth', field: null, text: 'Google needs consent again.' };
    return route.fulfill({ response, json: { ...(await response.json()), warnings: status.needs_reauth ? [ended] : [] } });
  });
  await page.reload();
  const google = by(page, 'provider', '[data-provider=google]');
  await google.getByText('consent ended for ana@example.com').waitFor();
  await plan(page, THANKS, 'plan-execute');
  await by(page, 'stopped').waitFor();
  await by(page, 'warning', '[data-code=needs-reauth]').waitFor();
  await by(page, 'drafts').check();
  const tab = page.context().waitForEvent('page');
  await by(page, 'warnings').getByRole('button', { name: 'Connect Google again' }).click();
  await (await tab).waitForURL('**/healthz?consent');
  await google.getByRole('link', { name: 'Continue at Google' }).waitFor();
  // After the return it is connected.
  status = { ...status, mode: 'live', connected: true, needs_reauth: false, address: 'ana@example.com' };
  await page.evaluate(() => window.dispatchEvent(new Event('focus')));
  await google.getByText('connected as ana@example.com').waitFor();
  await by(page, 'warning').waitFor({ state: 'detached' });
  await google.getByRole('button', { name: 'Disconnect Google' }).click();
  await by(page, 'disconnect-yes').click();
  await google.getByText('Google is disconnected.').waitFor();
  await google.getByText('not connected').waitFor();
});

test('an account is connected at the provider, sends, and is disconnected', async (t) => {
  const fakes = await world.fakes();
  const server = await world.server({ ...fakes.env, ...fakes.client, PROVIDER_MODE: 'live' });
  const page = await open(t, server.page);
  await plan(page, THANKS, 'plan-execute');
  const tab = page.context().waitForEvent('page');
  await by(page, 'warnings').getByRole('button', { name: 'Connect Google' }).click();
  // The person consents at once, and the provider redirects back.
  await (await tab).getByRole('heading', { name: 'The account is connected' }).waitFor();
  await (await tab).close();
  await page.evaluate(() => window.dispatchEvent(new Event('focus')));
  const google = by(page, 'provider', '[data-provider=google]');
  await google.getByText('connected as ana@example.com').waitFor();
  await by(page, 'execute').click();
  await (await job(page, 'completed')).getByText('Sent from ana@example.com').waitFor();
  assert.deepEqual(
    (await fakes.deliveries()).map(({ subject }) => subject),
    ['Thanks for the meeting'],
  );
  await google.getByRole('button', { name: 'Disconnect Google' }).click();
  await by(page, 'disconnect-yes').click();
  await google.getByText('Google is disconnected.').waitFor();
});

test('a live mail is sent once, and the page announces and confirms it', async (t) => {
  const fakes = await world.fakes();
  await fakes.token('t', 'google', GMAIL_COMPOSE);
  const server = await world.server({ ...fakes.env, GOOGLE_ACCESS_TOKEN: 't', GOOGLE_ACCESS_TOKEN_SCOPES: GMAIL_COMPOSE });
  const page = await open(t, server.page);
  await plan(page, THANKS);
  await by(page, 'plan-view').getByText('Sends for real from the connected account.').waitFor();
  await by(page, 'execute').dblclick();
  const done = await job(page, 'completed');
  await done.getByText('Sent', { exact: true }).waitFor();
  await by(page, 'job-result').waitFor();
  const deliveries = await fakes.deliveries();
  assert.deepEqual(
    deliveries.map(({ subject }) => subject),
    ['Thanks for the meeting'],
  );
  assert.equal(await by(page, 'outbox-entry').count(), 0);
});

test('a person resolves an unknown outcome', async (t) => {
  const fakes = await world.fakes();
  await fakes.token('t', 'google', GMAIL_SEND);
  await fakes.fault('accept-then-close', { on: 'gmail.messages.send' });
  const server = await world.server({ ...fakes.env, GOOGLE_ACCESS_TOKEN: 't' });
  const page = await open(t, server.page);
  await plan(page, THANKS, 'plan-execute');
  const unknown = await job(page, 'error');
  await unknown.getByText('Outcome unknown', { exact: true }).waitFor();
  assert.equal(await by(page, 'job-retry').count(), 0, 'a mail that may have been sent is never sent again');
  await unknown.locator('[data-code=outcome-unknown]').getByText('Look in').waitFor();
  await by(page, 'job-resolve', '[data-outcome=sent]').click();
  await job(page, 'completed');
  assert.equal((await fakes.deliveries()).length, 1);
});

test('a waiting job says so and can be cancelled', async (t) => {
  const fakes = await world.fakes();
  await fakes.token('t', 'google', GMAIL_SEND);
  await fakes.fault('too-many-requests', { retry_after_s: 600 });
  const server = await world.server({ ...fakes.env, GOOGLE_ACCESS_TOKEN: 't' });
  const page = await open(t, server.page);
  await plan(page, THANKS, 'plan-execute');
  const waiting = await job(page, 'pending');
  await waiting.getByText('Waiting to retry').waitFor();
  await by(page, 'job-cancel').click();
  const cancelled = await job(page, 'error');
  await cancelled.locator('.badge').getByText('Cancelled').waitFor();
  assert.deepEqual(await fakes.deliveries(), []);
});

test('an edited mail has its fields checked and is sent as edited', async (t) => {
  const server = await world.server();
  const page = await open(t, server.page);
  await plan(page, THANKS);
  await by(page, 'edit').click();
  await by(page, 'edit-to').fill('john@example.com\nnot an address');
  await by(page, 'wrong-to').getByText('address').waitFor();
  assert.equal(await by(page, 'edit-to').getAttribute('aria-invalid'), 'true');
  await by(page, 'edit-to').fill('john@example.com\nann@example.com');
  await until('the field is valid again', async () => (await by(page, 'edit-to').getAttribute('aria-invalid')) === null);
  await by(page, 'edit-subject').fill('Thank you both');
  await by(page, 'edit').click();
  await by(page, 'action').getByText('Edited').waitFor();
  await by(page, 'execute').getByText('Write 1 mail to the outbox').click();
  await job(page, 'completed');
  const [mail] = (await server.api('GET', '/dev/outbox')).data;
  assert.deepEqual([mail.subject, mail.to], ['Thank you both', ['john@example.com', 'ann@example.com']]);

  await plan(page, THANKS);
  await by(page, 'edit').click();
  await by(page, 'edit-subject').fill('Something else');
  await by(page, 'undo-edit').click();
  assert.equal(await by(page, 'action').getByText('Edited').count(), 0);
  await by(page, 'action').getByText('Thanks for the meeting', { exact: true }).waitFor();
});

test('one of several mails can be left out', async (t) => {
  const server = await world.server();
  const page = await open(t, server.page);
  await plan(page, 'Send email to sam@example.com saying hi and send another email to ann@example.com saying hello');
  assert.equal(await by(page, 'action').count(), 2);
  await by(page, 'leave-out').first().click();
  await by(page, 'execute').getByText('Write 1 of 2 mails to the outbox').click();
  await job(page, 'completed');
  assert.deepEqual(
    (await server.api('GET', '/dev/outbox')).data.map(({ to }) => to),
    ['ann@example.com'],
  );
});

test('the preview shows the exact content: raw, text, and HTML as source', async (t) => {
  const server = await world.server();
  const page = await open(t, server.page);
  await plan(page, 'Use Outlook to send amy@contoso.com the subject "Report" saying the report is ready');
  await by(page, 'preview').click();
  const raw = JSON.parse(await by(page, 'preview-body').innerText());
  assert.equal(raw.message.subject, 'Report');
  await page.getByRole('tab', { name: 'Raw' }).press('ArrowRight');
  assert.equal(await by(page, 'preview-text').innerText(), 'the report is ready');
  await by(page, 'preview').click();
  assert.equal(await by(page, 'preview-body').isVisible(), false);
  const { sha256 } = await server.api('POST', '/actions/preview', {
    action: 'outlook.send',
    params: { to: 'amy@contoso.com', subject: 'Report', text: 'the report is ready' },
  });
  await by(page, 'execute').click();
  const done = await job(page, 'completed');
  await done.getByText('Record').click();
  await done.getByText(sha256).waitFor();
});

test('the history is filtered by status, and has pages', async (t) => {
  const server = await world.server();
  const send = (i) => ({
    action: 'gmail.send',
    client_request_id: `n-${i}`,
    params: { to: 'john@example.com', subject: `Mail ${i}`, text: 'Hello.' },
  });
  for (let i = 0; i < 61; i += 1) await server.api('POST', '/ai/execute', { actions: [send(i)], actor_id: 'test' });
  await until('all are done', async () => (await server.api('GET', '/ai/jobs?status=completed&limit=100')).data.length === 61);
  const page = await open(t, server.page);
  await by(page, 'job').nth(49).waitFor();
  assert.equal(await by(page, 'job').count(), 50);
  await by(page, 'job').first().getByText('Mail 60', { exact: true }).waitFor();
  await page.getByRole('button', { name: 'Show older jobs' }).click();
  await by(page, 'job').nth(60).waitFor();
  await by(page, 'job').last().getByText('Mail 0', { exact: true }).waitFor();
  const visible = () => by(page, 'job', ':not([hidden])').count();
  await page.getByRole('radio', { name: 'Error' }).check({ force: true });
  await page.getByText('No job is in error.').waitFor();
  assert.equal(await visible(), 0);
  await page.getByRole('radio', { name: 'Completed' }).check({ force: true });
  await until('the completed ones are back', async () => (await visible()) === 61);
  // A new job is shown, whatever the filter was.
  await page.getByRole('radio', { name: 'Error' }).check({ force: true });
  await plan(page, THANKS, 'plan-execute');
  await until('the new job is there', async () => (await visible()) === 62);
});

test('a server with keys asks for a key, and the key stays in this tab', async (t) => {
  const folder = world.folder();
  const key = world.key(folder, 'actions:preview,actions:execute,metrics:read');
  const bound = world.key(folder, 'actions:preview,actions:execute', '--actor', 'ana@example.com');
  const server = await world.server({}, folder);
  const page = await open(t, server.page);
  const [form, box] = [by(page, 'api-key'), page.getByLabel('API key', { exact: true })];
  await form.waitFor();
  await box.fill('orc_wrong_wrong');
  await box.press('Enter');
  await form.getByText('rejected this key').waitFor();
  await box.fill(key);
  await box.press('Enter');
  await form.waitFor({ state: 'hidden' });
  await by(page, 'metrics').waitFor();
  await plan(page, THANKS, 'plan-execute');
  await job(page, 'completed');
  const stored = () => page.evaluate(() => [localStorage.length, document.cookie, JSON.stringify(sessionStorage)]);
  assert.deepEqual(await stored(), [0, '', JSON.stringify({ 'api-key': key })]);
  assert.ok(!(await page.content()).includes(key) && !page.url().includes('orc_'));
  await page.reload();
  await job(page, 'completed');
  const other = await page.context().newPage();
  await other.goto(server.page);
  await by(other, 'api-key').waitFor();

  // A key bound to an actor executes edited plans too, and without metrics:read there are no numbers.
  await by(page, 'key-open').click();
  await by(page, 'key-forget').click();
  await form.waitFor();
  assert.equal((await stored())[2], '{}');
  assert.equal(await by(page, 'job').count(), 0, 'nothing of the other key remains');
  await box.fill(bound);
  await box.press('Enter');
  await plan(page, THANKS);
  assert.equal(await by(page, 'metrics').isVisible(), false);
  await by(page, 'edit').click();
  await by(page, 'edit-subject').fill('For Ana');
  await by(page, 'execute').click();
  await by(page, 'outbox-entry').getByText('For Ana', { exact: true }).waitFor();
});

test('the page tells that the server is gone, and finds it again', async (t) => {
  const folder = world.folder();
  const fakes = await world.fakes();
  await fakes.token('t', 'google', GMAIL_SEND);
  await fakes.fault('too-many-requests', { retry_after_s: 600 });
  const env = { ...fakes.env, GOOGLE_ACCESS_TOKEN: 't' };
  const server = await world.server(env, folder);
  const page = await open(t, server.page);
  await plan(page, THANKS, 'plan-execute');
  await (await job(page, 'pending')).getByText('Waiting to retry').waitFor();
  await server.stop();
  await by(page, 'banner').getByText('The server cannot be reached').waitFor();
  assert.match(await by(page, 'job').innerText(), /Waiting to retry/, 'what is known stays');
  await by(page, 'prompt').fill(THANKS);
  await by(page, 'plan').click();
  await by(page, 'error', '[data-code=network]').waitFor();
  await world.server({ ...env, PORT: new URL(server.url).port }, folder);
  await by(page, 'banner').waitFor({ state: 'detached' });
  assert.equal(await by(page, 'error').count(), 0, 'nothing says any more that it is gone');
  await by(page, 'job-cancel').click();
  await job(page, 'error');
});
