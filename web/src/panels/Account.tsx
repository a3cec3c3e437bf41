// Balances: always in view beside the ticket, and with what they are worth among the tables of the orders.

import { computed } from '@preact/signals';
import { add, decimal, multiply, places, print, round, shown, ZERO } from '../decimal';
import { balances, instrument, instruments, markets } from '../store';
import { arrange } from '../table';
import type { Balance } from '../types';
import { Stale } from './Banner';
import { sorting, Table, type Shown } from './Table';

/** The digits that an asset has behind the point, as far as its instruments tell. */
function digitsOf(asset: string): number {
  const all = [...instruments.value.values()];
  const digits = all.find((i) => i.base === asset)?.base_decimals ?? all.find((i) => i.quote === asset)?.quote_decimals;
  return Number(digits ?? 0);
}

const amount = (text: string, asset: string) => shown(text, digitsOf(asset));

const amountColumn = (key: string, name: string, value: (row: Balance) => string): Shown<Balance> => ({
  key, name, kind: 'number', value, show: (row) => amount(value(row), row.asset), title: (row) => amount(value(row), row.asset),
});

const BALANCES: Shown<Balance>[] = [
  { key: 'asset', name: 'Asset', kind: 'text', value: (row) => row.asset },
  amountColumn('free', 'Free', (row) => row.free),
  amountColumn('locked', 'Locked', (row) => row.locked),
];

const totalOf = (row: Balance) => add(decimal(row.free) ?? ZERO, decimal(row.locked) ?? ZERO);

/** What an asset is worth at the last price of the first instrument that trades it; a quote asset is worth itself. */
function worthOf(row: Balance): { worth: string; unit: string } {
  const all = [...instruments.value.values()];
  const of = all.find(({ base }) => base === row.asset);
  if (!of) return { worth: all.some(({ quote }) => quote === row.asset) ? print(totalOf(row)) : '', unit: row.asset };
  const price = decimal(markets.now.get(of.symbol)?.price);
  return { worth: price ? print(multiply(totalOf(row), price)) : '', unit: of.quote };
}

/** Rounded to the digits that prices have. */
function showWorth(row: Balance): string {
  const { worth, unit } = worthOf(row);
  const [exact, digits] = [decimal(worth), digitsShown(unit)];
  return exact ? shown(print(round(exact, digits)), digits) : '';
}

/** As the tables of the orders show them, and a file keeps them. */
export const WHOLE_BALANCES: Shown<Balance>[] = [
  ...BALANCES,
  amountColumn('total', 'Total', (row) => print(totalOf(row))),
  { key: 'worth', name: 'Worth, at the last price', kind: 'number', value: (row) => worthOf(row).worth, show: showWorth, title: (row) => worthOf(row).worth },
  { key: 'unit', name: 'In', kind: 'text', value: (row) => worthOf(row).unit },
];

/** The digits that prices in this asset have. */
function digitsShown(quote: string): number {
  return Math.max(0, ...[...instruments.value.values()].filter((i) => i.quote === quote).map(({ tick }) => places(tick)));
}

export const held = computed(() => [...balances.read().values()].sort((a, b) => (a.asset < b.asset ? -1 : 1)));

/** The assets of the chosen instrument come first. */
const near = computed(() => {
  const of = instrument.value;
  const rank = ({ asset }: Balance) => (asset === of?.base ? 0 : asset === of?.quote ? 1 : 2);
  return [...held.value].sort((a, b) => rank(a) - rank(b));
});

const sort = sorting();

export function Balances() {
  return (
    <section class="panel balances" aria-labelledby="balances-title">
      <h2 id="balances-title">Balances <Stale /></h2>
      <Table id="balances" label="Balances" columns={BALANCES} rows={arrange(near.value, BALANCES, sort.value, '')} keyOf={(row) => row.asset} sort={sort}
        empty="No balances. VELOZ_SIM_BALANCES says what a new simulated account holds." />
    </section>
  );
}
