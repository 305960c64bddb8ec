// Plans, executes and polls with types generated from the running program's OpenAPI document.
import createClient from 'openapi-fetch';
import type { paths } from './schema.js';

const client = createClient<paths>({ baseUrl: process.argv[2] });

function expect(right: boolean, what: string, value: unknown): asserts right {
  if (!right) throw new Error(`${what}: ${JSON.stringify(value)}`);
}

const prompt = 'Send email to ana@example.com saying the report is ready';
const planned = await client.POST('/ai/plan2', { body: { prompt } });
expect(planned.data !== undefined, 'no plan', planned.error);
const accepted = await client.POST('/ai/execute', { body: { plan_id: planned.data.plan.plan_id } });
expect(accepted.data !== undefined, 'not accepted', accepted.error);
const [job_id] = accepted.data.job_ids;
expect(job_id !== undefined, 'no job', accepted.data);
const job = await client.GET('/ai/jobs/{job_id}', {
  params: { path: { job_id }, query: { wait: 20 } },
});
expect(job.data?.status === 'completed', 'not completed', job);
const refused = await client.POST('/ai/plan2', { body: { prompt: '' } });
expect(refused.error?.code === 'invalid-request', 'not refused', refused);
console.log('the generated TypeScript client: planned, executed, completed');
