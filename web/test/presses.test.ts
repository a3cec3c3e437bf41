import { describe, expect, it } from 'vitest';
import { notHeld, notTwice, once } from '../src/presses';

/** Whether the browser would go on with it. */
const goesOn = <E>(act: (event: E & { preventDefault: () => void }) => void, event: E): boolean => {
  let on = true;
  act({ ...event, preventDefault: () => { on = false; } });
  return on;
};

describe('one press', () => {
  it('is a click, the first of a double click, or a key that says click', () => {
    const seen: number[] = [];
    for (const detail of [0, 1, 2, 3, 1]) once(() => seen.push(detail))({ detail });
    expect(seen).toEqual([0, 1, 1]);
    expect([0, 1, 2, 3].map((detail) => goesOn(notTwice, { detail }))).toEqual([true, true, false, false]);
  });
  it('is a key that goes down, not one that is held', () => {
    expect(goesOn(notHeld, { key: 'Enter', repeat: false })).toBe(true);
    expect(goesOn(notHeld, { key: 'Enter', repeat: true })).toBe(false);
    expect(goesOn(notHeld, { key: 'ArrowUp', repeat: true })).toBe(true);
  });
});
