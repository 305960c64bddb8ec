// What jobs say of themselves on the page.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { by, GMAIL_SEND, open, until, World } from './support.mjs';

const TOKEN = 't-google';
const MAIL = {
  provider: 'google',
  action: 'gmail.send',
  params: { to: ['john@example.com', 'ana@example.com', 'bo@example.com'], subject: 'Thanks', text: 'Thank you all.' },
  client_request_id: 'k1',
};

let world;
beforeEach(() => {
  world = new World();
});
afterEach(() => world.end());

const row = (page, id) => by(page, 'job', `[data-job="${id}"]`);

async function execute(server) {
  const accepted = await server.api('POST', '/ai/execute', { actions: [MAIL], actor_id: 'a' });
  return accepted.job_ids[0];
}

test('a job keeps its name after a restart, and says what it waits for', async (t) => {
  const fakes = await world.fakes();
  await fakes.token(TOKEN, 'google', GMAIL_SEND);
  const [env, folder] = [{ ...fakes.env, GOOGLE_ACCESS_TOKEN: TOKEN }, world.folder()];
  const first = await world.server(env, folder);
  await fakes.fault('too-many-requests', { retry_after_s: 600 });
  const id = await execute(first);
  await until('the job waits', async () => (await first.api('GET', `/ai/jobs/${id}`)).waiting_for === 'rate-limit');
  await first.stop();
  const page = await open(t, (await world.server(env, folder)).page);
  await row(page, id).getByText('Thanks').waitFor();
  assert.match(await row(page, id).innerText(), /Thanks[\s\S]*to john@example\.com and 2 more/);
  const waits = row(page, id).locator('[data-test=job-waits]');
  // The names of accounts may come after the jobs.
  await waits.getByText('Gmail').waitFor();
  assert.match(await waits.innerText(), /^Waits for the rate limit of Gmail, until \S/);
  assert.equal(await waits.getAttribute('data-waits'), 'rate-limit');
});

test('a job that the provider refuses says why in the provider’s own words', async (t) => {
  for (const says of ['Invalid To header', 'Recipient address required', 'Message too large', 'Delegation denied', '宛先が無効です']) {
    const server = await world.server(await world.refusing(says));
    const id = await execute(server);
    const page = await open(t, server.page);
    const told = row(page, id).locator('[data-test=provider-says]');
    await until('the account has its name', async () => (await told.innerText()).startsWith('Gmail'));
    assert.equal(await told.innerText(), `Gmail says: ${says} (invalidArgument)`);
    await row(page, id).getByRole('button', { name: 'Edit and send again' }).waitFor();
  }
});

test('a job that was refused is edited and sent again', async (t) => {
  const fakes = await world.fakes();
  // The fakes answer 404 to a path that they do not know.
  const env = { ...fakes.env, GOOGLE_ACCESS_TOKEN: TOKEN };
  const folder = world.folder();
  const wrong = await world.server({ ...env, GMAIL_BASE_URL: `${fakes.url}/nowhere` }, folder);
  const id = await execute(wrong);
  await until('the job ends', async () => (await wrong.api('GET', `/ai/jobs/${id}`)).status === 'error');
  await wrong.stop();
  await fakes.token(TOKEN, 'google', GMAIL_SEND);
  const page = await open(t, (await world.server(env, folder)).page);
  await row(page, id).getByRole('button', { name: 'Edit and send again' }).click();
  await by(page, 'edit-subject').fill('Thanks again');
  await by(page, 'execute').click();
  await by(page, 'job', '[data-status=completed]').getByText('Thanks again').waitFor();
  const [mail] = await fakes.deliveries();
  assert.deepEqual([mail.subject, (await fakes.deliveries()).length], ['Thanks again', 1]);
});
