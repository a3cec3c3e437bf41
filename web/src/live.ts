// State that changes faster than a screen: written at once, shown once per animation frame, or at a pace
// that eyes can follow. A hidden tab has no frames, so it draws nothing.

import { batch, signal, type Signal } from '@preact/signals';

/** Between two drawings of what a busy market changes all the time. */
export const PACE_MS = 100;

interface Slice {
  readonly version: Signal<number>;
  readonly pace: number;
  due: number;
}

const dirty = new Set<Slice>();
let asked = false;

function flush(now: number): void {
  asked = false;
  show(now, false);
  if (dirty.size > 0) ask();
}

/** Shows what has changed at once, whatever its pace. */
export function showAll(): void {
  show(performance.now(), true);
}

function show(now: number, all: boolean): void {
  batch(() => {
    for (const slice of dirty) {
      if (slice.due > now && !all) continue;
      dirty.delete(slice);
      slice.due = now + slice.pace;
      slice.version.value += 1;
    }
  });
}

function ask(): void {
  if (asked) return;
  asked = true;
  requestAnimationFrame(flush);
}

export class Live<T> {
  readonly #slice: Slice;

  /** Shown anew once in `pace` milliseconds at most; 0: with each frame. */
  constructor(
    public now: T,
    pace = 0,
  ) {
    this.#slice = { version: signal(0), pace, due: 0 };
  }

  /** The value; the component that reads it is drawn again after a change. */
  read(): T {
    void this.#slice.version.value;
    return this.now;
  }

  /** `now` was changed. */
  touch(): void {
    dirty.add(this.#slice);
    ask();
  }
}

/** The newest so many of what came, oldest first; adding costs the same however many there are. */
export class Recent<T> {
  items: T[] = [];

  constructor(readonly most: number) {}

  add(item: T): void {
    this.items.push(item);
    // In pieces, so that not each addition moves all.
    if (this.items.length >= this.most * 1.25) this.items = this.items.slice(-this.most);
  }

  clear(): void {
    this.items = [];
  }
}
