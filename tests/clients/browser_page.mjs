// Opens a page in Chromium and waits until it shows so many events; prints the ids it shows.
//   node browser_page.mjs URL SELECTOR COUNT
import { chromium } from 'playwright-core';
import { launchOptions } from './chromium.mjs';

const [url, selector, count] = process.argv.slice(2);
const browser = await chromium.launch(launchOptions);
const page = await browser.newPage();
const problems = [];
page.on('pageerror', (error) => problems.push(String(error)));
page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
try {
  await page.goto(url);
  await page.waitForFunction(
    ([s, n]) => document.querySelectorAll(s).length >= n,
    [selector, Number(count)],
    { timeout: 20_000 },
  );
  console.log((await page.locator(selector).allTextContents()).slice(0, 3).join('\n'));
} catch (error) {
  problems.push(String(error));
}
await browser.close();
if (problems.length > 0) {
  console.error(problems.join('\n'));
  process.exit(1);
}
