import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Stream, type Link, type Phase } from '../src/stream';

/** The browser's, in our hands. */
class Source extends EventTarget {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSED = 2;
  static last: Source;
  readyState = Source.OPEN;
  onopen: (() => void) | undefined;
  onerror: ((event: Event) => void) | undefined;
  constructor() {
    super();
    Source.last = this;
  }
  close(): void {
    this.readyState = Source.CLOSED;
  }
  says(type: string, data: object, lastEventId = ''): void {
    this.dispatchEvent(new MessageEvent(type, { data: JSON.stringify(data), lastEventId }));
  }
}

const PATIENCE_MS = 3_000;
let link: Link | undefined;
let phases: Phase[];
/** What the gateway says its newest event is; it does not answer while that is not known. */
let newest: number | undefined;

const event = (id: number) => Source.last.says('market', { symbol: 'BTCUSDT' }, String(id));
const page = () => JSON.stringify({ items: [], oldest: 1, newest });

beforeEach(async () => {
  vi.useFakeTimers();
  vi.stubGlobal('document', Object.assign(new EventTarget(), { hidden: false }));
  vi.stubGlobal('addEventListener', () => undefined);
  vi.stubGlobal('EventSource', Source);
  // The patience of a real request is not in our hands.
  vi.stubGlobal('fetch', () => new Promise((answer, refuse) => {
    if (newest !== undefined) answer(new Response(page()));
    else setTimeout(refuse, PATIENCE_MS);
  }));
  [link, phases, newest] = [undefined, [], 10];
  const stream = new Stream({
    reset: () => undefined, event: () => undefined, whole: () => undefined, book: () => undefined,
    link: (next) => {
      if (next.phase !== link?.phase) phases.push(next.phase);
      link = next;
    },
  });
  stream.follow('BTCUSDT');
  Source.last.onopen?.();
  Source.last.says('snapshot', {}, '10');
  await vi.advanceTimersByTimeAsync(100);
  phases = [];
});
afterEach(() => {
  vi.clearAllTimers();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('a stream', () => {
  it('is live while the gateway tells what its newest event is, and that is here', async () => {
    for (let id = 11; id < 40; id += 1) {
      event(newest = id);
      await vi.advanceTimersByTimeAsync(250);
    }
    expect([link?.phase, phases]).toEqual(['live', []]);
  });
  it('is not called live by events while the gateway does not answer', async () => {
    newest = undefined;
    await vi.advanceTimersByTimeAsync(4_500);
    expect(phases).toEqual(['behind']);
    for (let id = 11; id < 16; id += 1) {
      event(id);
      Source.last.says('ping', {});
      await vi.advanceTimersByTimeAsync(100);
    }
    expect(phases).toEqual(['behind']);
    newest = 15;
    await vi.advanceTimersByTimeAsync(6_000);
    expect([link?.phase, phases]).toEqual(['live', ['behind', 'live']]);
  });
  it('is not called live by an event that the gateway had long ago', async () => {
    newest = 12;
    await vi.advanceTimersByTimeAsync(2_500);
    newest = undefined;
    await vi.advanceTimersByTimeAsync(4_000);
    expect(phases).toEqual(['behind']);
    event(11);
    event(12);
    expect(phases).toEqual(['behind']);
  });
});
