// Balances, and the kill switch.

import { signal } from '@preact/signals';
import { post } from '../api';
import { shown } from '../decimal';
import { balances, instruments, risk } from '../store';
import type { Risk } from '../types';
import { Empty } from '../text';

/** The digits that an asset has behind the point, as far as its instruments tell. */
function digitsOf(asset: string): number {
  const all = [...instruments.value.values()];
  const digits = all.find((i) => i.base === asset)?.base_decimals ?? all.find((i) => i.quote === asset)?.quote_decimals;
  return Number(digits ?? 0);
}

export function Balances() {
  const rows = [...balances.read().values()];
  return (
    <section class="panel balances" aria-labelledby="balances-title">
      <h2 id="balances-title">Balances</h2>
      <div class="scroll" tabIndex={0} role="group" aria-labelledby="balances-title"><table id="balances">
        <thead><tr><th scope="col">Asset</th><th scope="col" class="n">Free</th><th scope="col" class="n">Locked</th></tr></thead>
        <tbody>
          {rows.length === 0 ? <Empty columns={3}>No balances yet.</Empty> : null}
          {rows.map((row) => <tr key={row.asset}><td>{row.asset}</td><td class="n">{shown(row.free, digitsOf(row.asset))}</td><td class="n">{shown(row.locked, digitsOf(row.asset))}</td></tr>)}
        </tbody>
      </table></div>
    </section>
  );
}

const failed = signal('');

async function set(state: Risk['state']): Promise<void> {
  try {
    const body = state === 'HALTED' ? { state, cancel_all: true } : { state };
    risk.value = await post<Risk>('/api/risk', body);
    failed.value = '';
  } catch (error) {
    failed.value = `The switch did not move: ${error instanceof Error ? error.message : String(error)}`;
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
      <p>{failed.value || (state ? MEANS[state] : 'The gateway has not said yet.')}</p>
      <div class="buttons">
        <button class="kill" disabled={state === 'HALTED'} onClick={() => void set('HALTED')}>Stop and cancel all</button>
        <button disabled={state === 'REDUCE_ONLY'} onClick={() => void set('REDUCE_ONLY')}>Reduce only</button>
        <button disabled={state === 'ACTIVE'} onClick={() => void set('ACTIVE')}>Resume</button>
      </div>
    </section>
  );
}
