// The page's one EventSource: it comes back by itself, counts ids, and knows when its state is whole.
//
// Order: every numbered event is handed on once, in the order of ids. When ids do not follow each other,
// or the gateway tells a gap, the state is taken anew from a snapshot before anything is called live.
// The browser would come back too, but only after the gateway's `retry`: a trader waits less, so a lost
// connection is opened anew from the last id seen. Limit: a log that was replaced by a longer one cannot
// be told from the one that was followed.

import { get } from './api';
import { parseExact } from './json';

/** Longer than this without any frame (keep-alives come every 10 s) and the connection is dead. */
const SILENCE_MS = 30_000;
const RETRY_FIRST_MS = 300;
const RETRY_LOST_MS = 1_000;
const RETRY_REFUSED_MS = 10_000;
const WATCH_MS = 1_000;

const NUMBERED = ['market', 'order_update', 'fill', 'order_state', 'account', 'error'] as const;
export type Kind = (typeof NUMBERED)[number];

/** `connecting`: no state yet. `behind`: events that were missed are on their way. `lost`: nothing comes. */
export type Phase = 'connecting' | 'behind' | 'live' | 'lost';

export interface Link {
  readonly phase: Phase;
  readonly lastId: number | undefined;
  readonly reconnects: number;
  readonly gaps: number;
  readonly holes: number;
  readonly told: string;
}

export interface Sink {
  /** What was known is void: a snapshot follows. */
  reset(): void;
  /** An event of the log, or of a snapshot (`id` undefined). */
  event(kind: Kind, data: Record<string, unknown>, id: number | undefined, text: string): void;
  /** The state is whole again, up to this id. */
  whole(id: number): void;
  book(data: unknown): void;
  link(link: Link): void;
}

export class Stream {
  #source: EventSource | undefined;
  #symbol = '';
  #lastId: number | undefined;
  #newest: number | undefined;
  #whole = false;
  #heard = 0;
  #retryMs = RETRY_FIRST_MS;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #opened = false;
  #link: Link = { phase: 'connecting', lastId: undefined, reconnects: 0, gaps: 0, holes: 0, told: '' };

  constructor(readonly sink: Sink) {
    setInterval(() => this.#watch(), WATCH_MS);
    globalThis.addEventListener('online', () => this.#reopenNow());
  }

  /** Follows everything, and this symbol's book. The log goes on where it was. */
  follow(symbol: string): void {
    this.#symbol = symbol;
    this.#open();
  }

  #open(): void {
    clearTimeout(this.#timer);
    this.#source?.close();
    const query = new URLSearchParams({ snapshot: '1', ping: '1', book: this.#symbol });
    if (this.#whole && this.#lastId !== undefined) query.set('last_id', String(this.#lastId));
    const source = new EventSource(`/api/stream?${query}`);
    this.#source = source;
    this.#heard = performance.now();
    const hear = (type: string, handle: (event: MessageEvent<string>) => void) =>
      source.addEventListener(type, (event) => {
        if (this.#source !== source || !(event instanceof MessageEvent)) return;
        this.#heard = performance.now();
        handle(event as MessageEvent<string>);
      });
    source.onopen = () => this.#onOpen();
    source.onerror = (event) => {
      // The gateway's own `error` events carry data; the browser's do not.
      if (this.#source === source && !(event instanceof MessageEvent)) this.#onLost(source);
    };
    for (const kind of NUMBERED) hear(kind, (event) => this.#onEvent(kind, event));
    hear('gap', (event) => this.#onGap(event.data));
    hear('snapshot', (event) => this.#onWhole(Number(event.lastEventId)));
    hear('book', (event) => this.sink.book(parseExact(event.data)));
    hear('ping', (event) => this.#onPing(event.data));
  }

  #onOpen(): void {
    this.#heard = performance.now();
    this.#retryMs = RETRY_FIRST_MS;
    if (this.#opened) this.#tell({ reconnects: this.#link.reconnects + 1 });
    this.#opened = true;
    if (!this.#whole) {
      this.sink.reset();
      return;
    }
    this.#newest = undefined;
    this.#tell({ phase: 'behind' });
    void this.#askNewest();
  }

  #onLost(source: EventSource): void {
    const refused = source.readyState === EventSource.CLOSED;
    source.close();
    this.#tell({ phase: 'lost' });
    const most = refused ? RETRY_REFUSED_MS : RETRY_LOST_MS;
    const wait = Math.min(this.#retryMs, most);
    this.#retryMs = wait * 2;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#open(), wait * (0.75 + Math.random() / 2));
  }

  #onEvent(kind: Kind, event: MessageEvent<string>): void {
    const data = parseExact(event.data) as Record<string, unknown>;
    // EventSource repeats the last id on frames that have none: the data tells them apart.
    if (data['snapshot'] === true) {
      this.sink.event(kind, data, undefined, event.data);
      return;
    }
    const id = Number(event.lastEventId);
    if (!this.#whole) return;
    if (id !== (this.#lastId ?? 0) + 1) {
      this.#void(`event ${id} came after ${this.#lastId}`);
      this.#tell({ holes: this.#link.holes + 1 });
      this.#open();
      return;
    }
    this.#lastId = id;
    this.sink.event(kind, data, id, event.data);
    this.#level();
  }

  #onGap(text: string): void {
    const gap = parseExact(text) as { reason?: string; requested?: string; oldest?: string };
    this.#void(`gap (${gap.reason}): asked for ${gap.requested}, oldest kept ${gap.oldest}`);
    this.#tell({ gaps: this.#link.gaps + 1 });
    this.sink.reset();
  }

  #onWhole(id: number): void {
    this.#lastId = id;
    this.#newest = id;
    this.#whole = true;
    this.sink.whole(id);
    this.#level();
  }

  #onPing(text: string): void {
    const ping = parseExact(text) as { newest?: string };
    if (ping.newest !== undefined) this.#newest = Math.max(Number(ping.newest), this.#newest ?? 0);
    this.#level();
  }

  /** Nothing known counts any more, until a snapshot has come. */
  #void(told: string): void {
    this.#whole = false;
    this.#tell({ phase: 'connecting', told });
  }

  /** Live once everything is here that the gateway had when the connection was opened. */
  #level(): void {
    const lastId = this.#lastId;
    const level = this.#whole && this.#newest !== undefined && (lastId ?? 0) >= this.#newest;
    this.#tell(level ? { phase: 'live', lastId } : { lastId });
  }

  async #askNewest(): Promise<void> {
    const source = this.#source;
    try {
      const page = await get<{ newest: string }>(`/api/events?after=${this.#lastId ?? 0}&limit=1`);
      if (this.#source !== source || this.#newest !== undefined) return;
      this.#newest = Number(page.newest);
      this.#level();
    } catch {
      // The watch asks again.
    }
  }

  #watch(): void {
    if (this.#source === undefined || this.#link.phase === 'lost') return;
    if (performance.now() - this.#heard > SILENCE_MS) this.#reopenNow();
    else if (this.#link.phase === 'behind' && this.#newest === undefined) void this.#askNewest();
  }

  #reopenNow(): void {
    if (this.#source === undefined) return;
    this.#tell({ phase: 'lost' });
    this.#open();
  }

  #tell(change: Partial<Link>): void {
    this.#link = { ...this.#link, ...change };
    this.sink.link(this.#link);
  }
}
