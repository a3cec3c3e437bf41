import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { inWords } from '../src/reasons';

const documented = readFileSync(new URL('../../docs/reasons.md', import.meta.url), 'utf8');
const codes = [...documented.matchAll(/^\| `(\w+)` \|/gm)].map((row) => row[1] ?? '');

describe('reasons', () => {
  it('are read from the documents', () => {
    expect(codes).toContain('halted');
    expect(codes.length).toBeGreaterThan(20);
  });
  it.each(codes)('have words: %s', (code) => {
    expect(inWords(code)).not.toBe(code);
  });
});
