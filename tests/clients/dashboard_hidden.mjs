// A tab behind another one costs nothing, in a Chromium that hides it as it hides any tab.
//   node dashboard_hidden.mjs URL EVENTS_A_SECOND
// Prints what the page's main thread was busy with, visible and hidden, in time of the thread itself.
import assert from 'node:assert/strict';
import { browser } from './cdp.mjs';

const [url, rate] = [process.argv[2], Number(process.argv[3])];
const MEASURED_EVENTS = 12_000;
const MOST_BUSY_HIDDEN = 0.005;

const newest = async () => (await (await fetch(new URL('/api/events?limit=1', url))).json()).newest;
const streams = async () => {
  const text = await (await fetch(new URL('/metrics', url))).text();
  return Number(/^veloz_stream_connections (\d+)/m.exec(text)[1]);
};
async function until(what, check) {
  const deadline = performance.now() + 60_000;
  while (!(await check())) {
    assert.ok(performance.now() < deadline, `never: ${what}`);
    await new Promise((next) => { setTimeout(next, 50); });
  }
}

/** What the page did while the gateway had so many events. */
async function measure(tab) {
  const look = async () => {
    const { metrics } = await tab.send('Performance.getMetrics');
    const of = (name) => metrics.find((metric) => metric.name === name).value;
    return { busy: of('TaskDuration'), script: of('ScriptDuration'), layouts: of('LayoutCount'), at: performance.now(), id: await newest() };
  };
  const before = await look();
  await until('the market has gone on', async () => (await newest()) > before.id + MEASURED_EVENTS);
  const after = await look();
  const seconds = (after.at - before.at) / 1000;
  const share = (name) => Number(((after[name] - before[name]) / seconds).toFixed(4));
  return {
    state: await tab.value('document.visibilityState'), events_a_second: Math.round((after.id - before.id) / seconds),
    busy_share: share('busy'), script_share: share('script'), layouts: after.layouts - before.layouts,
  };
}

const chromium = await browser();
try {
  const tab = await chromium.tab(url);
  await tab.send('Performance.enable', { timeDomain: 'threadTicks' });
  await tab.until('document.querySelector("#connection")?.textContent === "Live"');
  const visible = await measure(tab);
  assert.equal(visible.state, 'visible');
  assert.equal(await streams(), 1, 'one stream a page');
  await chromium.tab('about:blank');
  await tab.until('document.hidden');
  await until('a hidden page has no stream', async () => (await streams()) === 0);
  const hidden = await measure(tab);
  assert.equal(hidden.state, 'hidden');
  console.log(JSON.stringify({ visible, hidden }));
  assert.ok(hidden.events_a_second >= rate, `${hidden.events_a_second} events a second, ${rate} were wanted`);
  assert.ok(hidden.busy_share < MOST_BUSY_HIDDEN, `hidden, the main thread was busy for ${hidden.busy_share} of the time`);
  assert.equal(hidden.layouts, 0);
  // What it says of itself meanwhile is true, and so it is as soon as it is seen again.
  assert.notEqual(await tab.value('document.querySelector("#connection").textContent'), 'Live');
  const id = await newest();
  await tab.show();
  await tab.until(`document.querySelector("#connection").textContent === "Live" && Number(document.querySelector("#last-id").textContent) >= ${id}`);
  await tab.until('document.querySelector("#seen").textContent.includes("none missing")');
  assert.deepEqual(await tab.value('["#reconnects", "#gaps", "#holes"].map((name) => document.querySelector(name).textContent)'), ['0', '0', '0']);
  console.log('done');
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}
await chromium.close();
