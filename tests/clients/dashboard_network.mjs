// The dashboard behind a network that fails: nothing old is called live meanwhile, nothing is missing after.
//   node dashboard_network.mjs URL GATEWAY
// URL is that of a proxy. Says "hold" when nothing may pass any more and `while-held` be placed, "release" when
// it may; "vanish" for a network that is gone, its connections with it, and `while-gone`, "return" when new
// ones may be made; "reset" when all connections may be reset. Each time "back after ..." when
// all is right again. Waits to be told "gone" before it sends an order into the network that is gone.
import assert from 'node:assert/strict';
import { heard, story, watchIds, whole } from './dashboard_page.mjs';

const [url, gateway] = process.argv.slice(2);
/** What is not current is said not to be within this. */
const TOLD_WITHIN_MS = 8_000;

/** What the connection was said to be, and since when. */
const states = (page) => page.evaluate(() => globalThis.states);

function record() {
  globalThis.states = [];
  const look = () => {
    const text = document.querySelector('#connection')?.textContent;
    if (text !== globalThis.states.at(-1)?.text) globalThis.states.push({ text, at: Date.now() });
    requestAnimationFrame(look);
  };
  look();
}

/** Not called live from soon after the cut, until it is over. */
async function neverLive(page, cut, over) {
  const seen = await states(page);
  const told = seen.find(({ text, at }) => at >= cut && text !== 'Live');
  assert.ok(told && told.at - cut < TOLD_WITHIN_MS, `told after ${told?.at - cut} ms`);
  const wrong = seen.filter(({ text, at }) => text === 'Live' && at > told.at && at < over);
  assert.deepEqual(wrong, [], `called live while cut: ${JSON.stringify(seen)}`);
  return told.at - cut;
}

async function told(page, { shows }) {
  await shows('#connection', 'CONNECTION LOST');
  await shows('[role=alert]', 'may have changed since');
  for (const panel of ['.chart', '.book', '.trades', '.balances', '.orders', '.risk']) await shows(`${panel} .stale`, 'stale, as of');
  assert.equal(await page.locator('.send').isDisabled(), true);
}

/** Through one cut; `during` is done while it lasts. */
async function cut(page, look, ids, [begins, ends], during = () => {}) {
  const from = Date.now();
  console.log(begins);
  await during();
  await told(page, look);
  const over = Date.now();
  console.log(ends);
  await look.shows('#connection', 'Live');
  console.log(`back after ${begins}`);
  const ms = await neverLive(page, from, over);
  await whole(page, look, ids);
  return ms;
}

await story(url, async (page, look) => {
  const { shows, row, order, tab } = look;
  await page.addInitScript(record);
  const ids = await watchIds(page);
  await page.goto(url);
  await shows('#connection', 'Live');

  const held = await cut(page, look, ids, ['hold', 'release']);
  await row('open-orders', 'while-held', 'ACCEPTED').waitFor();

  // An order that is on its way when the network goes: not known, and placed once however often it is sent.
  await order('Buy', '0.01', '1000');
  const gone = await cut(page, look, ids, ['vanish', 'return'], async () => {
    await heard('gone');
    await page.keyboard.press('Enter');
    await shows('#ticket-answer', 'not known whether it was placed');
  });
  await row('open-orders', 'while-gone', 'ACCEPTED').waitFor();
  await page.getByRole('button', { name: 'Send the same order again' }).click();
  await shows('#ticket-answer', 'ACCEPTED');
  await row('open-orders', 'BUY', '1,000.00', 'ACCEPTED').waitFor();
  const open = await (await fetch(new URL('/api/orders_state?status=open', gateway))).json();
  assert.equal(open.items.filter(({ limit_price: price }) => price === 1000).length, 1);

  const before = Number(await page.locator('#reconnects').textContent());
  console.log('reset');
  await page.waitForFunction((than) => Number(document.querySelector('#reconnects').textContent) > than, before);
  await shows('#connection', 'Live');
  console.log('back after reset');
  await whole(page, look, ids);
  assert.deepEqual(await page.locator('#gaps, #holes').allTextContents(), ['0', '0']);
  await tab(/^Open/);
  console.log(JSON.stringify({ told_after_ms: { held, gone } }));
});
