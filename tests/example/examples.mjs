// The examples of CONTRIBUTING.md, in the program that scripts/examples built: each action is in the catalogue, the model's
// instructions and schema, the OpenAPI document, the page and the metrics, and runs against a stand-in of its provider.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { by, job, open, plan, World } from '../e2e/support.mjs';

const EXAMPLES = [
  {
    id: 'outlook.set_time_zone',
    provider: 'microsoft',
    api: 'GRAPH_BASE_URL',
    scopes: 'MailboxSettings.ReadWrite',
    params: { time_zone: 'Europe/Berlin' },
    wrong: { time_zone: 'Berlin' },
    prompt: 'Set my mailbox to Berlin time',
    shown: /The time zone is set\./,
    schema: 'OutlookSetTimeZoneParams',
    called: ({ method, url, body }) =>
      method === 'PATCH' && url === '/me/mailboxSettings' && body.timeZone === 'Europe/Berlin' ? 200 : 400,
  },
  {
    id: 'contoso.create_note',
    provider: 'contoso',
    api: 'CONTOSO_BASE_URL',
    scopes: 'notes.write',
    params: { text: 'The gate code is 4711.' },
    wrong: { note: 'The gate code is 4711.' },
    prompt: 'Note that the gate code is 4711',
    shown: /The gate code is 4711\.[\s\S]*The note is there\./,
    schema: 'ContosoCreateNoteParams',
    called: ({ method, url, body }) =>
      method === 'PUT' && url === `/notes/${body.id}` && body.text === 'The gate code is 4711.' ? 201 : 400,
  },
];

/** A server that answers with what `answer` gives for each request. Returns its address and the requests. */
async function serve(t, answer) {
  const requests = [];
  const server = createServer(async (request, response) => {
    let text = '';
    for await (const part of request) text += part;
    const { method, url, headers } = request;
    const seen = { method, url, authorization: headers.authorization, body: text ? JSON.parse(text) : null };
    requests.push(seen);
    const { status, body } = answer(seen);
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => server.closeAllConnections() || server.close());
  return { url: `http://127.0.0.1:${server.address().port}`, requests };
}

/** A model that always plans this action. */
function model(t, { id, provider, params }) {
  const actions = [{ provider, action: id, params }];
  const answer = { intent: id.split('.')[1], notes: null, actions, questions: [], confidence: 0.9 };
  const message = { role: 'assistant', content: JSON.stringify(answer), refusal: null };
  const usage = { prompt_tokens: 10, completion_tokens: 10, total_tokens: 20 };
  return serve(t, () => ({ status: 200, body: { choices: [{ index: 0, finish_reason: 'stop', message }], usage } }));
}

for (const example of EXAMPLES) {
  const { id, provider } = example;
  test(`${id} is everywhere that an action is, and runs once`, async (t) => {
    const world = new World();
    t.after(() => world.end());
    const api = await serve(t, (request) => ({ status: example.called(request), body: {} }));
    const { url, requests: asked } = await model(t, example);
    const server = await world.server({
      OPENAI_API_KEY: 'sk-example',
      OPENAI_BASE_URL: `${url}/v1`,
      [example.api]: api.url,
      [`${provider.toUpperCase()}_ACCESS_TOKEN`]: 'a-token',
      [`${provider.toUpperCase()}_ACCESS_TOKEN_SCOPES`]: example.scopes,
    });

    const action = (await server.api('GET', '/actions')).data.find((found) => found.id === id);
    assert.ok(action, 'the catalogue has it');
    assert.deepEqual([action.provider, action.effect, action.allowed, action.mode], [provider, 'change', true, 'live']);

    const { components } = await server.api('GET', '/openapi.json');
    for (const type of ['ActionRequest', 'PreviewBody']) {
      const one = components.schemas[type].properties.params.anyOf.map(({ $ref }) => $ref);
      assert.ok(one.includes(`#/components/schemas/${example.schema}`), `${type} takes it: ${one}`);
    }

    const page = await open(t, server.page);
    await by(page, 'allowed').getByText(id, { exact: true }).waitFor({ state: 'attached' });
    await plan(page, example.prompt);
    const { messages, response_format } = asked.at(-1).body;
    assert.ok(messages[0].content.includes(`${id} (provider ${provider})`), 'the model is told about it');
    const { anyOf } = response_format.json_schema.schema.properties.actions.items;
    assert.ok(
      anyOf.some(({ properties }) => properties.action.enum[0] === id),
      'the model may choose it',
    );

    await by(page, 'action', `[data-action="${id}"]`).waitFor();
    await by(page, 'execute').click();
    const done = await job(page, 'completed');
    assert.match(await done.innerText(), example.shown);
    assert.deepEqual(
      api.requests.map(({ authorization }) => authorization),
      ['Bearer a-token'],
      'one call, with the token',
    );
    const series = `ai_jobs_total{provider="${provider}",action="${id}",status="completed"} 1`;
    assert.ok((await (await fetch(`${server.url}/metrics`)).text()).includes(series), series);

    const wrong = await fetch(`${server.url}/actions/preview`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ action: id, params: example.wrong }),
    });
    assert.equal(wrong.status, 422, 'params that do not fit are refused');
  });
}
