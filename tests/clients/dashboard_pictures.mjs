// Pictures of every state of the dashboard: dark and light, from a phone to a wide screen. People look at them.
// Without VELOZ_PICTURES=all each state is taken once, in one colour and at one size after the other.
//   node dashboard_pictures.mjs URL STRANGE ENDED DIRECTORY
// URL is a proxy before an ordinary gateway, STRANGE a gateway with tiny prices, long balances and many symbols,
// ENDED a replay that has been played. Says "hold" when nothing may pass any more, "release" when it may, and
// "another" when another gateway is to take the place of the first.
// `usual-dark-1280.png` is the one in the README (docs/dashboard.png).
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { accessible, EVIL, hostileHistory, story } from './dashboard_page.mjs';

const [url, strange, ended, directory] = process.argv.slice(2);
const SIZES = [[390, 844], [1280, 930], [2560, 1440]];
const README = join(directory, 'usual-dark-1280.png');
const MOST_README_BYTES = 300_000;

const post = async (path, body, to = url) => (await fetch(new URL(path, to), { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })).json();

async function trade() {
  const { price } = await (await fetch(new URL('/api/market?symbol=BTCUSDT', url))).json();
  const at = (share) => (price * share).toFixed(2);
  const orders = [
    { side: 'BUY', qty: '0.25', type: 'MARKET' }, { side: 'SELL', qty: '0.1', type: 'MARKET' }, { side: 'BUY', symbol: 'ETHUSDT', qty: '2', type: 'MARKET' },
    { side: 'BUY', qty: '0.4', price: at(0.99985) }, { side: 'BUY', qty: '0.15', price: at(0.9998) }, { side: 'SELL', qty: '0.2', price: at(1.0001) },
    { side: 'SELL', qty: '0.05', type: 'STOP_LOSS', stop_price: at(0.9) },
    { side: 'BUY', qty: '0.1', price: at(1.1), type: 'LIMIT_MAKER' }, { side: 'BUY', qty: '0.1', price: at(0.9), time_in_force: 'IOC' },
  ];
  for (const order of orders) await post('/api/order', { symbol: 'BTCUSDT', ...order });
  await post('/api/oco', { side: 'SELL', symbol: 'BTCUSDT', qty: '0.1', price: at(1.1), stop_price: at(0.9), stop_limit_price: at(0.89) });
}

/** Two frames are enough for every panel to take its new size and colours. */
const settled = (page) => page.evaluate(() => new Promise((done) => { requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(done))); }));

/** A phone shows this part of the page; what a dialog hides can be chosen too. */
const view = (page, name) => page.evaluate((wanted) => [...document.querySelectorAll('nav button')].find((button) => button.textContent === wanted)?.click(), name);

let [session, shot] = [undefined, 0];
/** Quicker than Playwright's own, which waits for more than is drawn here. */
async function picture(page, path) {
  session ??= await page.context().newCDPSession(page);
  const { data } = await session.send('Page.captureScreenshot', { optimizeForSpeed: path !== README });
  writeFileSync(path, Buffer.from(data, 'base64'));
}

async function shoot(page, name, part = 'Market') {
  await view(page, part);
  shot += 1;
  const all = process.env.VELOZ_PICTURES === 'all' || name === 'usual';
  for (const [i, [width, height]] of SIZES.entries()) {
    if (!all && i !== shot % SIZES.length) continue;
    await page.setViewportSize({ width, height });
    for (const [j, colorScheme] of ['dark', 'light'].entries()) {
      if (!all && j !== shot % 2) continue;
      await page.emulateMedia({ colorScheme });
      await settled(page);
      await picture(page, join(directory, `${name}-${colorScheme}-${width}.png`));
    }
  }
  await page.setViewportSize({ width: 1280, height: 930 });
  await page.emulateMedia({ colorScheme: 'dark' });
}

/** axe finds nothing in a state that no other test brings about. */
async function readable(page, state) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await settled(page);
    await accessible(page, `${state}, ${colorScheme}`);
  }
}

async function beginnings(page, { shows }) {
  await page.route('**/api/instruments', (route) => route.abort());
  await page.goto(url);
  await shows('.waiting', 'Waiting for the gateway');
  for (const [width, height] of SIZES) {
    await page.setViewportSize({ width, height });
    await page.locator('.waiting').waitFor({ state: 'visible' });
  }
  await shoot(page, 'waiting');
  await page.unroute('**/api/instruments');
  await page.route('**/api/stream*', () => {});
  await page.reload();
  await shows('#connection', 'Taking the state');
  await shoot(page, 'connecting');
  await readable(page, 'connecting');
  await page.unroute('**/api/stream*');
  await page.reload();
  await shows('#connection', 'Live');
  await page.locator('#trades tbody tr').nth(4).waitFor();
  await shoot(page, 'empty', 'Orders');
}

async function desk(page, { shows, row, tab, order }) {
  await trade();
  await row('open-orders', 'Stop loss').waitFor();
  await shows('.earned', 'USDT');
  await page.locator('#qty').fill('0.05');
  await page.locator('#bids button').nth(2).click();
  await shoot(page, 'desk');
  await shoot(page, 'ticket', 'Trade');
  await order('Buy', '1000', '50000');
  await page.locator('#type').selectOption('OCO');
  await shoot(page, 'ticket-oco-wrong', 'Trade');
  await page.locator('#type').selectOption('LIMIT_MAKER');
  await order('Buy', '0.01', '60000');
  await page.locator('#price').press('Enter');
  await shows('dialog', '% through the market');
  await shoot(page, 'confirm', 'Trade');
  await page.keyboard.press('Enter');
  await shows('#ticket-answer', 'Refused');
  await shoot(page, 'refusal', 'Trade');
  await page.locator('#type').selectOption('LIMIT');
  await row('open-orders', 'BUY').getByRole('button', { name: /^Amend/ }).click();
  await page.locator('#amend-qty').fill('0');
  await shoot(page, 'amend', 'Orders');
  await page.keyboard.press('Escape');
  for (const [name, file] of [[/^Open/, 'open'], ['Positions', 'positions'], ['History', 'history'], ['Fills', 'fills'], ['Balances', 'balances']]) {
    await tab(name);
    await shoot(page, file, 'Orders');
  }
  await tab(/^Open/);
  await page.locator('#log-pause').click();
  await page.locator('#log button.raw').nth(1).click();
  await shoot(page, 'events-paused-raw', 'Events');
  await page.locator('#log-pause').click();
  await page.getByRole('button', { name: 'Close the event' }).click();
  await page.keyboard.press('Escape');
  await page.locator('body').press('?');
  await shoot(page, 'keys');
  await page.keyboard.press('Escape');
}

async function risk(page, { shows }) {
  const body = page.locator('body');
  await body.press('Shift+C');
  await shoot(page, 'cancel-all', 'Orders');
  await page.keyboard.press('Escape');
  await body.press('Shift+K');
  await shoot(page, 'stop', 'Market');
  await page.keyboard.press('Escape');
  await post('/api/risk', { max_open_orders: 7, max_symbol_notional: '60000', max_order_notional: '20000', max_position: { BTC: '1.5', ETH: '11' }, max_daily_loss: { USDT: '2000' }, price_collar: '0.2', max_orders_per_second: 50 });
  await shows('#limits', 'of 7');
  await shoot(page, 'limits', 'Account');
  await body.press('Shift+L');
  await page.locator('#limit-max_open_orders').fill('20');
  await page.locator('#limit-max_position').fill('BTC=2 DOGE=1');
  await shoot(page, 'limits-form', 'Account');
  await page.locator('#limit-max_position').fill('BTC=2');
  await page.keyboard.press('Enter');
  await shows('dialog', 'Set these limits?');
  await shoot(page, 'limits-question', 'Account');
  await page.keyboard.press('Enter');
  await shows('#limits', 'of 20');
  await page.getByRole('button', { name: 'Reduce only' }).click();
  await shows('#risk-state', 'REDUCE_ONLY');
  await shoot(page, 'reduce-only', 'Account');
  await page.getByRole('button', { name: 'Stop and cancel all' }).click();
  await shows('#risk-state', 'HALTED');
  await shoot(page, 'halted', 'Account');
  await page.getByRole('button', { name: 'Resume' }).click();
  await shows('#risk-state', 'ACTIVE');
}

/** Trouble that the gateway would tell of, in its own words; only the page's request for it is answered here. */
async function trouble(page, { shows }) {
  const answer = async (path, status, body) => {
    await page.route(path, (route) => route.fulfill({ status, contentType: 'application/json', body: JSON.stringify(body) }));
    await page.reload();
    await shows('#connection', 'Live');
  };
  await answer('**/health', 503, { ok: false, error: 'engine_exited', message: 'the engine ended with exit status 1; it is started again in 2 s', problems: [{ code: 'engine_exited', message: 'the engine ended with exit status 1; it is started again in 2 s' }] });
  await shows('[role=alert]', 'the external engine has ended');
  await shoot(page, 'engine-down', 'Account');
  await page.unroute('**/health');
  await answer('**/health', 200, { ok: true, warnings: [{ code: 'storage_low', message: '211 MiB are free where the journal is, less than 256 MiB' }] });
  await shows('[role=alert]', 'the disk is getting full');
  await shoot(page, 'disk-warning', 'Account');
  await page.unroute('**/health');
  const config = await (await fetch(new URL('/api/config', url))).json();
  for (const [mode, name] of [['binance_testnet_spot', 'TESTNET'], ['binance_spot', 'LIVE'], ['external_engine', 'LIVE']]) {
    await answer('**/api/config', 200, { ...config, market_source: 'binance', execution_mode: mode });
    await shows('#mode', name);
    await shoot(page, `mode-${mode}`, 'Trade');
    await page.unroute('**/api/config');
  }
}

/** As the README shows it, with a market that has gone on for a while. */
async function usual(page, { shows, row }) {
  await post('/api/risk', { max_open_orders: 20, max_symbol_notional: '100000', max_order_notional: null, max_position: null, max_daily_loss: { USDT: '2000' }, price_collar: null, max_orders_per_second: null });
  await page.reload();
  await shows('#connection', 'Live');
  await trade();
  await row('open-orders', 'Stop loss').waitFor();
  await page.getByRole('button', { name: '1s', exact: true }).click();
  await page.locator('#qty').fill('0.05');
  await page.locator('#bids button').nth(2).click();
  await shows('#limits', '6 of 20');
  await shoot(page, 'usual');
  assert.ok(statSync(README).size < MOST_README_BYTES, 'the picture of the README is too large');
}

async function losses(page, { shows }) {
  await page.reload();
  await shows('#connection', 'Live');
  console.log('hold');
  await shows('#connection', 'CONNECTION LOST');
  await shoot(page, 'disconnected', 'Market');
  await shoot(page, 'disconnected-orders', 'Orders');
  console.log('release');
  await shows('#connection', 'Live');
  console.log('another');
  await shows('.notice', 'another log than before');
  await shows('#connection', 'Live');
  await shoot(page, 'another-log');
  await readable(page, 'another log');
}

async function strangers(page, { shows, row, tab, order }) {
  await page.goto(`${strange}#PEPEUSDT`);
  await shows('#connection', 'Live');
  await shows('#balances', '12,345,678,901.23456780');
  for (const [side, qty, price] of [['BUY', '123456789', '0.00000987'], ['SELL', '1234567890', '0.00001234']]) await post('/api/order', { side, symbol: 'PEPEUSDT', qty, price }, strange);
  await post('/api/order', { side: 'BUY', symbol: 'PEPEUSDT', qty: '1000000', type: 'MARKET' }, strange);
  await row('open-orders', '0.00001234').waitFor();
  await order('Buy', '100000000', '0.00001234');
  await shoot(page, 'tiny-prices', 'Trade');
  await tab('Balances');
  await shows('#whole-account', 'LONGNAME1');
  await shoot(page, 'long-balances', 'Orders');
  await page.route('**/api/orders?*', (route) => route.fulfill({ contentType: 'application/json', body: hostileHistory() }));
  await page.reload();
  await tab('History');
  await shows('#order-history', EVIL);
  await shoot(page, 'hostile', 'Orders');
  await page.unroute('**/api/orders?*');
  await page.goto(ended);
  await shows('#mode', 'REPLAY');
  await shows('.replay', 'finished');
  await shoot(page, 'replay-ended', 'Account');
}

rmSync(directory, { recursive: true, force: true });
mkdirSync(directory, { recursive: true });
await story([url, strange, ended], async (page, look) => {
  for (const part of [beginnings, desk, risk, trouble, usual, losses, strangers]) await part(page, look);
}, { width: 1280, height: 930 }, { colorScheme: 'dark' });
