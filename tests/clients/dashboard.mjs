// A trader at the dashboard, in Chromium: every step is seen on the screen before the next is done.
//   node dashboard.mjs URL
// Says "kill" when the gateway may be killed, "lost" when the page says so, and "live" when it is right again
// with one more order, `while-away`. Then "another" and "longer": another gateway, with a shorter and with a
// longer log, is to take its place. Ends with "done", or with what was wrong.
import assert from 'node:assert/strict';
import { download, EVIL, hostileHistory, story, watchIds, whole } from './dashboard_page.mjs';

const url = process.argv[2];
const number = async (page, selector) => Number(await page.locator(selector).textContent());

async function trade(page, { shows, row, tab, order }) {
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
  await shows('.estimate', '0.0001 BTC');
  await page.keyboard.press('Enter');
  await row('open-orders', 'BUY', '99.00', '0.10000', 'ACCEPTED').waitFor();
  await shows('#balances', '99,990.10000000');
  await row('open-orders', '99.00').getByRole('button', { name: /^Cancel/ }).click();
  await shows('#open-orders', 'No open orders');
  await shows('#balances', '100,000.00000000');

  // More than the book has at that price: the rest stays open, is amended, and filled by the next trade.
  await order('Buy', '2', '100.00');
  await page.keyboard.press('Enter');
  await row('open-orders', '100.00', '2.00000', '0.50000', 'PARTIALLY_FILLED').waitFor();
  await row('open-orders', '100.00').getByRole('button', { name: /^Amend/ }).click();
  await page.locator('#amend-qty').fill('0.5');
  await shows('#amend-check', '0.5 is executed already');
  await page.locator('#amend-qty').fill('1.7');
  await page.keyboard.press('Enter');
  await row('open-orders', '100.00', '1.70000', '0.50000', 'PARTIALLY_FILLED').waitFor();
  await page.getByRole('button', { name: '+1', exact: true }).click();
  await shows('#open-orders', 'No open orders');
  await tab('History');
  await row('order-history', 'BUY', '1.70000', 'FILLED').waitFor();
  await row('order-history', 'CANCELLED').waitFor();
}

/** Rules are told while one types; what the gateway refuses is told in words. */
async function refused(page, { shows, row, order }) {
  await order('Sell', '500', '100.005');
  await shows('#ticket-check', 'multiple of 0.01');
  assert.equal(await page.locator('.send').isDisabled(), true);
  await order('Sell', '500', '100.00');
  await shows('#ticket-check', 'not enough BTC free');
  await page.locator('#type').selectOption('LIMIT_MAKER');
  await order('Buy', '0.1', '101.00');
  await page.keyboard.press('Enter');
  await shows('#ticket-answer', 'Post-only: it would have taken from the book');
  await row('order-history', 'REJECTED', 'Post-only: it would have taken').waitFor();

  // More than the book has: what it costs is not known, and asked about, however little it may be.
  await page.locator('#type').selectOption('MARKET');
  await page.locator('#qty').fill('20');
  await shows('.estimate', 'Cost, at least');
  await shows('.estimate', 'Beyond the book shown');
  await page.locator('#qty').press('Enter');
  await shows('dialog', 'It goes beyond the book that is shown');
  await page.keyboard.press('Escape');
  await page.locator('dialog').waitFor({ state: 'detached' });

  // An order that sleeps until a price, for a time; a large one is asked about.
  await page.locator('#type').selectOption('STOP_LOSS_LIMIT');
  await page.locator('#tif').selectOption('GTD');
  await order('Sell', '0.2', '90');
  await page.locator('#stop').fill('100.50');
  await shows('#ticket-check', 'must be below 100');
  await page.locator('#stop').fill('95');
  await page.locator('#confirm-from').fill('15');
  await page.locator('#price').focus();
  await page.keyboard.press('Enter');
  await shows('dialog', 'worth 15 USDT or more');
  await page.keyboard.press('Escape');
  await page.locator('dialog').waitFor({ state: 'detached' });
  assert.equal(await page.locator('#open-orders, #order-history').locator('tr', { hasText: '95.00' }).count(), 0);
  await page.locator('#price').press('Enter');
  await shows('dialog', '0.2');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Escape');
  await page.keyboard.press('1');
  await row('open-orders', 'SELL', 'Stop loss limit', '90.00', '95.00', 'GTD', 'ACCEPTED').waitFor();
}

/** What was traded, to the last digit, on the screen and in a file. */
async function positions(page, { shows, row, tab }) {
  await tab('Positions');
  // 0.5 at 100 and 1.2 at 100, a thousandth of it the fee; the last price is 100.
  await row('positions', 'BTCUSDT', '1.6983', '100.10', '100.00', '-0.17', '0.0017 BTC').waitFor();
  await tab('Fills');
  await row('fills', '100.00', '1.20000', 'MAKER').waitFor();
  const lines = (await download(page)).trim().split('\r\n');
  assert.equal(lines[0], 'Time (UTC),Side,Symbol,Price,Quantity,Worth,Fee,In,Liquidity,Trade,Order,Event');
  assert.match(lines[1], /^2023-11-14T22:13:20\.\d{9}Z,BUY,BTCUSDT,100\.0,1\.2,120,0\.0012,BTC,MAKER,/);
  assert.equal(lines.length, 3);
  await page.getByRole('button', { name: 'Quantity' }).click();
  assert.match(await page.locator('#fills tbody tr').first().textContent(), /1\.20000/);
  await page.getByRole('button', { name: 'Quantity' }).click();
  assert.match(await page.locator('#fills tbody tr').first().textContent(), /0\.50000/);
  await page.locator('#orders-filter').fill('maker');
  await page.locator('#fills tbody tr', { hasText: '0.50000' }).waitFor({ state: 'detached' });
  await page.locator('#orders-filter').fill('');

  // The event behind a row, and any other by its id.
  const event = await row('fills', '1.20000').locator('.link').last().textContent();
  await row('fills', '1.20000').locator('.link').last().click();
  await shows('.detail', `Event ${event}`);
  await shows('.detail', '"qty": 1.2');
  await page.locator('#log-jump').fill('1');
  await page.keyboard.press('Enter');
  await shows('.detail', 'Event 1');
  await page.locator('#log-jump').fill('999999');
  await page.keyboard.press('Enter');
  await shows('.log .told', /newest event is \d+/);
  await page.getByRole('button', { name: 'Back to live' }).click();
  await page.keyboard.press('Escape');

  // The kill switch, and back.
  await page.getByRole('button', { name: 'Reduce only' }).click();
  await shows('#risk-state', 'REDUCE_ONLY');
  await page.getByRole('button', { name: 'Resume' }).click();
  await shows('#risk-state', 'ACTIVE');
  await tab(/^Open/);
}

/** Killed under the page: what is old is called old, and no event is lost. */
async function survive(page, look, ids) {
  const { shows, row } = look;
  const before = await number(page, '#last-id');
  await row('open-orders', 'Stop loss limit').getByRole('button', { name: /^Amend/ }).click();
  await shows('dialog', 'Amend SELL BTCUSDT');
  console.log('kill');
  await shows('#connection', 'CONNECTION LOST');
  await shows('[role=alert]', `event ${before}`);
  await shows('.chart .stale', 'stale, as of');
  await shows('.orders .stale', 'stale, as of');
  assert.equal(await page.locator('.send').isDisabled(), true);
  await shows('#amend-check', 'The page is not live');
  assert.equal(await page.locator('dialog .solid').isDisabled(), true);
  await page.keyboard.press('Escape');
  console.log('lost');
  await row('open-orders', 'while-away', 'ACCEPTED').waitFor();
  await shows('#connection', 'Live');
  console.log('live');
  // Each open order as the gateway has it.
  const answer = await fetch(new URL('/api/orders_state?status=open', url));
  const { items } = await answer.json();
  assert.equal(items.length, 2);
  for (const { client_order_id: id, status, executed_qty: executed } of items) {
    await row('open-orders', id, status, executed.toFixed(5)).waitFor();
  }
  assert.equal(await page.locator('.stale').count(), 0);
  assert.deepEqual(await page.locator('#reconnects, #gaps, #holes').allTextContents(), ['1', '0', '0']);
  // The page's count, and what the browser itself has received: each id once, none missing.
  const { last } = await whole(page, look, ids);
  assert.ok(last > before && last === await number(page, '#last-id'));
}

/** The log of another gateway is a gap, whatever its ids: nothing of the old state stays. */
async function otherLogs(page, { shows }) {
  for (const [word, gaps, trades, gone] of [['another', '1', 'ETH', 'BTCUSDT'], ['longer', '2', 'BTC', 'ETHUSDT']]) {
    console.log(word);
    await shows('#gaps', gaps);
    await shows('#connection', 'Live');
    await shows('.notice', 'another log than before');
    // It does not trade what the page has shown.
    await shows('.notice', `${gone} is not traded here any more. The page shows ${trades}USDT.`);
    await shows('.send', trades);
    await shows('#open-orders', 'No open orders');
    await shows('#mode', 'SIMULATION');
    assert.equal(await page.locator('#fills tbody, #open-orders tbody').locator('tr:not(.empty)').count(), 0);
  }
}

/** What an order says is text, whatever it says; numbers of any length are shown whole. */
async function hostile(page, { shows }) {
  await page.route('**/api/orders?*', (route) => route.fulfill({ contentType: 'application/json', body: hostileHistory() }));
  await page.reload();
  await page.getByRole('tab', { name: 'History' }).click();
  await shows('#order-history', '0.000012340000000000001');
  await shows('#order-history', '123,456,789,012,345,678.5');
  const cells = await page.locator('#order-history tbody tr').last().locator('td').allTextContents();
  assert.equal(cells.filter((cell) => cell === EVIL).length, 4, `${cells}`);
  assert.equal(await page.locator('#order-history img, #order-history script').count(), 0);
  assert.match(await page.title(), /VeloZ/);
}

await story(url, async (page, look) => {
  const ids = await watchIds(page);
  await trade(page, look);
  await refused(page, look);
  await positions(page, look);
  await survive(page, look, ids);
  await otherLogs(page, look);
  await hostile(page, look);
});
