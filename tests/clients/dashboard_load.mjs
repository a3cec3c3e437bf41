// The dashboard under a busy market: every event is counted, memory stays flat, the main thread stays free.
//   node dashboard_load.mjs URL EVENTS_A_SECOND SECONDS
// Prints what it measured. The share of the processor is in time of the thread itself, so that a busy machine
// does not change it; how many frames came is told, and judged only when the machine is this test's alone.
import assert from 'node:assert/strict';
import { story } from './dashboard_page.mjs';

const [url, rate, seconds] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const WARM_UP_EVENTS = 8_000;
const MOST_GROWTH_BYTES = 3 << 20;
const MOST_BUSY = 0.5;

await story(url, async (page, { shows }) => {
  await page.goto(url);
  await shows('#connection', 'Live');
  await page.getByRole('button', { name: 'market', exact: true }).click();
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable', { timeDomain: 'threadTicks' });
  await session.send('HeapProfiler.enable');
  const lastId = () => page.locator('#last-id').textContent().then(Number);
  const look = async () => {
    await session.send('HeapProfiler.collectGarbage');
    const { metrics } = await session.send('Performance.getMetrics');
    const of = (name) => metrics.find((metric) => metric.name === name).value;
    return { heap: of('JSHeapUsedSize'), nodes: of('Nodes'), busy: of('TaskDuration'), id: await lastId(), at: performance.now() };
  };
  // Lists and caches are full before anything is measured.
  const from = await lastId();
  await page.waitForFunction((id) => Number(document.querySelector('#last-id').textContent) > id, from + WARM_UP_EVENTS, { timeout: 60_000 });
  await page.evaluate(() => {
    const frames = (globalThis.frames_ = { count: 0, worst: 0, last: performance.now() });
    const frame = (now) => {
      frames.count += 1;
      frames.worst = Math.max(frames.worst, now - frames.last);
      frames.last = now;
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
  const before = await look();
  await page.evaluate(() => { Object.assign(globalThis.frames_, { count: 0, worst: 0, last: performance.now() }); });
  await page.waitForFunction((until) => performance.now() > until, await page.evaluate((s) => performance.now() + s * 1000, seconds), { timeout: seconds * 1000 + 60_000 });
  // A key is answered at once, in the middle of it.
  await page.locator('body').press('b');
  await page.keyboard.type('0.123');
  assert.equal(await page.locator('#qty').inputValue(), '0.123');
  const frames = await page.evaluate(() => ({ ...globalThis.frames_ }));
  const after = await look();
  const time = (after.at - before.at) / 1000;
  const result = {
    events_a_second: Math.round((after.id - before.id) / time),
    seconds: Math.round(time),
    busy_share: Number(((after.busy - before.busy) / time).toFixed(3)),
    frames_a_second: Math.round(frames.count / time),
    worst_frame_ms: Math.round(frames.worst),
    heap_mib: [before.heap, after.heap].map((bytes) => Number((bytes / (1 << 20)).toFixed(1))),
    nodes: [before.nodes, after.nodes],
  };
  console.log(JSON.stringify(result));
  assert.ok(result.events_a_second >= rate, `${result.events_a_second} events a second, ${rate} were wanted`);
  assert.ok(result.busy_share < MOST_BUSY, `the main thread was busy for ${result.busy_share} of the time`);
  assert.ok(after.heap - before.heap < MOST_GROWTH_BYTES, `memory grew by ${after.heap - before.heap} bytes`);
  assert.ok(after.nodes < before.nodes * 1.2 + 200, `${before.nodes} nodes became ${after.nodes}`);
  await shows('#connection', 'Live');
  await shows('#seen', 'none missing');
  assert.deepEqual(await page.locator('#reconnects, #gaps, #holes').allTextContents(), ['0', '0', '0']);
});
