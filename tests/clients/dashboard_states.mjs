// The dashboard for everyone: axe finds nothing in any state of it, keys do what the help says, and a gateway
// that stands still, or a page that is hidden, shows nothing false.
//   node dashboard_states.mjs URL
// Says "stop" when the gateway may be stopped (SIGSTOP), and "go on" when it may be continued.
import assert from 'node:assert/strict';
import { accessible, story } from './dashboard_page.mjs';

const url = process.argv[2];

/** Another client's order, which stays open. */
async function place(id) {
  const order = { side: 'BUY', symbol: 'ETHUSDT', qty: '0.1', price: '100', client_order_id: id };
  const placed = await fetch(new URL('/api/order', url), { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(order) });
  assert.equal(placed.status, 200);
}

async function everyState(page, { shows, row, order }) {
  await page.goto(url);
  await shows('#connection', 'Live');
  await order('Buy', '0.01', '1000');
  await page.keyboard.press('Enter');
  await row('open-orders', 'BUY').waitFor();
  for (const theme of ['dark', 'light']) {
    while (await page.locator('html').getAttribute('data-theme') !== theme) await page.getByRole('button', { name: /^Colours/ }).click();
    for (const tab of ['1', '2', '3', '4', '5']) {
      await page.locator('body').press(tab);
      await accessible(page, `${theme}, tab ${tab}`);
    }
    await page.locator('#log button.raw').first().click();
    await accessible(page, `${theme}, an event`);
  }
  await page.setViewportSize({ width: 390, height: 844 });
  for (const view of ['Market', 'Trade', 'Orders', 'Account', 'Events']) {
    await page.getByRole('button', { name: view, exact: true }).click();
    await accessible(page, `a phone, ${view}`);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= 390, `${view} is ${wide} pixels wide on a phone`);
  }
  await page.setViewportSize({ width: 1280, height: 900 });
}

async function keys(page, { shows, row }) {
  const body = page.locator('body');
  await body.press('?');
  await shows('dialog', 'Stop trading and cancel all');
  await accessible(page, 'the keys');
  await page.keyboard.press('Escape');
  await page.locator('dialog').waitFor({ state: 'detached' });
  const at = () => page.evaluate(() => document.activeElement?.id);
  await body.press('s');
  assert.equal(await at(), 'qty');
  await page.keyboard.press('Escape');
  await body.press('/');
  assert.equal(await at(), 'log-search');
  await page.keyboard.press('Escape');
  // The book is walked as far as it is seen: what is shown stays the best of it.
  await page.locator('#bids button').nth(19).waitFor();
  await body.press('d');
  for (let i = 0; i < 25; i += 1) await page.keyboard.press('ArrowDown');
  assert.deepEqual(await page.locator('.levels').evaluateAll((lists) => lists.map((list) => list.scrollLeft)), [0, 0]);
  await page.keyboard.press('Escape');
  await body.press(']');
  await shows('#last-price', /^[\d,.]+$/);
  assert.equal(await page.locator('#symbol').inputValue(), 'ETHUSDT');
  await body.press('1');
  await row('open-orders', 'BUY').getByRole('button', { name: /^Amend/ }).click();
  await accessible(page, 'the amendment');
  await page.keyboard.press('Escape');
  await body.press('Shift+C');
  await shows('dialog', 'Every open order');
  await accessible(page, 'a question');
  await shows('dialog', 'Cancel 1');
  await place('One-more');
  await shows('dialog', 'Cancel 2');
  await page.keyboard.press('Enter');
  await shows('#open-orders', 'No open orders');
  // The ticket can be reached and sent with the Tab key and Enter alone.
  await page.locator('#symbol').focus();
  const seen = new Set();
  for (let i = 0; i < 40 && !seen.has('confirm-from'); i += 1) {
    await page.keyboard.press('Tab');
    seen.add(await at());
  }
  for (const id of ['type', 'tif', 'qty', 'price', 'confirm-from']) assert.ok(seen.has(id), `${id} is not reached: ${[...seen]}`);
}

/** Paused, the log stands; nothing is lost meanwhile. */
async function pause(page, { shows }) {
  await page.getByRole('button', { name: 'market', exact: true }).click();
  await page.locator('body').press('p');
  const first = () => page.locator('#log tbody tr:not(.space)').first().getAttribute('data-id');
  const [stood, id] = [await first(), Number(await page.locator('#last-id').textContent())];
  await page.waitForFunction((than) => Number(document.querySelector('#last-id').textContent) > than, id + 5);
  assert.equal(await first(), stood);
  await page.locator('body').press('p');
  await page.waitForFunction((than) => Number(document.querySelector('#log tbody tr:not(.space)').dataset.id) > than, Number(stood));
  await shows('#seen', 'none missing');
}

/** The log shows what is searched for, one symbol's events, or both: those and no others, as more come. */
async function find(page, { shows }) {
  await place('Find-me');
  const newest = async () => Number(await page.locator('#last-id').textContent());
  const onlyShows = (words, kinds = []) => page.waitForFunction(([wanted, besides]) => {
    const rows = [...document.querySelectorAll('#log tbody tr[data-id]')];
    return rows.some(({ textContent: text }) => text.includes(wanted))
      && rows.every(({ dataset, textContent: text }) => text.includes(wanted) || besides.includes(dataset.kind));
  }, [words, kinds]);
  for (const symbol of ['ETHUSDT', 'BTCUSDT']) {
    await page.locator('#log-symbol').selectOption(symbol);
    const until = (await newest()) + 10;
    await page.waitForFunction((id) => Number(document.querySelector('#last-id').textContent) >= id, until);
    await onlyShows(`"symbol":"${symbol}"`, ['account', 'error']);
  }
  await page.locator('body').press('/');
  await page.keyboard.type('find-ME');
  await shows('#log', 'No such event among the last');
  await page.locator('#log-symbol').selectOption('ETHUSDT');
  await onlyShows('"client_order_id":"Find-me"');
  const id = await page.locator('#log tbody tr[data-kind="order_state"]').first().getAttribute('data-id');
  // A price or a time of the market may hold the same digits, and so many of them that the table is full.
  const market = page.getByRole('button', { name: 'market', exact: true });
  await market.click();
  await page.locator('#log-search').fill(id);
  await page.locator(`#log tbody tr[data-id="${id}"]`, { hasText: 'Find-me' }).waitFor();
  await market.click();
  await page.locator('#log-search').fill('');
  await page.locator('#log-symbol').selectOption('');
  await page.waitForFunction(() => ['ETHUSDT', 'BTCUSDT'].every((name) => document.querySelector('#log tbody').textContent.includes(`"symbol":"${name}"`)));
}

/** Playwright keeps every page visible; this does to it what a browser does to a tab that is hidden. It counts what
 * was asked and is not answered yet: an answer may be drawn after the page was hidden. */
function hideable() {
  const ask = globalThis.fetch.bind(globalThis);
  globalThis.asking = 0;
  globalThis.fetch = async (...args) => {
    globalThis.asking += 1;
    try {
      const answer = await ask(...args);
      await answer.clone().arrayBuffer();
      return answer;
    } finally {
      // After whoever waits for it.
      setTimeout(() => { globalThis.asking -= 1; });
    }
  };
  const draw = globalThis.requestAnimationFrame.bind(globalThis);
  let [hidden, waiting] = [false, []];
  const frame = (callback) => draw((now) => (hidden ? waiting.push(callback) : callback(now)));
  globalThis.requestAnimationFrame = frame;
  Object.defineProperty(document, 'hidden', { get: () => hidden });
  globalThis.hide = (now) => {
    hidden = now;
    document.dispatchEvent(new Event('visibilitychange'));
    if (hidden) return;
    const due = waiting;
    waiting = [];
    due.forEach(frame);
  };
}

/** A hidden page draws nothing, and is right at once when it is shown. */
async function hiddenPage(page, { shows }) {
  const newest = async () => (await (await fetch(new URL('/api/events?limit=1', url))).json()).newest;
  await page.evaluate(() => globalThis.hide(true));
  await page.waitForFunction(() => globalThis.asking === 0, undefined, { polling: 10 });
  await page.evaluate(() => {
    globalThis.drawn = 0;
    // What was drawn last is still on its way to the page.
    setTimeout(() => {
      new MutationObserver((changes) => { globalThis.drawn += changes.length; })
        .observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
    });
  });
  const before = await page.locator('#last-id').textContent();
  const until = (await newest()) + 60;
  while (await newest() < until) await new Promise((resolve) => { setTimeout(resolve, 50); });
  assert.equal(await page.evaluate(() => globalThis.drawn), 0, 'drawn while hidden');
  assert.equal(await page.locator('#last-id').textContent(), before);
  await page.evaluate(() => globalThis.hide(false));
  await page.waitForFunction((id) => Number(document.querySelector('#last-id').textContent) >= id, until);
  await shows('#seen', 'none missing');
}

/** A large order is asked about; says how many were sent since. */
async function question(page, { shows, order }) {
  let sent = 0;
  page.on('request', (request) => { sent += request.url().endsWith('/api/order') ? 1 : 0; });
  await order('Buy', '0.5', '40000');
  // Another symbol's stream may be on its way.
  await page.locator('.send:enabled').waitFor();
  await page.keyboard.press('Enter');
  await shows('dialog', '40,000');
  return async (told) => {
    await shows('dialog', told);
    await page.keyboard.press('Enter');
    await shows('dialog', told);
    await page.keyboard.press('Escape');
    await page.locator('dialog').waitFor({ state: 'detached' });
    assert.equal(sent, 0, told);
  };
}

/** The order that was asked about is not sent for another symbol. */
async function otherSymbol(page, look) {
  const choose = (name) => page.evaluate((hash) => { location.hash = hash; }, name);
  const choosesBtc = async () => {
    await choose('BTCUSDT');
    await look.shows('.send', 'BTC');
  };
  await choosesBtc();
  const refuses = await question(page, look);
  await choose('ETHUSDT');
  await refuses('The page shows ETHUSDT now, the order is for BTCUSDT');
  await choosesBtc();
}

/** A connection that stands open and says nothing is not called live, and no order goes into it. */
async function still(page, look) {
  const { shows } = look;
  const refuses = await question(page, look);
  console.log('stop');
  await shows('#connection', 'CONNECTION LOST');
  await refuses('The page is not live');
  await shows('.book .stale', 'stale, as of');
  await accessible(page, 'lost');
  console.log('go on');
  await shows('#connection', 'Live');
  await shows('#gaps', '0');
  await shows('#seen', 'none missing');
}

await story(url, async (page, look) => {
  await page.addInitScript(hideable);
  await everyState(page, look);
  await keys(page, look);
  await pause(page, look);
  await find(page, look);
  await hiddenPage(page, look);
  await otherSymbol(page, look);
  await still(page, look);
});
