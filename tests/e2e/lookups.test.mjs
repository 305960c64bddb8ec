// Sentences that need what only the account knows, from the prompt to the job.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { by, CALENDAR_AND_CONTACTS, fits, GMAIL_SEND, open, plan, until, violations, World } from './support.mjs';

let world;
beforeEach(() => {
  world = new World();
});
afterEach(() => world.end());

const LATE = 'Email Sam that I am late';
const INVITE = 'invite Ana tomorrow at 10 for half an hour';
const MOVES = "tell everyone in tomorrow's 10:00 meeting that it moves to 11";

/** Plans a sentence, chooses where several are meant, and returns what the card says once everything was looked up. */
async function planned(page, sentence, { choice, source }) {
  await plan(page, sentence);
  if (choice) {
    const question = by(page, 'answer', '[data-kind=choice]');
    await question.getByRole('button', { name: choice }).click();
    await by(page, 'answer-plan').click();
  }
  await by(page, 'source', `[data-source=${source}]`).first().waitFor();
  await fits(page);
  assert.deepEqual(await violations(page), []);
  return by(page, 'action').innerText();
}

/** Executes the plan of the page, and waits until so many jobs are completed. */
async function executed(page, count) {
  await by(page, 'execute').click();
  await until(`${count} jobs are completed`, async () => (await by(page, 'job', '[data-status=completed]').count()) === count);
}

test('in the sandbox, three sentences become a mail, an invitation and a mail to everyone in a meeting', async (t) => {
  const server = await world.server();
  const page = await open(t, server.page);
  assert.match(await planned(page, LATE, { source: 'contact' }), /sam@example\.com/);
  await executed(page, 1);

  const invited = await planned(page, INVITE, { choice: 'Ana Silva', source: 'contact' });
  assert.match(invited, /ana\.silva@contoso\.com/);
  assert.match(invited, /Begins\s+\w{3}, \d{1,2} \w{3,4} \d{4}, 10:00/);
  await executed(page, 2);

  const told = await planned(page, MOVES, { source: 'event' });
  for (const address of ['sam@example.com', 'ana.silva@contoso.com', 'noor.haddad@contoso.com']) assert.ok(told.includes(address), told);
  await executed(page, 3);
  const recipients = (await server.api('GET', '/dev/outbox')).data.map(({ effect, recipients }) => [effect, recipients.length]);
  assert.deepEqual(recipients, [
    ['send', 3],
    ['change', 1],
    ['send', 1],
  ]);
});

test('with a connected account, what they reach is looked up there, and arrives once', async (t) => {
  const fakes = await world.fakes();
  const scopes = [GMAIL_SEND, ...CALENDAR_AND_CONTACTS];
  await fakes.token('t', 'google', ...scopes);
  const metadata = { primary: true, source: { type: 'CONTACT', id: '1' } };
  const contact = (displayName, value) => ({
    resourceName: 'people/1',
    names: [{ metadata, displayName }],
    emailAddresses: [{ metadata, value }],
  });
  const people = [contact('Sam', 'sam@example.org'), contact('Ana Silva', 'silva@example.org'), contact('Ana Novak', 'novak@example.org')];
  await fakes.hold('google', { contacts: people });
  const env = { ...fakes.env, GOOGLE_ACCESS_TOKEN: 't', GOOGLE_ACCESS_TOKEN_SCOPES: scopes.join(' ') };
  const page = await open(t, (await world.server(env)).page);

  assert.match(await planned(page, LATE, { source: 'contact' }), /sam@example\.org/);
  await executed(page, 1);
  assert.match(await planned(page, INVITE, { choice: 'Ana Novak', source: 'contact' }), /novak@example\.org/);
  await executed(page, 2);
  // The meeting of the third sentence is the one that the second made.
  assert.match(await planned(page, MOVES, { source: 'event' }), /novak@example\.org/);
  await executed(page, 3);
  assert.deepEqual(
    (await fakes.deliveries()).map(({ to }) => to),
    [['sam@example.org'], ['novak@example.org'], ['novak@example.org']],
  );
});
