// The page shows whatever the API's data describes: every kind of question, every warning, and actions that are no mails. The
// answers of the API are routed here, in the shape of its contract.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { by, fits, job, open, plan, until, violations, World } from './support.mjs';

let world;
beforeEach(() => {
  world = new World();
});
afterEach(() => world.end());

const SET_ZONE = {
  id: 'calendar.set_time_zone',
  title: 'Set the time zone',
  provider: 'google',
  effect: 'change',
  description: 'Sets the time zone of the connected calendar.',
  params_schema: {
    type: 'object',
    required: ['time_zone'],
    properties: {
      time_zone: { title: 'Time zone', 'x-kind': 'line', type: 'string' },
      people: { title: 'People', 'x-kind': 'addresses', type: ['string', 'array'] },
      reason: { title: 'Reason', 'x-kind': 'text', type: 'string' },
      minutes: { title: 'Minutes', type: 'integer' },
    },
  },
  scopes: { send: [], draft: [] },
  allowed: true,
  connected: true,
};
const ZONE_PLAN = {
  actions: [
    {
      provider: 'google',
      action: SET_ZONE.id,
      params: { time_zone: 'Europe/Berlin', reason: 'We moved.', minutes: 30 },
      client_request_id: 'zone-1',
    },
  ],
};
const question = (id, kind, more = {}) => ({
  id,
  kind,
  about: null,
  field: null,
  text: `Question of kind ${kind}?`,
  options: null,
  ...more,
});
const QUESTIONS = [
  question('q_1', 'address', { text: 'What is Maria’s address?', about: 'Maria' }),
  question('q_2', 'text', { text: 'What should the mail say?' }),
  question('q_3', 'confirm', { text: 'ned@example.com occurs only in quoted text. Is it meant?' }),
  question('q_4', 'choice', {
    text: 'One mail to both, or one each?',
    options: [
      { value: 'one', label: 'One mail to both' },
      { value: 'each', label: 'One mail each' },
    ],
  }),
];

/** A page whose API has this one action, in this mode, and plans with `answer(body)`. */
async function routed(t, answer, { mode = 'live', warnings = () => [], options } = {}) {
  const server = await world.server();
  const page = await open(t, `${server.url}/healthz`, options);
  const requests = { plan: [], preview: [], execute: [] };
  const take = (what, make) => (route) => {
    const body = route.request().postDataJSON();
    requests[what].push(body);
    return route.fulfill({ json: make(body) });
  };
  const address = mode === 'live' ? 'ana@example.com' : null;
  await page.route('**/actions', (route) =>
    route.fulfill({
      json: {
        data: [{ ...SET_ZONE, mode, address }],
        providers: [{ id: 'google', name: 'Google', account: 'Google account', revoke_page: 'https://example.com/consents' }],
      },
    }),
  );
  await page.route('**/oauth/google/status', (route) =>
    route.fulfill({ json: { provider: 'google', connected: mode === 'live', mode, address, can_connect: true } }),
  );
  await page.route(
    '**/ai/plan2',
    take('plan', (body) => {
      const made = { plan_id: 'p1', intent: 'test', confidence: 0.9, actions: [], clarifications: [], warnings: [], notes: null };
      const planned = { ...made, ...answer(body) };
      const questions = planned.clarifications.map(({ text }) => text);
      return { plan: { ...planned, questions }, meta: { model: 'routed', duration: 0.01, tokens_in: 0, tokens_out: 0 } };
    }),
  );
  await page.route(
    '**/actions/preview',
    take('preview', ({ params }) => ({
      content_type: 'application/json',
      body: JSON.stringify(params),
      sha256: '0'.repeat(64),
      from: address,
      warnings: warnings(params),
    })),
  );
  await page.route(
    '**/ai/execute',
    take('execute', () => ({
      job_ids: ['j1'],
      jobs: [{ job_id: 'j1', client_request_id: 'zone-1', status: 'pending', replayed: false }],
    })),
  );
  await page.route('**/ai/jobs/j1?*', (route) =>
    route.fulfill({ json: { job_id: 'j1', status: 'completed', provider: 'google', action: SET_ZONE.id, result: {}, error: null } }),
  );
  await page.goto(server.page);
  await by(page, 'provider').waitFor();
  return { page, requests };
}

test('each kind of question is answered as data, and answers add up', async (t) => {
  const { page, requests } = await routed(t, ({ answers = [] }) => {
    const open = QUESTIONS.filter(({ id }) => !answers.some((answer) => answer.id === id));
    // An answer that cannot be used comes back with the reason.
    const unusable = answers.find(({ id, value }) => id === 'q_1' && !value.includes('@'));
    if (unusable) open.unshift({ ...QUESTIONS[0], text: `“${unusable.value}” has no @. What is Maria’s address?` });
    return open.length > 0 ? { clarifications: open } : ZONE_PLAN;
  });
  await plan(page, 'Tell Maria', 'plan-execute');
  const answer = (kind) => by(page, 'answer', `[data-kind=${kind}]`);
  assert.equal(await by(page, 'questions').locator('[data-test=answer]').count(), 4);
  await until('the first question has the focus', () => answer('address').evaluate((node) => node.contains(document.activeElement)));

  // Without an answer nothing is sent.
  await by(page, 'answer-plan').click();
  await answer('address').locator('input').fill('maria');
  const yes = answer('confirm').getByRole('button', { name: 'Yes' });
  await yes.click();
  assert.equal(await yes.getAttribute('aria-pressed'), 'true');
  await answer('confirm').getByRole('button', { name: 'No' }).click();
  assert.equal(await yes.getAttribute('aria-pressed'), 'false');
  await by(page, 'answer-plan').click();
  await answer('address').getByText('has no @').waitFor();
  assert.equal(await answer('address').locator('input').inputValue(), 'maria', 'the answer can be corrected');
  assert.match(await by(page, 'answered').innerText(), /Is it meant\?\s*No/);
  assert.equal(await answer('confirm').count(), 0);

  await answer('address').locator('input').fill('maria@example.com');
  await answer('text').locator('input').fill('  hello ');
  await answer('choice').getByRole('button', { name: 'One mail each' }).click();
  await by(page, 'answer-plan').click();
  await by(page, 'action').waitFor();
  assert.equal(await by(page, 'prompt').inputValue(), 'Tell Maria');
  assert.match(await by(page, 'answered').innerText(), /What is Maria’s address\?\s*maria@example\.com[\s\S]*One mail each/);
  const by_id = (answers) => Object.fromEntries(answers.map(({ id, value }) => [id, value]));
  assert.deepEqual(
    requests.plan.map(({ prompt, answers }) => [prompt, answers && by_id(answers)]),
    [
      ['Tell Maria', undefined],
      ['Tell Maria', { q_1: 'maria', q_3: false }],
      ['Tell Maria', { q_1: 'maria@example.com', q_2: 'hello', q_3: false, q_4: 'each' }],
    ],
  );

  // An answer can be taken back.
  await by(page, 'answered').getByRole('button', { name: 'Is it meant?' }).click();
  await answer('confirm').waitFor();
  assert.deepEqual(Object.keys(by_id(requests.plan.at(-1).answers)), ['q_1', 'q_2', 'q_4']);
});

test('answers that did not get through are still there', async (t) => {
  const { page } = await routed(t, () => ({ clarifications: QUESTIONS }));
  await plan(page, 'Tell Maria');
  const box = by(page, 'answer', '[data-kind=address]').locator('input');
  await box.fill('maria@example.com');
  const unknown = { type: '/problems/invalid-request', title: 'The request is not valid', status: 422, code: 'invalid-request' };
  const errors = [{ pointer: '/answers/0/id', detail: 'this question is not open' }];
  await page.route('**/ai/plan2', (route) => route.fulfill({ status: 422, json: { ...unknown, errors } }));
  await by(page, 'answer-plan').click();
  await by(page, 'error', '[data-code=invalid-request]').getByText('/answers/0/id').waitFor();
  assert.equal(await box.inputValue(), 'maria@example.com');
});

test('warnings stop one click and stand where they belong', async (t) => {
  const warning = { code: 'missing-attachment', field: '/actions/0/params/reason', text: 'The text mentions an attachment.' };
  const planned = { ...ZONE_PLAN, warnings: [warning, { code: 'duplicate', field: null, text: 'This was done an hour ago.' }] };
  const fromPreview = ({ reason }) => (reason === 'We moved.' ? [{ ...warning, field: '/params/reason' }] : []);
  const { page, requests } = await routed(t, () => planned, { warnings: fromPreview });
  await plan(page, 'Set the time zone', 'plan-execute');
  await by(page, 'stopped').getByText('there is a warning').waitFor();
  const inCard = by(page, 'action').locator('[data-test=warning]');
  assert.deepEqual(await inCard.evaluateAll((all) => all.map((one) => one.dataset.code)), ['missing-attachment']);
  await by(page, 'warning', '[data-code=duplicate]').getByText('an hour ago').waitFor();
  assert.equal(await by(page, 'warning').count(), 2, 'a warning of plan and preview is shown once');
  assert.deepEqual(requests.execute, []);
  await by(page, 'edit').click();
  await by(page, 'edit-reason').fill('We moved to Berlin.');
  await by(page, 'edit').click();
  await inCard.waitFor({ state: 'detached' });
});

test('a recipient outside is shown and stops nothing, and a preview names its plan', async (t) => {
  const warning = { code: 'external', field: '/actions/0/params', text: 'bo@example.com is outside of your own domains.' };
  const { page, requests } = await routed(t, () => ({ ...ZONE_PLAN, warnings: [warning] }), { warnings: () => [warning] });
  await plan(page, 'Set the time zone', 'plan-execute');
  await by(page, 'job').waitFor();
  await by(page, 'warning', '[data-code=external]').getByText('outside of your own domains').waitFor();
  assert.equal(requests.execute.length, 1);
  assert.equal(requests.preview[0].plan_id, 'p1');
  assert.equal(requests.preview[0].client_request_id, ZONE_PLAN.actions[0].client_request_id);
});

test('an action that is no mail is shown, edited, previewed and executed', async (t) => {
  const { page, requests } = await routed(t, () => ZONE_PLAN);
  await plan(page, 'Set my time zone to Berlin');
  const card = by(page, 'action');
  assert.match(
    await card.innerText(),
    /Set the time zone[\s\S]*Google · calendar\.set_time_zone[\s\S]*Account\s+ana@example\.com[\s\S]*Time zone\s+Europe\/Berlin[\s\S]*Minutes\s+30[\s\S]*We moved\./,
  );
  await by(page, 'plan-view').getByText('Changes the connected account for real.').waitFor();
  assert.doesNotMatch(await by(page, 'plan-view').innerText(), /mail/i);

  await by(page, 'edit').click();
  assert.equal(await card.getByLabel('Time zone').inputValue(), 'Europe/Berlin');
  await card.getByText('More fields').click();
  await card.getByLabel('People, one address').fill('"Bo, A." <bo@example.com>, cy@example.com');
  await by(page, 'edit-minutes').fill('45');
  await by(page, 'edit').click();
  assert.match(await card.innerText(), /People\s+"Bo, A\." <bo@example\.com>\s+cy@example\.com/);
  await by(page, 'preview').click();
  await page.getByRole('tab', { name: 'Reason' }).click();
  assert.equal(await by(page, 'preview-reason').innerText(), 'We moved.');
  await by(page, 'execute').click();
  const done = await job(page, 'completed');
  assert.match(await done.innerText(), /Europe\/Berlin[\s\S]*to "Bo, A\." <bo@example\.com> and cy@example\.com · Google[\s\S]*Done/);
  const [{ params, client_request_id }] = requests.execute.at(-1).actions;
  const people = ['"Bo, A." <bo@example.com>', 'cy@example.com'];
  assert.deepEqual([params, client_request_id], [{ ...ZONE_PLAN.actions[0].params, minutes: 45, people }, 'zone-1']);
});

test('text by somebody else goes beside the prompt, up to its limit', async (t) => {
  const { page, requests } = await routed(t, () => ({ clarifications: QUESTIONS.slice(0, 1) }));
  assert.equal(await by(page, 'context').isVisible(), false);
  await page.getByText('Add a mail or text to refer to').click();
  await by(page, 'context').fill('é'.repeat(16 * 1024 + 1));
  await by(page, 'context-size').getByText('32.0 of 32 KiB').waitFor();
  await by(page, 'prompt').fill('Answer this');
  await by(page, 'plan').click();
  await by(page, 'error').getByText('too long').waitFor();
  assert.deepEqual(requests.plan, []);
  await by(page, 'context').fill('From: Bo\nWhen do we meet?');
  await plan(page, 'Answer this');
  await by(page, 'answer').locator('input').fill('bo@example.com');
  await by(page, 'answer-plan').click();
  await until('the answer is sent', () => requests.plan.length === 2);
  assert.deepEqual(new Set(requests.plan.map(({ context }) => context)), new Set(['From: Bo\nWhen do we meet?']));
});

/** Pastes a text at the cursor, as a person does. */
const paste = (page, text) =>
  by(page, 'prompt').evaluate((box, text) => {
    const clipboardData = new DataTransfer();
    clipboardData.setData('text/plain', text);
    box.focus();
    const event = new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true });
    // An event of a script puts nothing in by itself.
    if (box.dispatchEvent(event)) box.setRangeText(text, box.selectionStart, box.selectionEnd, 'end');
  }, text);

test('a mail that is pasted into the prompt stands beside it', async (t) => {
  const { page, requests } = await routed(t, () => ({}));
  const mails = [
    'From: Eve <eve@example.org>\nTo: ana@example.com\n\nSend me everything.',
    'Von: Eve <eve@example.org>\nBetreff: Angebot\n\nSchick alles.',
    '差出人: eve@example.org\n件名: 見積\n\nお願いします。',
    'Am Mi., 3. Juni 2026 um 09:00 Uhr schrieb Eve <eve@example.org>:\nschick alles',
    '> Send me everything.\n> Eve',
    'FYI\n-----Original Message-----\nSend me everything.',
  ];
  for (const mail of mails) {
    await by(page, 'prompt').fill('Answer: ');
    await page.locator('#context').evaluate((box) => {
      box.value = '';
    });
    await paste(page, mail);
    await by(page, 'pasted').getByText('looks like a mail').waitFor();
    assert.equal(await by(page, 'context').inputValue(), mail);
    assert.equal(await by(page, 'prompt').inputValue(), 'Answer: ');
  }
  await by(page, 'prompt').press('End');
  await by(page, 'prompt').pressSequentially('yes, on Friday');
  await by(page, 'plan').click();
  await until('the request is sent', () => requests.plan.length === 1);
  assert.deepEqual([requests.plan[0].prompt, requests.plan[0].context], ['Answer: yes, on Friday', mails.at(-1)]);
  await page.getByRole('button', { name: 'It is my own request' }).click();
  assert.equal(await by(page, 'context').inputValue(), '');
  assert.ok((await by(page, 'prompt').inputValue()).includes(mails.at(-1)));

  // A person's own lines are no mail.
  for (const own of [
    'Email ana@example.com: hello',
    'Send ana@example.com a mail\nsubject: Lunch\nsaying: noon?',
    'To do:\n- eat\n- sleep',
    'Write to:\nana@example.com\nbo@example.com',
  ]) {
    await by(page, 'prompt').fill('');
    await paste(page, own);
    assert.deepEqual([await by(page, 'prompt').inputValue(), await by(page, 'context').inputValue()], [own, '']);
  }
});

for (const [name, options] of [
  ['light', {}],
  ['dark', { colorScheme: 'dark' }],
  ['narrow', { width: 320, height: 700 }],
]) {
  test(`questions and warnings are readable, ${name}`, async (t) => {
    const text = `A warning with a ${'long'.repeat(30)} word.`;
    const planned = { ...ZONE_PLAN, clarifications: QUESTIONS, warnings: [{ code: 'external', field: '/actions/0', text }] };
    const { page } = await routed(t, ({ answers }) => (answers ? { ...planned, clarifications: QUESTIONS.slice(1) } : planned), {
      options,
    });
    await plan(page, 'Tell Maria');
    await by(page, 'answer', '[data-kind=address]').locator('input').fill('maria@example.com');
    await by(page, 'answer-plan').click();
    await by(page, 'answered').waitFor();
    await by(page, 'answer', '[data-kind=confirm]').getByRole('button', { name: 'Yes' }).click();
    await page.getByText('Add a mail or text to refer to').click();
    await fits(page);
    assert.deepEqual(await violations(page), []);
    if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/questions-${name}.png`, fullPage: true });
  });
}
