// Exact decimals: an integer and how many of its digits stand behind the point. No price, quantity or
// balance becomes a binary float here; `toNumber` is for pixels only.

export interface Decimal {
  readonly units: bigint;
  readonly scale: number;
}

export const ZERO: Decimal = { units: 0n, scale: 0 };

const TEXT = /^(-?)(\d+)(?:\.(\d*))?$/;
const LONGEST_TEXT_CHARS = 64;

/** Reads digits with at most one point; `undefined` for anything else. */
export function decimal(text: string | undefined): Decimal | undefined {
  if (text === undefined || text.length > LONGEST_TEXT_CHARS) return undefined;
  const match = TEXT.exec(text);
  if (!match) return undefined;
  const [, sign = '', whole = '0', part = ''] = match;
  const units = BigInt(whole + part);
  return { units: sign === '' ? units : -units, scale: part.length };
}

const ten = (scale: number): bigint => 10n ** BigInt(scale);

/** The units of both at the same scale. */
function aligned(a: Decimal, b: Decimal): [bigint, bigint, number] {
  const scale = Math.max(a.scale, b.scale);
  return [a.units * ten(scale - a.scale), b.units * ten(scale - b.scale), scale];
}

export function add(a: Decimal, b: Decimal): Decimal {
  const [x, y, scale] = aligned(a, b);
  return { units: x + y, scale };
}

export function negate(a: Decimal): Decimal {
  return { units: -a.units, scale: a.scale };
}

export function subtract(a: Decimal, b: Decimal): Decimal {
  return add(a, negate(b));
}

export function multiply(a: Decimal, b: Decimal): Decimal {
  return { units: a.units * b.units, scale: a.scale + b.scale };
}

export function magnitude(a: Decimal): Decimal {
  return a.units < 0n ? negate(a) : a;
}

export function compare(a: Decimal, b: Decimal): number {
  const [x, y] = aligned(a, b);
  return x < y ? -1 : x > y ? 1 : 0;
}

export function isMultiple(value: Decimal, step: Decimal): boolean {
  const [x, y] = aligned(value, step);
  return y !== 0n && x % y === 0n;
}

/** `a / b`, half to even at `digits` behind the point; `undefined` of nothing. */
export function divide(a: Decimal, b: Decimal, digits: number): Decimal | undefined {
  if (b.units === 0n) return undefined;
  const over = a.units * ten(Math.max(0, digits + b.scale - a.scale));
  const under = b.units * ten(Math.max(0, a.scale - b.scale - digits));
  return { units: halfEven(over, under), scale: digits };
}

function halfEven(over: bigint, under: bigint): bigint {
  const sign = (over < 0n) === (under < 0n) ? 1n : -1n;
  const x = over < 0n ? -over : over;
  const y = under < 0n ? -under : under;
  const down = x / y;
  const twice = 2n * (x % y);
  const up = twice > y || (twice === y && down % 2n === 1n);
  return sign * (up ? down + 1n : down);
}

/** The largest multiple of `step` that is not above `value` (of zero or more). */
export function floorTo(value: Decimal, step: Decimal): Decimal {
  const [x, y, scale] = aligned(value, step);
  return y === 0n ? value : { units: x - (x % y), scale };
}

/** The digits behind the point that a step such as 0.01 has. */
export function places(step: string): number {
  const trimmed = step.includes('.') ? step.replace(/0+$/, '') : step;
  return trimmed.split('.')[1]?.length ?? 0;
}

/** All digits, with at least `least` behind the point; nothing is rounded. */
export function print(value: Decimal, least = 0): string {
  const digits = (value.units < 0n ? -value.units : value.units).toString().padStart(value.scale + 1, '0');
  const at = digits.length - value.scale;
  const part = digits.slice(at).replace(/0+$/, '').padEnd(least, '0');
  const whole = (value.units < 0n ? '-' : '') + digits.slice(0, at);
  return part === '' ? whole : `${whole}.${part}`;
}

/** Rounded up (away from zero) to `most` digits behind the point: costs and fees. */
export function roundUp(value: Decimal, most: number): Decimal {
  if (value.scale <= most) return value;
  const step = ten(value.scale - most);
  const up = value.units > 0n && value.units % step !== 0n ? 1n : 0n;
  return { units: value.units / step + up, scale: most };
}

/** Half to even at `most` digits behind the point: what is worked out, never what was sent. */
export function round(value: Decimal, most: number): Decimal {
  if (value.scale <= most) return value;
  return { units: halfEven(value.units, ten(value.scale - most)), scale: most };
}

/** For a person: thousands apart, at least `least` digits behind the point. Text that is no decimal stays. */
export function shown(text: string | undefined, least = 0): string {
  const value = decimal(text);
  if (!value) return text ?? '';
  const [whole = '', part] = print(value, least).split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',');
  return part === undefined ? grouped : `${grouped}.${part}`;
}

/** A gain or loss for a person: rounded half to even to `digits`, with its sign. */
export function gain(value: Decimal, digits: number): string {
  const rounded = round(value, digits);
  return (rounded.units > 0n ? '+' : '') + shown(print(rounded), digits);
}

/** For pixels: where a chart draws, never what a person reads or an order says. */
export function toNumber(text: string | undefined): number {
  return Number(text ?? NaN);
}
