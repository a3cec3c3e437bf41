// Balances, what positions earn, and the kill switch.

import { signal } from '@preact/signals';
import { messageOf, post } from '../api';
import { shown } from '../decimal';
import { balances, instruments, risk } from '../store';
import type { Balance, Risk } from '../types';
import { Stale } from './Banner';
import { Table, type Shown } from './Table';
import { Ask } from './Dialog';

/** The digits that an asset has behind the point, as far as its instruments tell. */
function digitsOf(asset: string): number {
  const all = [...instruments.value.values()];
  const digits = all.find((i) => i.base === asset)?.base_decimals ?? all.find((i) => i.quote === asset)?.quote_decimals;
  return Number(digits ?? 0);
}

const amount = (text: string, asset: string) => shown(text, digitsOf(asset));

const BALANCES: Shown<Balance>[] = [
  { key: 'asset', name: 'Asset', kind: 'text', value: (row) => row.asset },
  { key: 'free', name: 'Free', kind: 'number', value: (row) => row.free, show: (row) => amount(row.free, row.asset), title: (row) => amount(row.free, row.asset) },
  { key: 'locked', name: 'Locked', kind: 'number', value: (row) => row.locked, show: (row) => amount(row.locked, row.asset), title: (row) => amount(row.locked, row.asset) },
];

export function Balances() {
  const rows = [...balances.read().values()].sort((a, b) => (a.asset < b.asset ? -1 : 1));
  return (
    <section class="panel balances" aria-labelledby="balances-title">
      <h2 id="balances-title">Balances <Stale /></h2>
      <Table id="balances" label="Balances" columns={BALANCES} rows={rows} keyOf={(row) => row.asset} empty="No balances. VELOZ_SIM_BALANCES says what a new simulated account holds." />
    </section>
  );
}

const failed = signal('');
/** The switch is about to be thrown by key. */
export const asking = signal(false);

async function set(state: Risk['state']): Promise<void> {
  try {
    const body = state === 'HALTED' ? { state, cancel_all: true } : { state };
    risk.value = await post<Risk>('/api/risk', body);
    failed.value = '';
  } catch (error) {
    failed.value = `The switch did not move: ${messageOf(error)}`;
  }
}

const MEANS: Record<Risk['state'], string> = {
  ACTIVE: 'Orders are taken.',
  REDUCE_ONLY: 'Only sales of what is held are taken.',
  HALTED: 'No order is taken. Cancels work.',
};

export function KillSwitch() {
  const state = risk.value?.state;
  return (
    <section class="panel risk" aria-labelledby="risk-title" data-state={state}>
      <h2 id="risk-title">Trading <strong id="risk-state">{state ?? 'unknown'}</strong></h2>
      <p role="status">{failed.value || (state ? MEANS[state] : 'The gateway has not said yet.')}</p>
      <div class="buttons">
        <button class="kill" disabled={state === 'HALTED'} onClick={() => void set('HALTED')} title="Takes no order any more and cancels every open one (Shift+K)">Stop and cancel all</button>
        <button disabled={state === 'REDUCE_ONLY'} onClick={() => void set('REDUCE_ONLY')}>Reduce only</button>
        <button disabled={state === 'ACTIVE'} onClick={() => void set('ACTIVE')}>Resume</button>
      </div>
      {asking.value ? (
        <Ask title="Stop trading?" yes="Stop and cancel all" danger onYes={() => void set('HALTED')} close={() => { asking.value = false; }}>
          <p>No order is taken any more, and every open order is cancelled.</p>
        </Ask>
      ) : null}
    </section>
  );
}
