import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

const kept = new Map<string, string>();
let settings: typeof import('../src/settings');

/** The page is loaded anew. */
async function load(): Promise<void> {
  vi.resetModules();
  settings = await import('../src/settings');
}

beforeEach(async () => {
  kept.clear();
  vi.stubGlobal('localStorage', {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
    removeItem: (key: string) => kept.delete(key),
  });
  vi.stubGlobal('matchMedia', () => ({ matches: false, addEventListener: () => undefined }));
  vi.stubGlobal('document', { documentElement: { dataset: {} } });
  await load();
});
afterEach(() => vi.unstubAllGlobals());

const froms = (...quotes: string[]) => quotes.map((quote) => settings.confirmFrom(quote).value);

describe('from when on an order is asked about', () => {
  it('is ten thousand dollars, and every order where that is not known to be as much', () => {
    expect(froms('USDT', 'USDC', 'BTC', 'EUR')).toEqual(['10000', '10000', '0', '0']);
  });
  it('is kept for each quote asset', async () => {
    settings.confirmFrom('BTC').value = '0.5';
    settings.confirmFrom('USDT').value = '250';
    await load();
    expect(froms('USDT', 'USDC', 'BTC')).toEqual(['250', '10000', '0.5']);
  });
  it('was one value once: that was meant in dollars', async () => {
    kept.set('veloz.confirm-from', '300');
    await load();
    expect(froms('USDT', 'BTC')).toEqual(['300', '0']);
    expect([...kept]).toEqual([['veloz.confirm-from.USDT', '300']]);
    await load();
    expect(froms('USDT')).toEqual(['300']);
  });
  it('is taken as it can be kept', () => {
    expect(['0', '10000', '0.00000001', '9'.repeat(18)].filter(settings.isWorth)).toHaveLength(4);
    expect(['', '-5', '1e3', '5.', '.5', '9'.repeat(19), '0.000000001'].filter(settings.isWorth)).toEqual([]);
  });
});
