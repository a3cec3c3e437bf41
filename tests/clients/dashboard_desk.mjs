// A trader who never touches the mouse, and what a desk needs beside orders: pairs, limits, balances, the kill
// switch, and a banner for each kind of money. axe finds nothing in any of it.
//   node dashboard_desk.mjs URL ENGINE
// ENGINE is a gateway with an external engine; says "end the engine" when that is to be killed.
import assert from 'node:assert/strict';
import { accessible, download, story } from './dashboard_page.mjs';

const [url, engine] = process.argv.slice(2);
const ask = async (path) => (await fetch(new URL(path, url))).json();
const openOrders = async () => (await ask('/api/orders_state?status=open')).items;
const active = (page) => page.evaluate(() => document.activeElement?.id || document.activeElement?.getAttribute('aria-label') || document.activeElement?.tagName);

/** Goes on with the Tab key until the focus is where it shall be. */
async function tabTo(page, wanted) {
  const seen = [];
  for (let i = 0; i < 120; i += 1) {
    await page.keyboard.press('Tab');
    seen.push(await active(page));
    if (wanted.test(seen.at(-1))) return;
  }
  assert.fail(`${wanted} is not reached: ${seen}`);
}

async function byKeyboard(page, { shows, row }) {
  const { keyboard } = page;
  await page.goto(url);
  await shows('#connection', 'Live');
  await shows('#last-price', /^[\d,.]+$/);
  await keyboard.press('b');
  await keyboard.type('0.01');
  await keyboard.press('Escape');
  await keyboard.press('l');
  await keyboard.type('1000');
  await keyboard.press('ArrowUp');
  await keyboard.press('Enter');
  await row('open-orders', 'BUY', '1,000.01', 'ACCEPTED').waitFor();
  await keyboard.press('Escape');
  await tabTo(page, /^Cancel web-/);
  await keyboard.press('Enter');
  await shows('#open-orders', 'No open orders');
  await page.waitForFunction(() => document.activeElement !== document.body, null, { timeout: 10_000 });

  // A large one is asked about. The focus comes back to where it was, whatever the answer.
  await keyboard.press('b');
  await keyboard.press('Control+A');
  await keyboard.type('0.5');
  await keyboard.press('Escape');
  await keyboard.press('l');
  await keyboard.press('Control+A');
  await keyboard.type('40000');
  await keyboard.press('Enter');
  await shows('dialog', 'worth 10,000 USDT or more');
  await accessible(page, 'the question before a large order');
  await keyboard.press('Escape');
  await page.locator('dialog').waitFor({ state: 'detached' });
  assert.equal(await active(page), 'price');
  assert.deepEqual(await openOrders(), []);
  await keyboard.press('Enter');
  await shows('dialog', '40,000');
  await keyboard.press('Enter');
  await row('open-orders', '40,000.00', '0.50000', 'ACCEPTED').waitFor();
  assert.equal(await active(page), 'price');
  await accessible(page, 'an order that was taken');

  await keyboard.press('Escape');
  await tabTo(page, /^Amend web-/);
  const button = await active(page);
  await keyboard.press('Enter');
  await shows('dialog', 'Amend BUY BTCUSDT');
  assert.equal(await active(page), 'amend-qty');
  await keyboard.press('Control+A');
  await keyboard.type('0.4');
  // As a new one of that size is; back to the field as it was, and on.
  await keyboard.press('Enter');
  await shows('dialog', 'worth 10,000 USDT or more');
  await accessible(page, 'the question before a large amendment');
  await keyboard.press('Escape');
  await shows('dialog', 'Amend BUY BTCUSDT');
  assert.equal(await page.locator('#amend-qty').inputValue(), '0.4');
  assert.equal((await openOrders())[0].order_qty, 0.5);
  await keyboard.press('Enter');
  await shows('dialog', 'worth 10,000 USDT or more');
  await keyboard.press('Enter');
  await row('open-orders', '40,000.00', '0.40000').waitFor();
  await page.locator('dialog').waitFor({ state: 'detached' });
  assert.equal(await active(page), button);
  await keyboard.press('Shift+C');
  await shows('dialog', 'Every open order');
  await keyboard.press('Enter');
  await shows('#open-orders', 'No open orders');
}

/** The second click of a double click, and Enter that is held, do nothing more, however fast the first was done. */
async function onePress(page, { shows, row, order }) {
  const { keyboard, mouse } = page;
  const click = async (clickCount) => { await mouse.down({ clickCount }); await mouse.up({ clickCount }); };
  const at = (price) => row('open-orders', price);
  await order('Buy', '0.01', '1000');
  await page.locator('.send').hover();
  await click(1);
  await at('1,000.00').waitFor();
  await page.locator('.send:enabled').waitFor();
  await click(2);
  await page.locator('#price').fill('1001');
  await keyboard.down('Enter');
  await at('1,001.00').waitFor();
  await page.locator('.send:enabled').waitFor();
  for (let i = 0; i < 3; i += 1) await keyboard.down('Enter');
  await keyboard.up('Enter');
  await page.locator('#price').fill('1002');
  await page.locator('.send').click();
  await at('1,002.00').waitFor();
  const prices = async () => (await openOrders()).map(({ limit_price: price }) => price).sort();
  assert.deepEqual(await prices(), [1000, 1001, 1002]);

  // The next row moves under the pointer, where what is told of a cancel has its place already.
  const cancel = (price) => at(price).getByRole('button', { name: /^Cancel/ });
  await cancel('1,002.00').click();
  await shows('.orders .told', 'is cancelled');
  await cancel('1,001.00').hover();
  await click(1);
  await at('1,001.00').waitFor({ state: 'detached' });
  await click(2);
  await page.locator('#price').fill('999');
  await page.locator('.send').click();
  await at('999.00').waitFor();
  assert.deepEqual(await prices(), [1000, 999]);
  for (const price of ['999.00', '1,000.00']) await cancel(price).click();
  await shows('#open-orders', 'No open orders');
}

/** An amount in one asset is not taken for one in the other. */
async function otherUnit(page, { shows }) {
  const type = page.locator('#type');
  await type.selectOption('MARKET');
  await page.getByRole('button', { name: 'Enter the amount in USDT' }).click();
  await page.locator('#qty').fill('500');
  await shows('.estimate', '500.00 USDT');
  await type.selectOption('LIMIT');
  await shows('#ticket-check', 'Enter a quantity.');
  assert.equal(await page.locator('#qty').inputValue(), '');
  await type.selectOption('MARKET');
  await page.getByRole('button', { name: 'Enter the amount in BTC' }).click();
  await type.selectOption('LIMIT');
}

/** Both are placed with one press and locked once; a cancel of one cancels both. */
async function pair(page, { shows, row, order, tab }) {
  await page.locator('#type').selectOption('OCO');
  await order('Sell', '0.05', '60000');
  await page.locator('#stop').fill('40000');
  await page.locator('#stopLimit').fill('39900.001');
  await shows('#ticket-check', 'The limit of the stop must be a multiple of 0.01');
  await page.locator('#stopLimit').fill('39900');
  await accessible(page, 'the ticket of a pair');
  await page.keyboard.press('Enter');
  await shows('#ticket-answer', 'both are ACCEPTED');
  await row('open-orders', 'SELL', 'Post only, OCO', '60,000.00', '0.05000').waitFor();
  await row('open-orders', 'SELL', 'Stop loss limit, OCO', '39,900.00', '40,000.00', '0.05000').waitFor();
  await shows('#balances', '0.05000000');
  const types = (await openOrders()).map(({ order_type: type, limit_price: price, stop_price: stop }) => [type, price, stop]);
  assert.deepEqual(types, [['LIMIT_MAKER', 60000, undefined], ['STOP_LOSS_LIMIT', 39900, 40000]]);
  await row('open-orders', '60,000.00').getByRole('button', { name: /^Cancel/ }).click();
  await shows('#open-orders', 'No open orders');
  await tab('History');
  await row('order-history', '60,000.00', 'CANCELLED').waitFor();
  await row('order-history', '39,900.00', 'CANCELLED').waitFor();
  await page.locator('#type').selectOption('LIMIT');
}

async function limits(page, { shows, order }) {
  const { keyboard } = page;
  const body = page.locator('body');
  await body.press('Escape');
  await body.press('Shift+L');
  await shows('dialog', 'Limits');
  await accessible(page, 'the limits');
  await keyboard.type('x');
  await shows('#limits-check', 'Worth of an order is not a number');
  await keyboard.press('Control+A');
  await keyboard.type('500');
  await page.locator('#limit-price_collar').fill('10');
  await page.locator('#limit-max_position').fill('BTC=2 ETH=20');
  await page.locator('#limit-max_daily_loss').fill('USDT=5000');
  await page.locator('#limit-max_open_orders').fill('3');
  await keyboard.press('Enter');
  await shows('dialog', 'Set these limits?');
  await shows('dialog', '2 BTC, 20 ETH');
  await accessible(page, 'the question before limits');
  // Back to the fields as they were, and on.
  await keyboard.press('Escape');
  await shows('dialog', 'how many at once');
  assert.equal(await page.locator('#limit-max_open_orders').inputValue(), '3');
  assert.equal((await ask('/api/risk')).max_open_orders, null, 'nothing is set before the yes');
  await page.locator('#limit-max_open_orders').press('Enter');
  await shows('dialog', 'Set these limits?');
  await keyboard.press('Enter');
  await shows('#limits', '0 of 3');
  const { max_order_notional: worth, price_collar: collar, max_position: position, max_daily_loss: loss } = await ask('/api/risk');
  assert.deepEqual({ worth, collar, position, loss }, { worth: 500, collar: 0.1, position: { BTC: 2, ETH: 20 }, loss: { USDT: 5000 } });
  await shows('#limits', 'Position, BTC');
  await shows('#limits', '1 of 2');
  await order('Buy', '0.02', '48000');
  await keyboard.press('Enter');
  await shows('#ticket-answer', 'worth more than the limit that is set for one order');
  await order('Buy', '0.01', '48000');
  await keyboard.press('Enter');
  await shows('#limits', '1 of 3');
  await shows('#limits', '1.01 of 2');
  await accessible(page, 'limits in use');
  // Another client lifts one, and lets the kill switch go: seen here soon.
  await fetch(new URL('/api/risk', url), { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"max_position":null,"max_open_orders":null}' });
  await page.waitForFunction(() => !document.querySelector('#limits').textContent.includes('Position'));
}

async function killSwitch(page, { shows, order }) {
  await page.locator('#stop-trading').focus();
  await page.keyboard.press('Enter');
  await shows('dialog', 'every open order is cancelled');
  await accessible(page, 'the question before trading stops');
  await page.keyboard.press('Escape');
  assert.equal(await active(page), 'stop-trading');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Enter');
  await shows('#stopped', 'HALTED');
  await shows('#risk-state', 'HALTED');
  await shows('#limits', '5,000');
  assert.deepEqual(await openOrders(), []);
  await order('Buy', '0.01', '1000');
  await page.keyboard.press('Enter');
  await shows('#ticket-answer', 'stopped by the kill switch');
  await accessible(page, 'halted, and a refusal');
  await page.getByRole('button', { name: 'Reduce only' }).click();
  await shows('#stopped', 'REDUCE ONLY');
  await accessible(page, 'reduce only');
  await page.getByRole('button', { name: 'Resume' }).click();
  await page.locator('#stopped').waitFor({ state: 'detached' });
}

/** No answer to a post comes: the gateway does not have it, or has it and the connection breaks when `done` is settled. */
const lost = (page, path, done) => page.route(path, async (route) => {
  if (route.request().method() !== 'POST') return route.continue();
  if (done) await route.fetch();
  await done;
  return route.abort();
});

/** After an answer that did not come nothing is said to have happened, or not to; what can be asked is asked. */
async function unanswered(page, { shows, row, order, tab }) {
  const button = (name) => page.getByRole('button', { name }).click();
  await tab(/^Open/);
  await order('Buy', '0.01', '1000');
  await page.keyboard.press('Enter');
  await row('open-orders', '1,000.00', 'ACCEPTED').waitFor();
  for (const [path, act, what] of [
    ['**/api/cancel', () => row('open-orders', '1,000.00').getByRole('button', { name: /^Cancel/ }).click(), /whether web-.* was/],
    ['**/api/cancel_all', async () => { await page.locator('body').press('Shift+C'); await page.keyboard.press('Enter'); }, 'which orders were'],
  ]) {
    await lost(page, path, false);
    await act();
    await shows('.orders .told', what);
    await shows('.orders .told', /^Not known .* cancelled: the connection to the gateway failed/);
    await page.unroute(path);
  }

  await lost(page, '**/api/risk', false);
  await button('Reduce only');
  await shows('#switch-failed', 'When the gateway was asked after that, it had not happened');
  await accessible(page, 'a switch that did not move');
  await shows('#risk-state', 'ACTIVE');
  const set = async () => {
    await page.locator('body').press('Shift+L');
    await page.locator('#limit-max_open_orders').fill('7');
    await page.keyboard.press('Enter');
    await shows('dialog', 'Set this limit?');
    await page.keyboard.press('Enter');
  };
  await set();
  await shows('#limits-check', 'Not known whether the limits were set');
  await page.keyboard.press('Escape');
  await page.route('**/api/risk/use', (route) => route.abort());
  await set();
  await shows('#limits-check', 'The gateway does not tell what holds');
  await page.keyboard.press('Escape');
  await page.unroute('**/api/risk/use');
  await page.unroute('**/api/risk');

  await lost(page, '**/api/risk', true);
  await set();
  await page.locator('dialog').waitFor({ state: 'detached' });
  await shows('#limits', '1 of 7');
  await button('Reduce only');
  await shows('#risk-state', 'REDUCE_ONLY');
  await page.locator('#switch-failed').waitFor({ state: 'detached' });
  await page.unroute('**/api/risk');
  let seen;
  await lost(page, '**/api/risk', new Promise((settle) => { seen = settle; }));
  await button('Stop and cancel all');
  await shows('#stop-trading', 'Stopping…');
  seen();
  await shows('#switch-failed', 'HALTED holds; not known whether every open order was cancelled');
  await shows('#open-orders', 'No open orders');
  await page.unroute('**/api/risk');
  await button('Resume');
  await shows('#risk-state', 'ACTIVE');
  await page.locator('#switch-failed').waitFor({ state: 'detached' });
}

/** Sorted by number, filtered, and saved with every digit. */
async function balances(page, { shows, row, tab }) {
  await tab('Balances');
  await row('whole-account', 'USDT', '100,000.00000000').waitFor();
  await accessible(page, 'balances');
  const assets = () => page.locator('#whole-account tbody tr:not(.space) td:first-child').allTextContents();
  assert.deepEqual(await assets(), ['BTC', 'ETH', 'USDT']);
  await page.locator('#whole-account').getByRole('button', { name: 'Total' }).click();
  assert.deepEqual(await assets(), ['USDT', 'ETH', 'BTC']);
  await page.locator('#whole-account').getByRole('button', { name: 'Total' }).click();
  assert.deepEqual(await assets(), ['BTC', 'ETH', 'USDT']);
  const lines = (await download(page)).trim().split('\r\n');
  assert.equal(lines[0], 'Asset,Free,Locked,Total,"Worth, at the last price",In');
  assert.match(lines[1], /^BTC,1\.0,0\.0,1,\d+(\.\d+)?,USDT$/);
  assert.equal(lines[3], 'USDT,100000.0,0.0,100000,100000,USDT');
  await page.locator('#orders-filter').fill('eth');
  assert.deepEqual(await assets(), ['ETH']);
  await page.locator('#orders-filter').fill('');
  await page.locator('#balances').getByRole('button', { name: 'Free' }).click();
  assert.match(await page.locator('#balances tbody tr').first().textContent(), /^USDT/);
  await shows('#balances', '100,000.00000000');
}

/** What was sent into a gateway that does not answer: told so, sent again under its own id, placed once. */
async function unsure(page, { shows, row, order, tab }) {
  await tab(/^Open/);
  await page.route('**/api/order', (route) => route.abort());
  await order('Buy', '0.01', '2000');
  await page.keyboard.press('Enter');
  await shows('#ticket-answer', 'not known whether it was placed');
  await accessible(page, 'an order whose outcome is not known');
  await page.unroute('**/api/order');
  // That it is too busy to be asked again says nothing of the first time.
  await page.route('**/api/order', (route) => route.fulfill({ status: 503, json: { error: 'overloaded', message: 'busy' } }));
  await page.getByRole('button', { name: 'Send the same order again' }).click();
  await shows('#ticket-answer', 'not known whether it was placed: busy');
  assert.equal(await page.locator('.send').isDisabled(), true);
  await page.unroute('**/api/order');
  await page.reload();
  await shows('#ticket-answer', 'BUY 0.01 BTCUSDT at 2000: not known whether it was placed');
  await page.getByRole('button', { name: 'Send the same order again' }).click();
  await row('open-orders', '2,000.00', 'ACCEPTED').waitFor();
  assert.equal((await openOrders()).length, 1);
}

/** What was before the page came is asked for until it is told; nobody is told meanwhile that there was nothing. */
async function missing(page, { shows, tab }) {
  await page.route('**/api/orders?*', (route) => route.fulfill({ status: 503, json: { error: 'overloaded', message: 'busy' } }));
  await page.reload();
  await shows('#connection', 'Live');
  for (const panel of ['.orders', '.log']) await shows(`${panel} .stale`, 'earlier ones are missing');
  await tab('History');
  await shows('#order-history', 'The log is being read');
  await tab('Positions');
  await shows('#positions', 'Not done yet: busy');
  await accessible(page, 'a past that is missing');
  await page.unroute('**/api/orders?*');
  await shows('#positions', 'No position: nothing has been filled yet');
  await tab('History');
  await shows('#order-history', 'CANCELLED');
  await page.locator('.orders .stale, .log .stale').first().waitFor({ state: 'detached' });
}

/** Only the page's request for its settings, or for health, is answered here: no such venue can be reached. */
async function banners(page, { shows }) {
  const config = await ask('/api/config');
  const colour = () => page.locator('.banner').evaluate((banner) => getComputedStyle(banner).background);
  const colours = new Set([await colour()]);
  await shows('#mode', 'SIMULATION');
  for (const [change, name, money] of [
    [{ market_source: 'replay', market_source_state: 'running' }, 'REPLAY', 'no real money'],
    [{ execution_mode: 'binance_testnet_spot', market_source: 'binance' }, 'TESTNET', 'no real money'],
    [{ execution_mode: 'binance_spot', market_source: 'binance' }, 'LIVE', 'REAL MONEY'],
    [{ execution_mode: 'nobody_knows' }, 'LIVE', 'REAL MONEY'],
  ]) {
    await page.route('**/api/config', (route) => route.fulfill({ json: { ...config, ...change } }));
    await page.reload();
    await shows('#mode', name);
    await shows('.ticket h2', money);
    assert.match(await page.title(), new RegExp(`^(LOST · )?${name} · VeloZ$`));
    await accessible(page, name);
    colours.add(await colour());
    await page.unroute('**/api/config');
  }
  assert.equal(colours.size, 4, 'each kind of money has a look of its own');
  for (const [status, answer, told] of [
    [503, { ok: false, error: 'journal_failed', problems: [{ code: 'journal_failed', message: 'the disk is gone' }] }, 'the log cannot be written: the disk is gone'],
    [200, { ok: true, warnings: [{ code: 'storage_low', message: '9 MiB are free' }] }, 'Warning: the disk is getting full: 9 MiB are free'],
  ]) {
    await page.route('**/health', (route) => route.fulfill({ status, json: answer }));
    await page.reload();
    await shows('[role=alert]', told);
    await accessible(page, told);
    await page.unroute('**/health');
  }
  await page.route('**/api/instruments', (route) => route.abort());
  await page.reload();
  await shows('.waiting', 'make run');
  await accessible(page, 'a gateway that is not there');
  await page.unroute('**/api/instruments');
  await shows('#connection', 'Live');
}

/** An engine of somebody's own may trade with real money, and says so when it ends. */
async function externalEngine(page, { shows, row, order }) {
  await page.goto(engine);
  await shows('#connection', 'Live');
  await shows('#mode', 'LIVE');
  await shows('.mode', 'it may be REAL MONEY');
  await shows('.ticket h2', 'MAY BE REAL MONEY');
  await shows('.health', 'external engine, works');
  await shows('#last-price', /^[\d,.]+$/);
  await order('Buy', '0.01', '1000');
  await page.keyboard.press('Enter');
  await row('open-orders', '1,000.00', 'ACCEPTED').waitFor();
  await accessible(page, 'an external engine');
  console.log('end the engine');
  await shows('#log', 'engine_exited');
  await shows('#log', 'engine_started');
  await shows('.health', 'external engine, works');
  await row('open-orders', '1,000.00').waitFor();
}

await story([url, engine], async (page, look) => {
  for (const part of [byKeyboard, onePress, otherUnit, pair, limits, killSwitch, unanswered, balances, unsure, missing, banners, externalEngine]) await part(page, look);
});
