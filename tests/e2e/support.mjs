// Starts the program, the fakes and a browser, and fails any page that breaks the policy or logs an error.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach } from 'node:test';

export const ROOT = new URL('../../', import.meta.url).pathname;
// scripts/test installs the npm packages here.
const modules = process.env.NODE_MODULES ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'ai-orchestrator/e2e/');
const require = createRequire(join(modules, 'package.json'));
const { chromium } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const bin = (name) => {
  const path = join(process.env.BIN ?? join(ROOT, 'target/debug'), name);
  assert.ok(existsSync(path), `${path} is missing: cargo build -p orchestrator -p fakes`);
  return path;
};

/** Waits until `look` returns something true, for at most this long. */
export async function until(what, look, seconds = 20) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert.ok(Date.now() < deadline, `not in time: ${what}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

/** Starts a program and waits until it prints its address. */
async function start(program, args, env, says) {
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, log] = ['', ''];
  child.stdout.on('data', (data) => {
    out += data;
  });
  child.stderr.on('data', (data) => {
    log += data;
  });
  const ended = new Promise((done) => child.on('exit', done));
  const url = await until(`${program} listens`, () => {
    assert.equal(child.exitCode, null, `${program} ended: ${log}`);
    return says.exec(out)?.[1];
  });
  return {
    url,
    log: () => log,
    stop: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** The processes and folders of a test. They end with it. */
export class World {
  #stops = [];

  async end() {
    for (const stop of this.#stops.reverse()) await stop();
    this.#stops = [];
  }

  folder() {
    const folder = mkdtempSync(join(tmpdir(), 'orchestrator-e2e-'));
    this.#stops.push(() => rmSync(folder, { recursive: true, force: true }));
    return folder;
  }

  /** Starts the program with only these environment variables. */
  async server(env = {}, folder = this.folder()) {
    const all = { PORT: '0', RUST_LOG: 'warn', ORCHESTRATOR_DATA: folder, ...env };
    const server = await start(bin('orchestrator'), [], all, /^AI Orchestrator is listening on (\S+)$/m);
    this.#stops.push(server.stop);
    return {
      ...server,
      folder,
      page: `${server.url}/dev/action-runner.html`,
      api: (method, path, body) => ask(method, server.url + path, body),
    };
  }

  /** Starts strict fakes of the providers. */
  async fakes() {
    const fakes = await start(bin('fakes'), [], {}, /^(http:\S+)$/m);
    this.#stops.push(fakes.stop);
    const control = (path, body) => ask(body === undefined ? 'GET' : 'POST', `${fakes.url}/_fakes/${path}`, body);
    return {
      ...fakes,
      env: {
        GMAIL_BASE_URL: fakes.url,
        CALENDAR_BASE_URL: `${fakes.url}/calendar/v3`,
        PEOPLE_BASE_URL: `${fakes.url}/people/v1`,
        GRAPH_BASE_URL: `${fakes.url}/v1.0`,
      },
      // An OAuth client, whose consents are given at once.
      client: {
        GOOGLE_CLIENT_ID: 'fakes-client',
        GOOGLE_CLIENT_SECRET: 'fakes-client-secret',
        GOOGLE_AUTH_URL: `${fakes.url}/oauth/google/auth`,
        GOOGLE_TOKEN_URL: `${fakes.url}/oauth/google/token`,
        GOOGLE_REVOKE_URL: `${fakes.url}/oauth/google/revoke`,
      },
      token: (token, provider, ...scopes) => control('tokens', { token, provider, scopes }),
      hold: (provider, holdings) => control('holdings', { provider, ...holdings }),
      fault: (fault, more = {}) => control('faults', { next: [{ fault, ...more }] }),
      deliveries: async () => (await control('deliveries')).deliveries,
      operations: async () => (await control('deliveries')).operations,
    };
  }

  /** Starts a Gmail that refuses every mail with these words, and returns what a server needs to use it. */
  async refusing(message) {
    const body = JSON.stringify({
      error: { code: 400, message, status: 'INVALID_ARGUMENT', errors: [{ message, reason: 'invalidArgument' }] },
    });
    const gmail = createServer((request, response) => {
      request.resume().on('end', () => response.writeHead(400, { 'content-type': 'application/json' }).end(body));
    });
    await new Promise((ready) => gmail.listen(0, '127.0.0.1', ready));
    this.#stops.push(() => gmail.close());
    return { GMAIL_BASE_URL: `http://127.0.0.1:${gmail.address().port}`, GOOGLE_ACCESS_TOKEN: 'a-refused-token' };
  }

  /** Creates a key in the ledger of this folder. */
  key(folder, scopes, ...more) {
    const args = ['keys', 'create', '--workspace', 'acme', '--scopes', scopes, ...more];
    return execFileSync(bin('orchestrator'), args, { env: { ORCHESTRATOR_DATA: folder }, encoding: 'utf8' }).trim();
  }
}

async function ask(method, url, body) {
  const answer = await fetch(url, { method, headers: { 'content-type': 'application/json' }, body: body && JSON.stringify(body) });
  const text = await answer.text();
  return text === '' ? null : JSON.parse(text);
}

let browser;
after(() => browser?.close());

// The servers end before the pages do. What a page asks for meanwhile is nobody's mistake.
const pages = [];
afterEach(() => Promise.all(pages.splice(0).map((page) => page.unrouteAll({ behavior: 'ignoreErrors' }))));

/** Opens a page in a new browser context. The test fails if the console or the policy complains. */
export async function open(t, url, { width = 1280, height = 900, ...options } = {}) {
  // In a container the browser cannot use its sandbox.
  browser ??= await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu'],
  });
  const context = await browser.newContext({ viewport: { width, height }, locale: 'en-GB', timezoneId: 'Europe/Berlin', ...options });
  if (process.env.PAGES_FROM_DISK) await fromDisk(context, url);
  const page = await context.newPage();
  pages.push(page);
  page.setDefaultTimeout(15_000);
  page.complaints = [];
  page.on('pageerror', (error) => page.complaints.push(`uncaught: ${error.message}`));
  page.on('dialog', (dialog) => {
    page.complaints.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on('console', (message) => {
    // The browser also logs failed requests, which the page shows itself.
    if (['error', 'warning'].includes(message.type()) && !message.text().startsWith('Failed to load resource')) {
      page.complaints.push(`${message.type()}: ${message.text()}`);
    }
  });
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== new URL(url).origin) page.complaints.push(`asked ${request.url()}`);
  });
  t.after(async () => {
    const { complaints } = page;
    await context.close();
    assert.deepEqual(complaints, [], 'the console, the policy or the network complained');
  });
  await page.goto(url);
  return page;
}

/** Shows the pages' files as they are in this folder, with the policy of the program that was built before. */
async function fromDisk(context, url) {
  const kinds = { html: 'text/html; charset=utf-8', css: 'text/css', js: 'text/javascript', svg: 'image/svg+xml' };
  const policy = (await fetch(new URL('/docs', url))).headers.get('content-security-policy');
  await context.route(/\/(dev|assets)\/[\w-]+\.\w+$|\/docs$/, (route) => {
    const { pathname } = new URL(route.request().url());
    const file = pathname === '/docs' ? '/docs.html' : pathname;
    const headers = { 'content-type': kinds[file.split('.').pop()], 'content-security-policy': policy };
    return route.fulfill({ headers, body: readFileSync(join(ROOT, 'static', file)) });
  });
}

/** Finds elements by their hook: `by(page, 'job', '[data-status=completed]')`. */
export const by = (page, hook, more = '') => page.locator(`[data-test="${hook}"]${more}`);

/** Enters a prompt and plans it. */
export async function plan(page, prompt, how = 'plan') {
  await by(page, 'prompt').fill(prompt);
  await by(page, how).click();
  await by(page, 'plan-view').waitFor();
}

/** Has the sandbox carry out a thousand jobs. */
export async function thousandJobs(server) {
  const mail = (i) => ({
    action: 'gmail.send',
    client_request_id: `n-${i}`,
    params: { to: [`person-${i}@example.com`, 'ana@contoso.com'], subject: `Subject ${i}`, text: `About ${i}.` },
  });
  for (let i = 0; i < 1000; i += 10) {
    const actions = Array.from({ length: 10 }, (_, j) => mail(i + j));
    await server.api('POST', '/ai/execute', { actions, actor_id: 'a' });
  }
  await until('all are done', async () => (await server.api('GET', '/ai/jobs?status=pending')).data.length === 0, 120);
}

/** Waits for a job with this status and returns it. */
export async function job(page, status) {
  const found = by(page, 'job', `[data-status="${status}"]`).first();
  await found.waitFor();
  return found;
}

/** Returns all that axe finds, of any impact. */
export async function violations(page) {
  await page.evaluate(axe);
  const { violations: found } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  return found.map(
    ({ id, impact, nodes }) => `${id} (${impact}): ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join(' | ')}`,
  );
}

/** Checks that the page fits the width of the window. */
export async function fits(page) {
  const [wide, window] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert.ok(wide <= window, `the page is ${wide} wide in a window of ${window}`);
}

/** Whether foreign text was executed or became markup. */
export const ran = (page) =>
  page.evaluate(
    () =>
      globalThis.hacked === true || document.querySelector('main script, main img, main iframe:not([sandbox]), main [onerror]') !== null,
  );

export const GMAIL_SEND = 'https://www.googleapis.com/auth/gmail.send';
export const CALENDAR_AND_CONTACTS = [
  'https://www.googleapis.com/auth/calendar.events.owned',
  'https://www.googleapis.com/auth/calendar.freebusy',
  'https://www.googleapis.com/auth/contacts.readonly',
];
export const GMAIL_COMPOSE = 'https://www.googleapis.com/auth/gmail.compose';
