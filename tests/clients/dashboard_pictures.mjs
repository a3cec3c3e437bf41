// Pictures of the dashboard, dark and light, from a phone to a wide screen.
//   node dashboard_pictures.mjs URL DIRECTORY
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { launchOptions } from './chromium.mjs';

const [url, directory] = process.argv.slice(2);
const browser = await chromium.launch(launchOptions);
for (const colorScheme of ['dark', 'light']) {
  for (const [width, height] of [[390, 844], [1280, 1180], [2560, 1440]]) {
    const page = await browser.newPage({ viewport: { width, height }, colorScheme });
    await page.goto(url);
    await page.locator('#trades tbody time').nth(4).waitFor();
    await page.waitForLoadState('networkidle', { timeout: 5_000 }).catch(() => {});
    const path = join(directory, `${colorScheme}-${width}.png`);
    await page.screenshot({ path, fullPage: width < 1000 });
    await page.close();
  }
}
await browser.close();
