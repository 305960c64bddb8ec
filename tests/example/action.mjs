// The worked example of CONTRIBUTING.md, in the program that scripts/action-example built with it: one more file makes the
// action available everywhere.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { by, job, open, plan, World } from '../e2e/support.mjs';

const ID = 'outlook.draft';
const PARAMS = {
  to: ['sam@fabrikam.example'],
  cc: null,
  bcc: null,
  reply_to: null,
  subject: 'The offer',
  text: 'Hello Sam, the offer is on its way.',
  html: null,
};
const PLAN = {
  intent: 'draft_email',
  notes: null,
  actions: [{ provider: 'microsoft', action: ID, params: PARAMS }],
  questions: [],
  confidence: 0.9,
};

/** Starts a model that always answers with this plan; returns its address and the requests it got. */
async function model(t) {
  const asked = [];
  const server = createServer(async (request, response) => {
    let text = '';
    for await (const part of request) text += part;
    asked.push(JSON.parse(text));
    response.setHeader('content-type', 'application/json');
    response.end(
      JSON.stringify({
        choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: JSON.stringify(PLAN), refusal: null } }],
        usage: { prompt_tokens: 10, completion_tokens: 10, total_tokens: 20 },
      }),
    );
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => server.closeAllConnections() || server.close());
  return { url: `http://127.0.0.1:${server.address().port}/v1`, asked };
}

test('an action in one file is in catalogue, schema, document and page, and runs', async (t) => {
  const world = new World();
  t.after(() => world.end());
  const [fakes, { url, asked }] = [await world.fakes(), await model(t)];
  await fakes.token('t', 'microsoft', 'Mail.ReadWrite');
  const server = await world.server({
    ...fakes.env,
    OPENAI_BASE_URL: url,
    ALLOW_ACTIONS_DEFAULT: `gmail.send,outlook.send,${ID}`,
    MICROSOFT_ACCESS_TOKEN: 't',
    MICROSOFT_ACCESS_TOKEN_SCOPES: 'Mail.ReadWrite',
  });

  const action = (await server.api('GET', '/actions')).data.find(({ id }) => id === ID);
  assert.ok(action, 'the catalogue has it');
  assert.deepEqual([action.provider, action.allowed, action.mode], ['microsoft', true, 'live']);

  const {
    components: { schemas },
  } = await server.api('GET', '/openapi.json');
  assert.equal(schemas.OutlookDraftParams.description, `The params of ${ID}.`);
  for (const type of ['ActionRequest', 'PreviewBody']) {
    const one = schemas[type].properties.params.anyOf.map(({ $ref }) => $ref);
    assert.ok(one.includes('#/components/schemas/OutlookDraftParams'), `${type} takes it: ${one}`);
  }

  const page = await open(t, server.page);
  await by(page, 'allowed').getByText(ID, { exact: true }).waitFor({ state: 'attached' });
  await plan(page, 'Draft a mail in Outlook to sam@fabrikam.example that the offer is on its way');
  const {
    messages,
    response_format: {
      json_schema: { schema },
    },
  } = asked.at(-1);
  assert.match(messages[0].content, /outlook\.draft \(provider microsoft\): Leaves an email/, 'the model is told of it');
  assert.ok(
    schema.properties.actions.items.anyOf.some(({ properties }) => properties.action.enum[0] === ID),
    'the model may choose it',
  );

  await by(page, 'action', `[data-action="${ID}"]`).waitFor();
  await by(page, 'execute').click();
  const done = await job(page, 'completed');
  assert.match(await done.innerText(), /to sam@fabrikam\.example · Microsoft[\s\S]*Left among the drafts/);
  assert.deepEqual(await fakes.operations(), ['graph.messages.create'], 'a draft, and nothing sent');
  const series = `ai_jobs_total{provider="microsoft",action="${ID}",status="completed"} 1`;
  assert.ok((await (await fetch(`${server.url}/metrics`)).text()).includes(series), series);
});
