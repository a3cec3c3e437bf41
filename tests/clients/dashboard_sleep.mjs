// A laptop that sleeps: every process of the browser is stopped for longer than the page waits for anything,
// while the market goes on. Two pages: of one the gateway stays, of the other it is killed and started again.
//   node dashboard_sleep.mjs STAYS RESTARTED
// Each is the address of a gateway, or of a proxy before it. Says "asleep" when they sleep, with `while-asleep` to be placed
// at both, and waits to be told "placed"; the market of the one that stays tells how long they have slept.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { heard, story, watchIds, whole } from './dashboard_page.mjs';

const [stays, restarted] = process.argv.slice(2);
/** Longer than the page's own patience with a stream that says nothing. */
const SLEEP_NS = 20_000_000_000n;
const RIGHT_WITHIN_MS = 3_000;
/** The first frame after it woke may be drawn before the page's code has run. */
const FIRST_FRAMES_MS = 300;

/** Every process that came from this one. */
function descendants() {
  const parents = new Map();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number)) {
    try {
      parents.set(pid, Number(readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) . /s, '').split(' ')[0]));
    } catch {
      // It has ended.
    }
  }
  const comesFromHere = (pid) => pid === process.pid || (parents.has(pid) && comesFromHere(parents.get(pid)));
  return [...parents.keys()].filter((pid) => pid !== process.pid && comesFromHere(pid));
}

async function answer(url, path) {
  try {
    return await (await fetch(new URL(path, url), { signal: AbortSignal.timeout(2_000) })).text();
  } catch {
    return '';
  }
}
const newest = async (url) => Number(/"newest":(\d+)/.exec(await answer(url, '/api/events?limit=1'))?.[1] ?? 0);
const marketTime = async () => BigInt(/"ts_ns":(\d+)/.exec(await answer(stays, '/api/market'))?.[1] ?? 0);
async function until(what, check) {
  const deadline = performance.now() + 60_000;
  while (!(await check())) {
    assert.ok(performance.now() < deadline, `never: ${what}`);
    await new Promise((next) => { setTimeout(next, 50); });
  }
}

/** What each frame showed. */
function record() {
  globalThis.shown = [];
  const look = () => {
    const text = (id) => document.getElementById(id)?.textContent;
    globalThis.shown.push({ at: Date.now(), phase: text('connection'), id: Number(text('last-id')) });
    requestAnimationFrame(look);
  };
  look();
}

let [awake, wake] = [];
const woken = new Promise((yes) => { wake = yes; });
const ready = { count: 0 };

const sleeper = (url) => story(url, async (page, look) => {
  const { shows, row } = look;
  await page.addInitScript(record);
  const ids = await watchIds(page);
  await page.goto(url);
  await shows('#connection', 'Live');
  await page.locator('#trades time').nth(3).waitFor();
  await page.evaluate(() => { globalThis.shown.length = 0; });
  ready.count += 1;
  await woken;
  const { at, newest: id } = awake.get(url);
  await page.waitForFunction((then) => document.querySelector('#connection').textContent === 'Live' && Number(document.querySelector('#last-id').textContent) >= then, id);
  const shown = (await page.evaluate(() => globalThis.shown)).filter((frame) => frame.at >= at);
  const right = shown.find((frame) => frame.phase === 'Live' && frame.id >= id);
  const wrong = shown.filter((frame) => frame.phase === 'Live' && frame.id < id);
  const took = { right_after_ms: right.at - at, old_called_live_ms: wrong.length === 0 ? 0 : wrong.at(-1).at - at };
  console.log(url === stays ? 'stays' : 'restarted', JSON.stringify(took));
  assert.ok(took.right_after_ms < RIGHT_WITHIN_MS, 'right too late');
  assert.ok(took.old_called_live_ms < FIRST_FRAMES_MS, `old things were called live: ${JSON.stringify({ took, at, id, wrong: wrong.slice(-3) })}`);
  await row('open-orders', 'while-asleep', 'ACCEPTED').waitFor();
  await whole(page, look, ids);
  assert.deepEqual(await page.locator('#gaps, #holes').allTextContents(), ['0', '0']);
});

async function sleep() {
  await until('both are live', () => ready.count === 2);
  const pids = descendants();
  assert.ok(pids.length >= 6, `only ${pids.length} processes of Chromium`);
  const from = await marketTime();
  for (const pid of pids) process.kill(pid, 'SIGSTOP');
  console.log('asleep');
  await heard('placed');
  await until('the market has gone on for longer than the page waits', async () => (await marketTime()) - from > SLEEP_NS);
  awake = new Map();
  for (const url of [stays, restarted]) awake.set(url, { at: Date.now(), newest: await newest(url) });
  for (const pid of pids) process.kill(pid, 'SIGCONT');
  for (const state of awake.values()) state.at = Date.now();
  wake();
}

await Promise.all([sleeper(stays), sleeper(restarted), sleep()]);
