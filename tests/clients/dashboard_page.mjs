// The dashboard in Chromium, for the tests of it: opens it, notes what must never happen, and looks things up.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';
import { launchOptions } from './chromium.mjs';

export const PATIENCE_MS = 20_000;

/** Opens a page and runs the story, over one gateway or several; what was wrong ends the process with 1. */
export async function story(urls, act, size = { width: 1280, height: 900 }, options = {}) {
  const browser = await chromium.launch(launchOptions);
  const page = await browser.newPage({ viewport: size, ...options });
  page.setDefaultTimeout(PATIENCE_MS);
  const problems = [];
  const origins = [urls].flat().map((url) => new URL(url).origin);
  page.on('pageerror', (error) => problems.push(String(error.stack ?? error)));
  page.on('console', (message) => {
    // A refusal, and a gateway that is away, are part of the story.
    const expected = /Failed to load resource|ERR_CONNECTION|ERR_EMPTY|ERR_INCOMPLETE/.test(message.text());
    if (message.type() === 'error' && !expected) problems.push(message.text());
  });
  page.on('request', (request) => {
    const { protocol, origin } = new URL(request.url());
    if (!['data:', 'blob:'].includes(protocol) && !origins.includes(origin)) problems.push(`asked another host: ${request.url()}`);
  });
  try {
    await act(page, looks(page));
    if (problems.length > 0) throw new Error('the page complained');
    console.log('done');
  } catch (error) {
    console.error(error);
    console.error(problems.join('\n'));
    console.error(await page.locator('body').innerText().catch(() => 'no page'));
    process.exitCode = 1;
  }
  await browser.close();
  input?.close();
  process.stdin.unref();
}

const axe = readFileSync(new URL('node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');

/** axe finds nothing in what the page shows now. */
export async function accessible(page, state) {
  if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(axe);
  const violations = await page.evaluate(async () => (await globalThis.axe.run()).violations.map(
    ({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html, any }) => `${html.slice(0, 200)} ${any.map((check) => check.message).join('; ')}`).slice(0, 3).join('\n')}`,
  ));
  assert.deepEqual(violations, [], state);
}

/** The text of the file that the page gives for the table it shows. */
export async function download(page) {
  const [file] = await Promise.all([page.waitForEvent('download'), page.locator('#csv').click()]);
  let text = '';
  for await (const chunk of await file.createReadStream()) text += chunk;
  return text;
}

const words = new Set();
let input;

/** Waits until the test says this word. */
export async function heard(word) {
  input ??= createInterface({ input: process.stdin }).on('line', (line) => words.add(line));
  while (!words.has(word)) await new Promise((next) => { setTimeout(next, 10); });
}

/** What nobody should ever see as anything but text. */
export const EVIL = '<img src=x onerror="document.title=1"><script>document.title=1</script>';

/** An answer of `/api/orders` with an order that says it everywhere, and with numbers of many digits. */
export function hostileHistory() {
  const state = {
    type: 'order_state', client_order_id: EVIL, status: 'REJECTED', symbol: EVIL, side: 'BUY', order_qty: 1.0, limit_price: 12345,
    executed_qty: 0.0, avg_price: 0.0, reason: EVIL, last_ts_ns: 1704067200000000000, order_type: EVIL, id: 1,
  };
  return JSON.stringify({ items: [state] }).replace('12345', '0.000012340000000000001').replace('"order_qty":1', '"order_qty":123456789012345678.5');
}

/** The ids of the log's events that the browser itself receives, beside what the page makes of them. */
export async function watchIds(page) {
  const ids = new Set();
  const network = await page.context().newCDPSession(page);
  await network.send('Network.enable');
  network.on('Network.eventSourceMessageReceived', ({ eventName, eventId, data }) => {
    if (!['ping', 'book', 'gap', 'snapshot'].includes(eventName) && !data.endsWith('"snapshot":true}')) ids.add(Number(eventId));
  });
  return ids;
}

/** No event is missing: by the page's own count, and by what the browser has received. */
export async function whole(page, { shows }, ids) {
  await shows('#seen', 'none missing');
  const { first, last, seen } = await page.locator('#seen').evaluate((output) => ({ ...output.dataset }));
  assert.equal(Number(last) - Number(first) + 1, Number(seen));
  const due = Array.from({ length: Number(seen) }, (_, i) => Number(first) + i);
  assert.deepEqual(due.filter((id) => !ids.has(id)), []);
  return { first: Number(first), last: Number(last), seen: Number(seen) };
}

function looks(page) {
  /** Waits until an element of this kind shows the text. */
  const shows = (selector, text) => page.locator(selector).filter({ hasText: text }).first().waitFor();
  /** The row of a table that holds all these texts. */
  const row = (table, ...texts) => {
    let rows = page.locator(`#${table} tbody tr:not(.space, .empty)`);
    for (const text of texts) rows = rows.filter({ hasText: text });
    return rows.first();
  };
  const tab = (name) => page.getByRole('tab', { name }).click();
  const order = async (side, qty, price) => {
    await page.getByRole('radio', { name: side }).check();
    await page.locator('#qty').fill(qty);
    await page.locator('#price').fill(price);
  };
  return { shows, row, tab, order };
}
