// A trader at the dashboard, in Chromium: every step is seen on the screen before the next is done.
//   node dashboard.mjs URL
// Says "kill" when the gateway may be killed, and "lost" when the page says so; the gateway then comes
// back with one more open order, `while-away`. Ends with "done", or with what was wrong.
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';
import { launchOptions } from './chromium.mjs';

const url = process.argv[2];
const PATIENCE_MS = 20_000;
const browser = await chromium.launch(launchOptions);
const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
page.setDefaultTimeout(PATIENCE_MS);
const problems = [];
const elsewhere = [];
page.on('pageerror', (error) => problems.push(String(error)));
page.on('console', (message) => {
  // A refusal, and a gateway that is away, are part of the story.
  const expected = /Failed to load resource|ERR_CONNECTION|ERR_EMPTY|ERR_INCOMPLETE/.test(message.text());
  if (message.type() === 'error' && !expected) problems.push(message.text());
});
page.on('request', (request) => {
  const { protocol, origin } = new URL(request.url());
  if (protocol !== 'data:' && origin !== new URL(url).origin) elsewhere.push(request.url());
});

/** Waits until an element of this kind shows the text. */
const shows = (selector, text) => page.locator(selector).filter({ hasText: text }).first().waitFor();
const row = (...texts) => {
  let rows = page.locator('#open-orders tbody tr');
  for (const text of texts) rows = rows.filter({ hasText: text });
  return rows.first();
};

async function order(side, qty, price) {
  await page.getByRole('radio', { name: side }).check();
  await page.locator('#qty').fill(qty);
  await page.locator('#price').fill(price);
}

async function trade() {
  await page.goto(url);
  await shows('#mode', 'REPLAY');
  await shows('#connection', 'Live');
  await shows('#balances', '100,000.00000000');

  // By keyboard, at a price clicked in the book.
  await page.locator('#bids button').first().click();
  assert.equal(await page.locator('#price').inputValue(), '99.00');
  await page.keyboard.press('b');
  await page.keyboard.type('0.1');
  await shows('.estimate', '9.90 USDT');
  await page.keyboard.press('Enter');
  await row('BUY', '99.00', '0.10000', 'ACCEPTED').waitFor();
  await shows('#balances', '99,990.10000000');
  await row('99.00').getByRole('button', { name: /^Cancel/ }).click();
  await shows('#open-orders', 'No open orders');
  await shows('#balances', '100,000.00000000');

  // More than the book has at that price: the rest stays open.
  await order('Buy', '2', '100.00');
  await page.keyboard.press('Enter');
  await row('100.00', '2.00000', '0.50000', 'PARTIALLY_FILLED').waitFor();

  await order('Sell', '500', '100.005');
  await shows('#ticket-check', 'multiple of 0.01');
  assert.equal(await page.locator('.send').isDisabled(), true);
  await order('Sell', '500', '100.00');
  await page.locator('.send').click();
  await shows('.send', 'press again');
  await page.locator('.send').click();
  await shows('#ticket-answer', 'insufficient_balance');

  await page.getByRole('tab', { name: 'Fills' }).click();
  await shows('#fills', '100.00');
  await page.getByRole('tab', { name: 'History' }).click();
  for (const text of ['CANCELLED', 'REJECTED', 'insufficient_balance']) await shows('#order-history', text);
  await page.getByRole('tab', { name: /^Open/ }).click();

  // The kill switch, and back.
  await page.getByRole('button', { name: 'Reduce only' }).click();
  await shows('#risk-state', 'REDUCE_ONLY');
  await page.getByRole('button', { name: 'Resume' }).click();
  await shows('#risk-state', 'ACTIVE');
}

async function survive() {
  const before = Number(await page.locator('#last-id').textContent());
  console.log('kill');
  await shows('#connection', 'CONNECTION LOST');
  await shows('[role=alert]', `event ${before}`);
  assert.equal(await page.locator('.send').isDisabled(), true);
  console.log('lost');
  await row('while-away', 'ACCEPTED').waitFor();
  await shows('#connection', 'Live');
  console.log('live');
  // Each open order as the gateway has it.
  const answer = await fetch(new URL('/api/orders_state?status=open', url));
  const { items } = await answer.json();
  assert.equal(items.length, 2);
  for (const { client_order_id: id, status, executed_qty: executed } of items) {
    await row(id, status, executed.toFixed(5)).waitFor();
  }
  assert.deepEqual(
    await page.locator('#reconnects, #gaps, #holes').allTextContents(), ['1', '0', '0'],
  );
  // Ids in the page: each event since it was opened, one after another, none missing.
  await page.getByRole('button', { name: 'market' }).click();
  const ids = (await page.locator('#log tbody tr td:first-child').allTextContents()).map(Number);
  assert.ok(ids[0] > before && ids.length > 10, `${ids}`);
  for (const [i, id] of ids.entries()) assert.equal(id, ids[0] - i);
  assert.equal(ids[0], Number(await page.locator('#last-id').textContent()));
}

/** What an order says is text, whatever it says. */
async function hostile() {
  const evil = '<img src=x onerror="document.title=1"><script>document.title=1</script>';
  const update = {
    type: 'order_update', ts_ns: 1704067200000000000, client_order_id: evil, status: 'REJECTED',
    symbol: evil, side: 'BUY', qty: 1.0, price: 0.00001234, reason: evil, id: 1,
  };
  const body = JSON.stringify({ items: [update] }).replace('"price":0.00001234', '"price":0.000012340000000000001');
  await page.route('**/api/orders?*', (route) => route.fulfill({ contentType: 'application/json', body }));
  await page.reload();
  await page.getByRole('tab', { name: 'History' }).click();
  await shows('#order-history', '0.000012340000000000001');
  const cells = await page.locator('#order-history tbody tr').last().locator('td').allTextContents();
  assert.equal(cells.filter((cell) => cell === evil).length, 3, `${cells}`);
  assert.equal(await page.locator('#order-history img, #order-history script').count(), 0);
  assert.match(await page.title(), /VeloZ/);
}

try {
  await trade();
  await survive();
  await hostile();
  assert.deepEqual(elsewhere, [], 'asked another host');
  assert.deepEqual(problems, [], 'errors on the console');
  console.log('done');
} catch (error) {
  console.error(error);
  console.error(problems.join('\n'));
  console.error(await page.locator('body').innerText());
  process.exitCode = 1;
}
await browser.close();
