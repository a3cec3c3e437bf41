// State that changes faster than a screen: written at once, shown once per animation frame.
// A hidden tab has no frames, so it draws nothing.

import { batch, signal, type Signal } from '@preact/signals';

const dirty = new Set<Signal<number>>();
let asked = false;

function flush(): void {
  asked = false;
  const now = [...dirty];
  dirty.clear();
  batch(() => {
    for (const version of now) version.value += 1;
  });
}

export class Live<T> {
  readonly #version = signal(0);

  constructor(public now: T) {}

  /** The value; the component that reads it is drawn again after a change. */
  read(): T {
    void this.#version.value;
    return this.now;
  }

  /** `now` was changed. */
  touch(): void {
    dirty.add(this.#version);
    if (asked) return;
    asked = true;
    requestAnimationFrame(flush);
  }
}

/** Puts the newest in front, and lets the oldest go. */
export function remember<T>(list: T[], item: T, most: number): void {
  list.unshift(item);
  if (list.length > most) list.length = most;
}
