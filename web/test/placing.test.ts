import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

type Answer = [status: number, body: string] | 'broken';
const REFUSED = (code: string) => `{"error":"${code}","message":"in words"}`;
const TAKEN: Answer = [200, '{"ok":true,"client_order_id":"a","status":"ACCEPTED","executed_qty":0.0}'];
const ORDER = { client_order_id: 'a', type: 'LIMIT', side: 'BUY', symbol: 'BTCUSDT', qty: '2', price: '3' };

const kept = new Map<string, string>();
let sent: string[] = [];
let placing: typeof import('../src/placing');

/** The page is loaded anew. */
async function load(): Promise<void> {
  vi.resetModules();
  placing = await import('../src/placing');
}

/** What the gateway answers, one after another. */
function answers(...list: Answer[]): void {
  vi.stubGlobal('fetch', async (_: string, { body }: { body: string }) => {
    sent.push((JSON.parse(body) as typeof ORDER).client_order_id);
    const next = list.shift() ?? 'broken';
    if (next === 'broken') throw new TypeError('the connection broke');
    return new Response(next[1], { status: next[0] });
  });
}

const place = (order: Record<string, unknown> = ORDER) => placing.place(order, undefined);

beforeEach(async () => {
  kept.clear();
  sent = [];
  vi.stubGlobal('sessionStorage', {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
    removeItem: (key: string) => kept.delete(key),
  });
  await load();
});
afterEach(() => vi.unstubAllGlobals());

describe('an order', () => {
  for (const [name, answer] of [
    ['a broken connection', 'broken'], ['a time-out', [504, REFUSED('unknown_outcome')]], ['a failure', [500, REFUSED('execution_unavailable')]],
    ['a gateway between', [502, '<html>']], ['nonsense', [200, '{"ok":tr']], ['nothing', [200, 'null']], ['no status', [200, '{"ok":true}']],
  ] as [string, Answer][]) {
    it(`is in doubt after ${name}, over a reload too, and no other is sent meanwhile`, async () => {
      answers(answer, TAKEN);
      await place();
      expect(placing.answer.value?.text).toContain('not known whether it was placed');
      await load();
      expect(placing.unsure.value).toEqual(ORDER);
      await place({ ...ORDER, client_order_id: 'b' });
      expect(sent).toEqual(['a']);
      await place(placing.unsure.value);
      expect([placing.unsure.value, kept.size, sent]).toEqual([undefined, 0, ['a', 'a']]);
    });
  }
  it('is in doubt when the page is left before the answer is here', async () => {
    vi.stubGlobal('fetch', () => new Promise(() => undefined));
    void place();
    await load();
    expect(placing.unsure.value).toEqual(ORDER);
  });
  it('that expired is no success', async () => {
    answers([200, '{"ok":true,"status":"EXPIRED","executed_qty":0.0,"reason":"no_liquidity"}'], TAKEN);
    await place();
    expect(placing.answer.value).toEqual({ good: false, text: 'BUY 2 BTCUSDT at 3: EXPIRED, executed 0. The book offered nothing (more) to it.' });
    await place();
    expect(placing.answer.value?.good).toBe(true);
  });
  for (const [status, code] of [[400, 'bad_params'], [409, 'duplicate_client_order_id'], [422, 'rejected'], [503, 'overloaded']] as const) {
    it(`is not in doubt after ${status}`, async () => {
      answers([status, REFUSED(code)]);
      await place();
      expect(placing.answer.value?.text).toContain(': refused. ');
      expect([placing.unsure.value, kept.size]).toEqual([undefined, 0]);
    });
  }
});

describe('an order that is in doubt', () => {
  for (const status of [400, 403, 408, 421, 429, 503, 500, 504]) {
    it(`stays so when ${status} answers that it is sent again`, async () => {
      answers('broken', [status, REFUSED('overloaded')], 'broken', TAKEN);
      for (let times = 0; times < 3; times += 1) {
        await place();
        expect(placing.unsure.value).toEqual(ORDER);
        expect(placing.answer.value?.text).toContain('not known whether it was placed');
        expect(kept.size).toBe(1);
      }
      await place();
      expect([placing.unsure.value, kept.size]).toEqual([undefined, 0]);
    });
  }
  for (const answer of [TAKEN, [409, REFUSED('duplicate_client_order_id')], [422, REFUSED('rejected')], [200, '{"ok":true,"orders":[]}']] as Answer[]) {
    it(`is decided by ${answer.toString()}`, async () => {
      answers('broken', answer);
      await place();
      await place();
      expect([placing.unsure.value, kept.size]).toEqual([undefined, 0]);
    });
  }
  it('is named, whatever is typed by then', async () => {
    answers('broken', TAKEN);
    await place();
    expect(placing.answer.value?.text).toBe('BUY 2 BTCUSDT at 3: not known whether it was placed: the connection to the gateway failed.');
    await place();
    expect(placing.answer.value?.text).toBe('BUY 2 BTCUSDT at 3: ACCEPTED, executed 0.');
    expect(placing.nameOf({ side: 'SELL', symbol: 'BTCUSDT', quote_qty: '5' })).toBe('SELL BTCUSDT for 5');
  });
  it('can be left', async () => {
    answers('broken');
    await place();
    placing.leave();
    expect([placing.unsure.value, placing.answer.value, kept.size]).toEqual([undefined, undefined, 0]);
  });
});
