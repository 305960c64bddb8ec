// Takes the screenshots of docs/images, and writes the digest of the files they show. Run by scripts/pictures.

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { by, GMAIL_SEND, job, open, plan, ROOT, World } from './support.mjs';

export const FOLDER = join(ROOT, 'docs/images');
export const DIGEST = join(FOLDER, 'made-of.sha256');

/** The digest of the page's files and of this file. */
export function digest() {
  const files = ['static/dev', 'static/assets'].flatMap((folder) =>
    readdirSync(join(ROOT, folder))
      .sort()
      .map((name) => join(folder, name)),
  );
  const hash = createHash('sha256');
  for (const file of [...files, 'tests/e2e/pictures.mjs']) hash.update(`${file}\n`).update(readFileSync(join(ROOT, file)));
  return hash.digest('hex');
}

const MOVED = 'Use Outlook to tell ana@contoso.com and bo@contoso.com that the demo moved to Friday 3pm';
const THANKS = 'Send email to john@example.com saying thanks for the meeting';
const MARIA = 'Send Maria a mail saying I am running late';

/** Takes a screenshot of a page with its own server. */
function picture(name, { env = {}, fakes = [], whole = true, ...options }, work) {
  test(name, async (t) => {
    const world = new World();
    t.after(() => world.end());
    const provider = await world.fakes();
    for (const fake of fakes) await fake(provider);
    const server = await world.server({ ...provider.env, ...env });
    const page = await open(t, server.page, options);
    await work(page, server);
    await page.mouse.move(0, 0);
    await page.evaluate((whole) => {
      document.activeElement.blur();
      if (whole) window.scrollTo(0, 0);
    }, whole);
    await page.screenshot({ path: join(FOLDER, `${name}.png`), fullPage: whole, animations: 'disabled' });
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

if (process.env.PICTURES) {
  picture('plan', {}, async (page) => {
    await earlier(page);
    await plan(page, MOVED);
  });
  picture('preview', {}, plannedWithPreview);
  picture('dark', { colorScheme: 'dark' }, plannedWithPreview);
  picture('question', {}, (page) => plan(page, MARIA));
  picture('done', {}, async (page) => {
    await earlier(page);
    await plan(page, MOVED, 'plan-execute');
    await page.locator('[data-test=job][data-status=completed]').nth(1).waitFor();
    await by(page, 'outbox-entry').nth(1).waitFor();
  });
  picture(
    'progress',
    {
      env: { GOOGLE_ACCESS_TOKEN: 't' },
      fakes: [(fake) => fake.token('t', 'google', GMAIL_SEND), (fake) => fake.fault('slow', { ms: 8000 })],
    },
    async (page) => {
      await plan(page, THANKS, 'plan-execute');
      await job(page, 'running');
    },
  );
  picture('error', { env: { GOOGLE_ACCESS_TOKEN: 'expired' } }, async (page) => {
    await plan(page, THANKS, 'plan-execute');
    await job(page, 'error');
  });
  picture('not-connected', { env: { PROVIDER_MODE: 'live' } }, async (page) => {
    await plan(page, THANKS, 'plan-execute');
    await by(page, 'execute').click();
    await by(page, 'plan-view').locator('[data-code="connection-required"]').waitFor();
  });
  picture('narrow', { width: 390, height: 844 }, async (page) => {
    await plan(page, THANKS, 'plan-execute');
    await job(page, 'completed');
    await by(page, 'outbox-entry').waitFor();
  });
  picture('api', { height: 1000, whole: false }, async (page, server) => {
    await page.goto(`${server.url}/docs#post-ai-execute`);
    await page.locator('main .route').first().waitFor();
  });
  test('the digest', () => writeFileSync(DIGEST, `${digest()}\n`));
}
