// A laptop that sleeps, first for a moment, then for longer than the page waits for anything: every process of the
// browser is stopped while the market goes on. Two pages: of one the gateway stays; the other wakes first without
// a network, and then to a gateway that was killed and started again.
//   node dashboard_sleep.mjs STAYS RESTARTED
// Each is the address of a gateway, or of a proxy before it. Says "dozing" when nothing may pass to
// the second page, "awake" when it may, and "asleep" when they sleep again, with `while-asleep` to be placed
// at both, and waits to be told "placed"; the market of the one that stays tells how long they have slept.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { heard, story, watchIds, whole } from './dashboard_page.mjs';

const [stays, restarted] = process.argv.slice(2);
/** The second is longer than the page's own patience with a stream that says nothing. */
const SLEEPS_NS = [7_000_000_000n, 20_000_000_000n];
const RIGHT_WITHIN_MS = 3_000;
/** The first frame after it woke may be drawn before the page's code has run. */
const FIRST_FRAMES_MS = 400;

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
    assert.ok(!process.exitCode, 'the other page has failed');
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

/** Of each sleep: when it ended, and what the newest event of each gateway was then. */
const awake = [];
/** How many pages are ready to sleep, for each sleep. */
const ready = SLEEPS_NS.map(() => 0);

async function afterSleep(page, { shows }, ids, url, n) {
  await page.evaluate(() => { globalThis.shown.length = 0; });
  ready[n] += 1;
  await until('it is awake', () => awake[n]);
  const { at, newest: id } = awake[n].get(url);
  if (n === 0 && url === restarted) {
    await withoutNetwork(page, { shows }, at);
    return whole(page, { shows }, ids);
  }
  await page.waitForFunction((then) => document.querySelector('#connection').textContent === 'Live' && Number(document.querySelector('#last-id').textContent) >= then, id);
  const shown = (await page.evaluate(() => globalThis.shown)).filter((frame) => frame.at >= at);
  const right = shown.find((frame) => frame.phase === 'Live' && frame.id >= id);
  const wrong = shown.filter((frame) => frame.phase === 'Live' && frame.id < id && frame.at < right.at);
  const took = { right_after_ms: right.at - at, old_called_live_ms: wrong.length === 0 ? 0 : wrong.at(-1).at - at };
  console.log(url === stays ? 'stays' : 'restarted', n, JSON.stringify(took));
  assert.ok(took.right_after_ms < RIGHT_WITHIN_MS, `right too late: ${JSON.stringify(took)}`);
  assert.ok(took.old_called_live_ms < FIRST_FRAMES_MS, `old things were called live: ${JSON.stringify({ took, at, id, wrong: wrong.slice(-3) })}`);
  return whole(page, { shows }, ids);
}

/** There is no network yet: what is shown is called old at once, not when a question has gone unanswered. */
async function withoutNetwork(page, { shows }, at) {
  await page.waitForFunction(() => document.querySelector('#connection').textContent !== 'Live');
  const shown = (await page.evaluate(() => globalThis.shown)).filter((frame) => frame.at >= at);
  const told = shown.find((frame) => frame.phase !== 'Live').at - at;
  console.log('without a network', told);
  assert.ok(told < FIRST_FRAMES_MS, `old things were called live for ${told} ms`);
  await shows('#connection', 'CONNECTION LOST');
  console.log('awake');
  await shows('#connection', 'Live');
}

const sleeper = (url) => story(url, async (page, look) => {
  await page.addInitScript(record);
  const ids = await watchIds(page);
  await page.goto(url);
  await look.shows('#connection', 'Live');
  await page.locator('#trades time').nth(3).waitFor();
  for (const n of SLEEPS_NS.keys()) await afterSleep(page, look, ids, url, n);
  await look.row('open-orders', 'while-asleep', 'ACCEPTED').waitFor();
  assert.deepEqual(await page.locator('#gaps, #holes').allTextContents(), ['0', '0']);
});

async function sleep(n) {
  await until('both are live', () => ready[n] === 2);
  const pids = descendants();
  assert.ok(pids.length >= 6, `only ${pids.length} processes of Chromium`);
  const from = await marketTime();
  for (const pid of pids) process.kill(pid, 'SIGSTOP');
  try {
    console.log(n === 0 ? 'dozing' : 'asleep');
    await heard(n === 0 ? 'held' : 'placed');
    await until('the market has gone on for so long', async () => (await marketTime()) - from > SLEEPS_NS[n]);
    const ids = new Map();
    for (const url of [stays, restarted]) ids.set(url, await newest(url));
    const at = Date.now();
    awake.push(new Map([...ids].map(([url, id]) => [url, { at, newest: id }])));
  } finally {
    for (const pid of pids) process.kill(pid, 'SIGCONT');
  }
}

await Promise.all([sleeper(stays), sleeper(restarted), (async () => {
  for (const n of SLEEPS_NS.keys()) await sleep(n);
})()]);
