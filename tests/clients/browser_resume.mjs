// Chromium's own EventSource on a page of the gateway's origin: prints "ID TYPE" for each event seen.
//   node browser_resume.mjs URL-OF-STREAM
import { chromium } from 'playwright-core';
import { launchOptions } from './chromium.mjs';

const stream = new URL(process.argv[2]);
const browser = await chromium.launch(launchOptions);
const page = await browser.newPage();
// An empty page of the same origin, made up here: the gateway is asked for nothing but the stream.
await page.route('**/blank', (route) =>
  route.fulfill({ contentType: 'text/html', body: '<!doctype html>' }));
// A browser gives up for good on a response that it does not like: say on which.
page.on('response', (response) => {
  const type = response.headers()['content-type'];
  console.error(`response ${response.status()} ${type}`);
});
await page.exposeFunction('report', (lines) => process.stdout.write(lines));
await page.goto(new URL('/blank', stream).href);
await page.evaluate((url) => {
  const source = new EventSource(url);
  let lines = '';
  const flush = () => {
    if (lines !== '') window.report(lines);
    lines = '';
  };
  const types = ['market', 'order_update', 'fill', 'order_state', 'account', 'error', 'gap'];
  for (const type of types) {
    source.addEventListener(type, (event) => {
      if (event.data !== undefined) {
        if (lines === '') queueMicrotask(() => setTimeout(flush, 20));
        lines += `${event.lastEventId} ${type}\n`;
      } else if (source.readyState === EventSource.CLOSED) {
        window.report('closed: the browser gave up\n');
      }
    });
  }
}, stream.href);

const stop = async () => {
  await browser.close();
  process.exit(0);
};
process.on('SIGTERM', stop);
process.stdin.on('end', stop).resume();
