import { describe, expect, it } from 'vitest';
import { compare, decimal, divide, floorTo, gain, isMultiple, multiply, places, print, round, roundUp, shown, subtract, ZERO } from '../src/decimal';
import { parseExact, pretty, rawEvents } from '../src/json';

const of = (text: string) => {
  const value = decimal(text);
  if (!value) throw new Error(`${text} is no decimal`);
  return value;
};

describe('numbers stay what was sent', () => {
  for (const [text, wanted] of [
    ['{"price":0.00001234}', { price: '0.00001234' }],
    ['{"free":123456789012345678.123456789012345678}', { free: '123456789012345678.123456789012345678' }],
    ['{"ts_ns":1704067200000000001,"ok":true,"n":null}', { ts_ns: '1704067200000000001', ok: true, n: null }],
    ['[-1.50,[2e-7],{"a":0}]', ['-1.50', ['2e-7'], { a: '0' }]],
    ['{"reason":"1.0 \\" 2.0 \\\\","id":"007"}', { reason: '1.0 " 2.0 \\', id: '007' }],
  ] as const) {
    it(text, () => expect(parseExact(text)).toEqual(wanted));
  }
  it('refuses what is no JSON', () => expect(() => parseExact('{"a":01}x')).toThrow());
});

describe('decimals', () => {
  it('reads digits and nothing else', () => {
    for (const text of ['', ' ', '1e3', 'NaN', '1,000', '0x1', '.5', '1..2', '9'.repeat(65)]) expect(decimal(text)).toBeUndefined();
  });
  it('computes exactly', () => {
    expect(print(multiply(of('0.1'), of('0.2')))).toBe('0.02');
    expect(print(multiply(of('123456789012345678'), of('0.00000001')))).toBe('1234567890.12345678');
    expect(print(subtract(of('50000.22'), of('50000.17')), 2)).toBe('0.05');
    expect(print(of('-0.50'), 2)).toBe('-0.50');
    expect(compare(of('1.0'), of('1'))).toBe(0);
    expect(compare(of('0.3'), of('0.30000000000000001'))).toBe(-1);
  });
  it('knows steps', () => {
    expect([places('0.01'), places('1.0'), places('0.00001'), places('5')]).toEqual([2, 0, 5, 0]);
    expect(isMultiple(of('0.07'), of('0.01'))).toBe(true);
    expect(isMultiple(of('0.075'), of('0.01'))).toBe(false);
  });
  it('rounds a fee up', () => {
    expect(print(roundUp(of('0.000000011'), 8))).toBe('0.00000002');
    expect(print(roundUp(of('0.010'), 2))).toBe('0.01');
  });
  it('shows every digit', () => {
    expect(shown('0.00001234', 2)).toBe('0.00001234');
    expect(shown('123456789012345678.0', 2)).toBe('123,456,789,012,345,678.00');
    expect(shown('<b>', 2)).toBe('<b>');
    expect(shown(undefined)).toBe('');
  });
  it('divides and rounds half to even', () => {
    const quotient = (a: string, b: string, digits: number) => print(divide(of(a), of(b), digits) ?? ZERO);
    expect(quotient('1', '3', 8)).toBe('0.33333333');
    expect(quotient('0.5', '1', 0)).toBe('0');
    expect(quotient('1.5', '1', 0)).toBe('2');
    expect(quotient('-2.5', '1', 0)).toBe('-2');
    expect(quotient('123456789012345678', '0.00000001', 2)).toBe('12345678901234567800000000');
    expect(divide(of('1'), of('0.0'), 2)).toBeUndefined();
    expect([print(round(of('0.125'), 2)), print(round(of('0.135'), 2)), print(round(of('-0.1251'), 2))]).toEqual(['0.12', '0.14', '-0.13']);
  });
  it('floors to a step', () => {
    expect(print(floorTo(of('0.2999'), of('0.01')))).toBe('0.29');
    expect(print(floorTo(of('7'), of('5')))).toBe('5');
  });
  it('shows gains with their sign', () => {
    expect([gain(of('12.345'), 2), gain(of('-0.001'), 2), gain(of('-1000'), 2)]).toEqual(['+12.34', '0.00', '-1,000.00']);
  });
});

describe('events as they were sent', () => {
  const text = '{"type":"error","message":"a \\"[{}]\\" b","n":[1.50,{}]}';
  it('are cut out of a page with every digit', () => {
    const page = `{"items":[{"id":7,"event":"error","data":${text}},{"id":8,"event":"fill","data":{"price":0.00001234}}],"oldest":1,"newest":8,"next_after":8}`;
    expect(rawEvents(page)).toEqual([{ id: 7, kind: 'error', text }, { id: 8, kind: 'fill', text: '{"price":0.00001234}' }]);
    expect(rawEvents('{"items":[],"oldest":1,"newest":8,"next_after":8}')).toEqual([]);
  });
  it('are spread over lines, and stay the same JSON', () => {
    expect(pretty('{"a":1.50,"b":{"c":[]}}')).toBe('{\n  "a": 1.50,\n  "b": {\n    "c": []\n  }\n}');
    expect(JSON.parse(pretty(text))).toEqual(JSON.parse(text));
  });
});
