// Records two minutes of the page for docs/images: an animated picture in the WebP container
// (https://developers.google.com/speed/webp/docs/riff_container), of the pictures that the browser encodes.

import { by, job, open } from './support.mjs';

const [WIDTH, HEIGHT] = [1100, 760];

/** A number as so many bytes, the least first. */
const bytes = (count, number) => Buffer.from(Array.from({ length: count }, (_, place) => (number >>> (8 * place)) & 0xff));
const chunk = (name, ...parts) => {
  const data = Buffer.concat(parts);
  return Buffer.concat([Buffer.from(name), bytes(4, data.length), data, Buffer.alloc(data.length % 2)]);
};
/** The chunk of a picture that has its pixels, without its colour profile. */
function pixels(picture) {
  for (let at = 12; at < picture.length; ) {
    const end = at + 8 + picture.readUInt32LE(at + 4);
    if (picture.toString('latin1', at, at + 4) === 'VP8 ') return picture.subarray(at, end + (end % 2));
    at = end + (end % 2);
  }
  throw new Error('the browser made no lossy picture');
}

/** Puts pictures one after the other, each for so many milliseconds. */
function animated(pictures) {
  const size = [bytes(3, WIDTH - 1), bytes(3, HEIGHT - 1)];
  const frame = ({ picture, ms }) => chunk('ANMF', bytes(6, 0), ...size, bytes(3, ms), bytes(1, 0), pixels(picture));
  const isAnimation = bytes(4, 2);
  const frames = pictures.map(frame);
  return chunk('RIFF', Buffer.from('WEBP'), chunk('VP8X', isAnimation, ...size), chunk('ANIM', bytes(6, 0)), ...frames);
}

/** The page of a server, with words under it, recorded from now on. */
async function filmed(t, server, pictures) {
  const page = await open(t, server.page, { width: WIDTH, height: HEIGHT });
  const browser = await page.context().newCDPSession(page);
  await page.evaluate(() => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(
      `#says { position: fixed; inset: auto 0 0; z-index: 9; padding: 0.6rem 1.2rem; font: 600 1.1rem system-ui; background: #111; color: #fff }
       .foot { bottom: 2.6rem !important }`,
    );
    document.adoptedStyleSheets.push(sheet);
    document.body.append(Object.assign(document.createElement('p'), { id: 'says' }));
  });
  const show = async (says, seconds) => {
    await page.evaluate((says) => {
      document.getElementById('says').textContent = says;
    }, says);
    const { data } = await browser.send('Page.captureScreenshot', { format: 'webp', quality: 60 });
    pictures.push({ picture: Buffer.from(data, 'base64'), ms: seconds * 1000 });
  };
  const type = async (prompt, says) => {
    for (const part of [0.3, 0.7, 1]) {
      await by(page, 'prompt').fill(prompt.slice(0, prompt.length * part));
      await show(says, part === 1 ? 2 : 1);
    }
    await by(page, 'plan').click();
    await by(page, 'plan-view').waitFor();
  };
  const execute = () => by(page, 'execute').click();
  return { page, show, type, execute };
}

/** What the recording shows, as a file's bytes. */
export async function recording(t, world) {
  const pictures = [];
  const server = await world.server({ UNDO_SECONDS: '20' });
  const { page, show, type, execute } = await filmed(t, server, pictures);
  await show('First visit. No model and no account yet: mails are written to an outbox.', 6);
  await type('Email Sam that I am late', 'A sentence');
  await by(page, 'source').first().waitFor();
  await show('The plan. Whom it reaches was looked up in the contacts, and says so.', 9);
  await by(page, 'preview').click();
  await by(page, 'preview-body').waitFor();
  await by(page, 'preview-body').scrollIntoViewIfNeeded();
  await show('The exact message. Nothing else will be sent.', 8);
  await execute();
  await by(page, 'undo').waitFor();
  await page.evaluate(() => window.scrollTo(0, 0));
  await show('It waits for twenty seconds.', 5);
  await by(page, 'undo').click();
  await page.locator('[data-test=job][data-status=error]').waitFor();
  await show('Undone: nothing was sent.', 6);

  await type('invite Ana tomorrow at 10 for half an hour', 'A calendar');
  await show('Two people have this name. It asks, and never guesses.', 9);
  await by(page, 'answer', '[data-kind=choice]').getByRole('button', { name: 'Ana Silva' }).click();
  await by(page, 'answer-plan').click();
  await by(page, 'source').first().waitFor();
  await show('The invitation, with whom it reaches.', 9);

  const strict = await world.server({ REQUIRE_APPROVAL: 'all' });
  const held = await filmed(t, strict, pictures);
  await held.type(
    'Use Outlook to tell ana@contoso.com and bo@contoso.com that the demo moved to Friday 3pm',
    'Where a person has to approve',
  );
  await held.page.getByRole('button', { name: 'Hold 1 mail' }).waitFor();
  await held.show('The same plan, on a server that asks a person first.', 6);
  await held.execute();
  const approve = by(held.page, 'approve').first();
  await approve.waitFor();
  await held.page.evaluate(() => window.scrollTo(0, 0));
  await held.show('Held, with everything that will go out. An agent cannot approve it.', 10);
  await approve.click();
  await job(held.page, 'completed');
  await held.show('Approved: exactly this mail went out, once.', 8);

  const folder = world.folder();
  const breaks = await world.server({}, folder);
  const outage = await filmed(t, breaks, pictures);
  await outage.type('Send email to john@example.com saying thanks for the meeting', 'When the server goes away');
  await outage.show('Ready to send …', 4);
  await breaks.stop();
  await by(outage.page, 'banner').waitFor();
  await outage.show('… and the server is gone. Nothing is lost: the same plan goes out once.', 10);
  await world.server({ PORT: new URL(breaks.url).port }, folder);
  await by(outage.page, 'banner').waitFor({ state: 'detached' });
  await outage.show('It is back.', 5);
  await outage.execute();
  await job(outage.page, 'completed');
  await outage.page.evaluate(() => window.scrollTo(0, 0));
  await outage.show('Sent once, with everything on record.', 10);
  return animated(pictures);
}
