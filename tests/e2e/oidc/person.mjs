#!/usr/bin/env node
// A person with a browser: Chromium, which fills in and presses what the provider's pages show.
// As a program it is a `$BROWSER`: person.mjs URL, with PERSON=deny for somebody who says no. PERSON_DIR has a directory
// in it as long as the browser is open.
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

/**
 * Goes to `url` and presses on until there is nothing left to press.
 *
 * `deny` presses no instead of yes. With `elsewhere` the browser is on another machine: it reaches the provider's host
 * and nothing else on loopback. Answers with the last address and page.
 */
export async function browse(url, { deny = false, elsewhere = false } = {}) {
  const profile = mkdtempSync(join(process.env.PERSON_DIR ?? tmpdir(), 'bsql-e2e-chromium-'));
  const only = elsewhere ? ['--proxy-server=127.0.0.1:1', `--proxy-bypass-list=<-loopback>;${new URL(url).host}`] : [];
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: '/usr/bin/chromium', headless: true, chromiumSandbox: false, args: [...FLAGS, ...only],
  });
  try {
    const page = context.pages()[0] ?? await context.newPage();
    let last = url;
    page.on('request', (request) => { if (request.isNavigationRequest()) last = request.url(); });
    await page.goto(url);
    const has = async (selector) => (await page.locator(selector).count()) > 0;
    for (let presses = 0; presses < 8; presses += 1) {
      let button;
      if (deny && await has('#abort')) button = '#abort';
      else if (await has('input[name=password]')) {
        await page.fill('input[name=login]', 'alice');
        await page.fill('input[name=password]', 'wonderland');
        button = '#signin';
      } else if (await has('#allow')) button = '#allow';
      // The provider's own pages: the code of a device, and the end of a session.
      else if (await has('button[form="op.deviceConfirmForm"][type=submit]')) button = 'button[form="op.deviceConfirmForm"][type=submit]';
      else if (await has('button[form="op.logoutForm"][value=yes]')) button = 'button[form="op.logoutForm"][value=yes]';
      else break;
      // The button leads to another page, or to the browser's own where that one cannot be opened.
      await Promise.all([page.waitForEvent('framenavigated', { timeout: 20_000 }), page.click(button, { noWaitAfter: true })]);
      await page.waitForLoadState();
    }
    return { url: last, title: await page.title(), text: await page.locator('body').innerText().catch(() => '') };
  } finally {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  }
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await browse(process.argv[2], { deny: process.env.PERSON === 'deny' });
}
