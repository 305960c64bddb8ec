// Takes the screenshots of docs/images, and writes the digest of the files they show. Run by scripts/pictures.

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { recording } from './recording.mjs';
import { by, GMAIL_SEND, job, open, plan, ROOT, thousandJobs, World } from './support.mjs';

export const FOLDER = join(ROOT, 'docs/images');
export const DIGEST = join(FOLDER, 'made-of.sha256');

/** The digest of the page's files and of what takes the pictures. */
export function digest() {
  const files = ['static/dev', 'static/assets'].flatMap((folder) =>
    readdirSync(join(ROOT, folder))
      .sort()
      .map((name) => join(folder, name)),
  );
  const hash = createHash('sha256');
  for (const file of [...files, 'tests/e2e/pictures.mjs', 'tests/e2e/recording.mjs'])
    hash.update(`${file}\n`).update(readFileSync(join(ROOT, file)));
  return hash.digest('hex');
}

const MOVED = 'Use Outlook to tell ana@contoso.com and bo@contoso.com that the demo moved to Friday 3pm';
const THANKS = 'Send email to john@example.com saying thanks for the meeting';
const MARIA = 'Send my boss a mail saying I am running late';
const LIVE = { GOOGLE_ACCESS_TOKEN: 't' };

/** Takes a screenshot of a page with its own server, into a file without its ending. */
export function picture(file, { env = {}, fakes = [], refuses, whole = true, ...options }, work) {
  test(file, async (t) => {
    const world = new World();
    t.after(() => world.end());
    const provider = await world.fakes();
    if (env.GOOGLE_ACCESS_TOKEN === LIVE.GOOGLE_ACCESS_TOKEN) await provider.token('t', 'google', GMAIL_SEND);
    for (const fault of fakes) await provider.fault(...fault);
    const all = { ...provider.env, ...env, ...(refuses && (await world.refusing(refuses))) };
    const folder = world.folder();
    const server = await world.server(all, folder);
    const page = await open(t, server.page, options);
    const again = () => world.server({ ...all, PORT: new URL(server.url).port }, folder);
    await work(page, { ...server, again });
    await page.mouse.move(0, 0);
    await page.evaluate((whole) => {
      document.activeElement.blur();
      if (whole) window.scrollTo(0, 0);
      // Rows out of sight are not drawn, and a picture of the whole page has them all.
      const sheet = new CSSStyleSheet();
      sheet.replaceSync('.job { content-visibility: visible !important }');
      document.adoptedStyleSheets.push(sheet);
    }, whole);
    await page.screenshot({ path: `${file}.png`, fullPage: whole, animations: 'disabled' });
  });
}

/** Completes a job, so that there is a history. */
async function earlier(page) {
  await plan(page, THANKS, 'plan-execute');
  await job(page, 'completed');
}

async function plannedWithPreview(page) {
  await earlier(page);
  await plan(page, MOVED);
  await by(page, 'preview').click();
  await by(page, 'preview-body').waitFor();
}

async function two(page, how) {
  await earlier(page);
  await plan(page, MOVED, how);
}

async function notConnected(page) {
  await plan(page, THANKS, 'plan-execute');
  await by(page, 'execute').click();
  await by(page, 'plan-view').locator('[data-code="connection-required"]').waitFor();
}

async function done(page) {
  await two(page, 'plan-execute');
  await page.locator('[data-test=job][data-status=completed]').nth(1).waitFor();
  await by(page, 'outbox-entry').nth(1).waitFor();
}

/** What a person can come upon, each with its server and the way there. */
export const STATES = {
  'plan-ready': [{}, (page) => two(page)],
  'plan-live': [{ env: LIVE }, (page) => plan(page, THANKS)],
  question: [{}, (page) => plan(page, MARIA)],
  sources: [{}, (page) => plan(page, 'Email Sam saying lunch is at noon')],
  held: [
    { env: { REQUIRE_APPROVAL: 'all' } },
    async (page) => {
      for (const prompt of [THANKS, MOVED]) {
        await plan(page, prompt);
        await by(page, 'execute').click();
        await by(page, 'accepted').waitFor();
      }
      await page.getByRole('button', { name: 'Approve all 2' }).waitFor();
    },
  ],
  undo: [
    { env: { UNDO_SECONDS: '45' } },
    async (page) => {
      await plan(page, THANKS);
      await by(page, 'execute').click();
      await by(page, 'undo').waitFor();
    },
  ],
  done: [{}, done],
  unknown: [
    { env: LIVE, fakes: [['accept-then-close', { on: 'gmail.messages.send' }]] },
    async (page) => {
      await plan(page, THANKS, 'plan-execute');
      await job(page, 'error');
    },
  ],
  'provider-says-no': [
    { refuses: 'Invalid To header' },
    async (page) => {
      await plan(page, THANKS, 'plan-execute');
      await by(page, 'provider-says').waitFor();
    },
  ],
  'not-connected': [{ env: { PROVIDER_MODE: 'live' } }, notConnected],
  outage: [
    {},
    async (page, server) => {
      await two(page);
      await server.stop();
      await by(page, 'banner').waitFor();
    },
  ],
  recovery: [
    {},
    async (page, server) => {
      await two(page);
      await server.stop();
      await by(page, 'banner').waitFor();
      await server.again();
      await by(page, 'banner').waitFor({ state: 'detached' });
      await by(page, 'execute').click();
      await page.locator('[data-test=job][data-status=completed]').nth(1).waitFor();
    },
  ],
  'a-thousand-jobs': [
    {},
    async (page, server) => {
      await thousandJobs(server);
      await page.reload();
      await by(page, 'job').nth(49).waitFor();
      await by(page, 'search').fill('person-99');
      await page.getByText('11 jobs found.').waitFor();
    },
  ],
};

const SHAPES = {
  wide: { width: 1280, height: 900 },
  narrow: { width: 390, height: 844, hasTouch: true, isMobile: true },
  dark: { colorScheme: 'dark' },
  forced: { forcedColors: 'active' },
};

if (process.env.STATES) {
  for (const [state, [world, work]] of Object.entries(STATES)) {
    for (const [shape, options] of Object.entries(SHAPES)) {
      // As it is seen without scrolling, and the whole page.
      for (const whole of [false, true]) {
        picture(join(process.env.STATES, `${state}-${shape}${whole ? '-whole' : ''}`), { ...world, ...options, whole }, work);
      }
    }
  }
}

if (process.env.PICTURES) {
  const shot = (name, options, work) => picture(join(FOLDER, name), options, work);
  shot('plan', ...STATES['plan-ready']);
  shot('preview', {}, plannedWithPreview);
  shot('dark', { colorScheme: 'dark' }, plannedWithPreview);
  shot('question', ...STATES.question);
  shot('done', {}, done);
  shot('progress', { env: LIVE, fakes: [['slow', { ms: 8000 }]] }, async (page) => {
    await plan(page, THANKS, 'plan-execute');
    await job(page, 'running');
  });
  shot('error', { env: { GOOGLE_ACCESS_TOKEN: 'expired' } }, async (page) => {
    await plan(page, THANKS, 'plan-execute');
    await job(page, 'error');
  });
  shot('not-connected', ...STATES['not-connected']);
  shot('narrow', { width: 390, height: 844 }, async (page) => {
    await earlier(page);
    await by(page, 'outbox-entry').waitFor();
  });
  shot('api', { height: 1000, whole: false }, async (page, server) => {
    await page.goto(`${server.url}/docs#post-ai-execute`);
    await page.locator('main .route').first().waitFor();
  });
  test('the recording', async (t) => {
    const world = new World();
    t.after(() => world.end());
    writeFileSync(join(FOLDER, 'recording.webp'), await recording(t, world));
  });
  test('the digest', () => writeFileSync(DIGEST, `${digest()}\n`));
}
