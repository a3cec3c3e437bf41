// The page's one EventSource: it comes back by itself, counts ids, and knows when its state is whole.
//
// Order: every numbered event is handed on once, in the order of ids. When ids do not follow each other, the
// gateway tells a gap, or the log turns out to be another one, the state is taken anew from a snapshot before
// anything is called live. `live` is proved, not assumed: the gateway is asked for its newest id from time to
// time, and the stream has to get there; that time is the lag.
// The browser would come back too, but only after the gateway's `retry`: a trader waits less, so a lost
// connection is opened anew from the last id seen. A page that is hidden for a while has no connection at all,
// and goes on from there when it is looked at again.

import { ask } from './api';
import { parseExact, rawEvents } from './json';

/** Keep-alives come every 10 s. After as long without a frame the gateway is asked; no answer: lost. */
const QUIET_MS = 12_000;
const PROBE_MS = 2_000;
const PROBE_PATIENCE_MS = 3_000;
/** So long without an answer, and nothing is called live; the connection may yet stand. */
const UNANSWERED_MS = 1_000;
/** A connection that takes longer to open is tried anew: its first packets may be lost for good. */
const ATTEMPT_MS = 4_000;
/** So long between two looks at the clock, and the page was asleep: what is shown is old. */
const SLEPT_MS = 5_000;
/** Events that were there this long ago and are not here yet: the page is behind. */
const BEHIND_MS = 2_000;
/** More missed than this, and the state is taken anew instead: the events stay in the log. */
const MOST_MISSED_EVENTS = 50_000;
const RETRY_FIRST_MS = 250;
const RETRY_LOST_MS = 800;
const RETRY_REFUSED_MS = 8_000;
const WATCH_MS = 500;
/** A page that nobody sees for so long lets go of its connection; it comes back for what it missed. */
const REST_AFTER_MS = 10_000;

const NUMBERED = ['market', 'order_update', 'fill', 'order_state', 'account', 'error'] as const;
export type Kind = (typeof NUMBERED)[number];

/** `connecting`: no state yet. `behind`: events that were missed are on their way. `lost`: nothing comes. */
export type Phase = 'connecting' | 'behind' | 'live' | 'lost';

export interface Link {
  readonly phase: Phase;
  readonly reconnects: number;
  readonly gaps: number;
  /** Times that ids did not follow each other: a defect somewhere, never expected. */
  readonly holes: number;
  /** Why the state was taken anew, the last time. */
  readonly told: string;
  /** How far the stream was behind the gateway, when it was last measured. */
  readonly lagMs: number | undefined;
}

/** Ids since the state was last taken: `seen` events from `first` to `lastId`. */
export interface Count {
  lastId: number | undefined;
  first: number | undefined;
  seen: number;
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
  readonly count: Count = { lastId: undefined, first: undefined, seen: 0 };
  #source: EventSource | undefined;
  #symbol = '';
  #lastText = '';
  /** What must be here before the stream is level, once the log is known to be the one that was followed. */
  #goal: { id: number; since: number } | undefined;
  #whole = false;
  /** Grows whenever what was known is void or old: an answer from before counts no more. */
  #era = 0;
  #heard = 0;
  #tried = 0;
  #watched = Date.now();
  #probed = 0;
  #probing = false;
  #retryMs = RETRY_FIRST_MS;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #resting = false;
  #rest: ReturnType<typeof setTimeout> | undefined;
  #opened = false;
  #link: Link = { phase: 'connecting', reconnects: 0, gaps: 0, holes: 0, told: '', lagMs: undefined };

  constructor(readonly sink: Sink) {
    setInterval(() => this.#watch(), WATCH_MS);
    globalThis.addEventListener('online', () => this.#reopenNow());
    globalThis.addEventListener('pageshow', (event) => {
      if (event.persisted) this.#reopenNow();
    });
    document.addEventListener('resume', () => this.#watch());
    document.addEventListener('visibilitychange', () => this.#onSeen(!document.hidden));
  }

  /** Follows everything, and this symbol's book. The log goes on where it was. */
  follow(symbol: string): void {
    const chosen = this.#symbol !== '';
    this.#symbol = symbol;
    this.#open(chosen);
  }

  #open(onPurpose = false): void {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#resting = false;
    const query = new URLSearchParams({ snapshot: '1', ping: '1', book: this.#symbol });
    if (this.#whole && this.count.lastId !== undefined) query.set('last_id', String(this.count.lastId));
    const source = new EventSource(`/api/stream?${query}`);
    this.#source = source;
    this.#heard = this.#tried = Date.now();
    const hear = (type: string, handle: (event: MessageEvent<string>) => void) =>
      source.addEventListener(type, (event) => {
        if (this.#source !== source || !(event instanceof MessageEvent)) return;
        this.#heard = Date.now();
        if (this.#heard - this.#watched > SLEPT_MS) this.#watch();
        handle(event as MessageEvent<string>);
      });
    source.onopen = () => this.#onOpen(onPurpose);
    source.onerror = (event) => {
      // The gateway's own `error` events carry data; the browser's do not.
      if (this.#source === source && !(event instanceof MessageEvent)) this.#onLost(source);
    };
    for (const kind of NUMBERED) hear(kind, (event) => this.#onEvent(kind, event));
    hear('gap', (event) => this.#onGap(event.data));
    hear('snapshot', (event) => this.#onWhole(Number(event.lastEventId)));
    hear('book', (event) => this.sink.book(parseExact(event.data)));
    hear('ping', () => undefined);
  }

  #onOpen(onPurpose: boolean): void {
    this.#heard = Date.now();
    this.#retryMs = RETRY_FIRST_MS;
    if (this.#opened && !onPurpose) this.#tell({ reconnects: this.#link.reconnects + 1 });
    this.#opened = true;
    if (!this.#whole) {
      this.sink.reset();
      return;
    }
    this.#goal = undefined;
    this.#tell({ phase: 'behind' });
    void this.#probe();
  }

  #onLost(source: EventSource): void {
    const refused = source.readyState === EventSource.CLOSED;
    source.close();
    this.#tell({ phase: 'lost' });
    const wait = Math.min(this.#retryMs, refused ? RETRY_REFUSED_MS : RETRY_LOST_MS);
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
    if (!this.#whole) return;
    const id = Number(event.lastEventId);
    const { count } = this;
    if (id !== (count.lastId ?? 0) + 1) {
      this.#tell({ holes: this.#link.holes + 1 });
      this.#anew(`event ${id} came after ${count.lastId}`);
      return;
    }
    count.lastId = id;
    count.first ??= id;
    count.seen += 1;
    this.#lastText = event.data;
    this.sink.event(kind, data, id, event.data);
    if (this.#goal && id >= this.#goal.id) this.#level();
  }

  #onGap(text: string): void {
    const gap = parseExact(text) as { reason?: string; requested?: string; oldest?: string; newest?: string };
    const told = gap.reason === 'ahead'
      ? `the gateway has another log than before (asked for what follows event ${gap.requested}, its newest is ${gap.newest})`
      : `a gap (${gap.reason}): asked for what follows event ${gap.requested}, the oldest kept is ${gap.oldest}`;
    this.#void(told);
    this.#tell({ gaps: this.#link.gaps + 1 });
    this.sink.reset();
  }

  #onWhole(id: number): void {
    Object.assign(this.count, { lastId: id, first: undefined, seen: 0 });
    this.#lastText = '';
    this.#goal = { id, since: Date.now() };
    this.#whole = true;
    this.sink.whole(id);
    this.#level();
    // Learns what this event says, to know the log by when it comes back.
    void this.#probe();
  }

  /** Nothing known counts any more, until a snapshot has come. */
  #void(told: string): void {
    this.#whole = false;
    this.#era += 1;
    this.#goal = undefined;
    this.#tell({ phase: 'connecting', told });
  }

  #anew(told: string): void {
    this.#void(told);
    this.#open(true);
  }

  /** Live once everything is here that the gateway is known to have had. */
  #level(): void {
    const goal = this.#goal;
    if (!this.#whole || !goal || (this.count.lastId ?? 0) < goal.id) return;
    // It says nothing of what comes after: the next answer does.
    this.#goal = undefined;
    this.#tell({ phase: 'live', lagMs: Math.max(0, Date.now() - goal.since) });
  }

  /** Asks what the newest event is, and whether the last one seen here is the same there. */
  async #probe(): Promise<void> {
    const { lastId } = this.count;
    if (this.#probing || lastId === undefined || !this.#whole) return;
    this.#probing = true;
    this.#probed = Date.now();
    const [source, known, era] = [this.#source, this.#lastText, this.#era];
    try {
      const text = await ask(`/api/events?after=${Math.max(0, lastId - 1)}&limit=1`, {}, PROBE_PATIENCE_MS);
      if (this.#source === source && this.#era === era) this.#compare(text, lastId, known);
    } catch {
      // Neither an answer nor an event since it was asked.
      if (this.#source === source && this.#heard < this.#probed) this.#reopenNow();
    } finally {
      this.#probing = false;
    }
    // What it asked about is gone: ask about what is here now.
    if (this.#era !== era) void this.#probe();
  }

  #compare(page: string, lastId: number, known: string): void {
    const newest = Number((parseExact(page) as { newest: string }).newest);
    const there = rawEvents(page)[0];
    const other = newest < lastId || (known !== '' && there?.id === lastId && there.text !== known);
    if (other) {
      this.#tell({ gaps: this.#link.gaps + 1 });
      this.#anew(`the gateway has another log than before (its newest event is ${newest}, ours was ${lastId})`);
    } else if (newest - (this.count.lastId ?? 0) > MOST_MISSED_EVENTS) {
      this.#anew(`${newest - lastId} events were missed, too many to read here; they are in the log`);
    } else {
      if (there && there.id === this.count.lastId) this.#lastText = there.text;
      this.#heard = Date.now();
      this.#goal = { id: newest, since: Date.now() };
      this.#level();
    }
  }

  #onSeen(seen: boolean): void {
    clearTimeout(this.#rest);
    if (!seen) this.#rest = setTimeout(() => this.#letGo(), REST_AFTER_MS);
    else if (this.#resting) this.#open(true);
    else this.#watch();
  }

  /** Nobody looks: no stream, no events, no work, until somebody does. */
  #letGo(): void {
    if (this.#source === undefined || !document.hidden) return;
    this.#resting = true;
    clearTimeout(this.#timer);
    this.#source.close();
    this.#goal = undefined;
    if (this.#link.phase === 'live') this.#tell({ phase: 'behind' });
  }

  #watch(): void {
    if (this.#source === undefined || this.#resting) return;
    const now = Date.now();
    const [slept, quiet] = [now - this.#watched > SLEPT_MS, now - this.#heard];
    this.#watched = now;
    if (this.#source.readyState === EventSource.CONNECTING) {
      if (now - this.#tried > ATTEMPT_MS) this.#open();
      return;
    }
    // Lost, and a new attempt is due.
    if (this.#source.readyState === EventSource.CLOSED) return;
    if (slept) {
      if (this.#link.phase === 'live') this.#tell({ phase: 'behind' });
      this.#goal = undefined;
      // An answer from before says nothing of now.
      this.#era += 1;
    }
    if (quiet > QUIET_MS + 2 * PROBE_PATIENCE_MS) this.#reopenNow();
    else if (slept || quiet > QUIET_MS || (!document.hidden && now - this.#probed > PROBE_MS)) void this.#probe();
    const goal = this.#goal;
    const late = (goal && now - goal.since > BEHIND_MS) || (this.#probing && now - this.#probed > UNANSWERED_MS);
    // Whoever reaches an old goal is not level yet.
    if (late) this.#goal = undefined;
    if (late && this.#link.phase === 'live') this.#tell({ phase: 'behind' });
    if (this.#link.phase === 'behind' && !this.#goal) void this.#probe();
  }

  #reopenNow(): void {
    if (this.#source === undefined || this.#resting) return;
    this.#tell({ phase: 'lost' });
    this.#open();
  }

  #tell(change: Partial<Link>): void {
    this.#link = { ...this.#link, ...change };
    this.sink.link(this.#link);
  }
}
