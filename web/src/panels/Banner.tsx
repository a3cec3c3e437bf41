// What kind of money this is, and whether the screen can be trusted: the first thing seen.

import { useSignalEffect } from '@preact/signals';
import { config, lastId, link, trouble } from '../store';
import type { Config } from '../types';

interface Mode {
  name: string;
  kind: 'sim' | 'replay' | 'test' | 'real';
  says: string;
}

/** A mode that this page does not know is shown as the most dangerous one. */
export function modeOf(now: Config): Mode {
  if (now.execution_mode === 'binance_testnet_spot') {
    return { name: 'TESTNET', kind: 'test', says: 'Orders go to the exchange’s test network. No real money.' };
  }
  if (now.execution_mode !== 'sim_engine') {
    return { name: 'LIVE', kind: 'real', says: 'REAL MONEY. Orders go to a real exchange.' };
  }
  const source = now.market_source;
  if (source === 'replay') {
    return { name: 'REPLAY', kind: 'replay', says: `A recorded market (${now.market_source_state}); orders and money are simulated.` };
  }
  if (source === 'sim') return { name: 'SIMULATION', kind: 'sim', says: 'The market, the orders and the money are simulated.' };
  if (source === 'none') return { name: 'SIMULATION', kind: 'sim', says: 'No market source; orders and money are simulated.' };
  return { name: 'SIMULATION', kind: 'sim', says: 'A real market; orders and money are simulated.' };
}

export function Banner() {
  const now = config.value;
  const mode = now && modeOf(now);
  useSignalEffect(() => {
    const known = config.value;
    const lost = link.value.phase === 'lost' ? 'LOST · ' : '';
    document.title = `${lost}${known ? `${modeOf(known).name} · ` : ''}VeloZ`;
  });
  return (
    <header class="banner" data-mode={mode?.kind ?? 'unknown'}>
      <h1>VeloZ</h1>
      <p class="mode"><strong id="mode">{mode?.name ?? '…'}</strong> <span>{mode?.says ?? 'asking the gateway what it trades'}</span></p>
      <Connection />
    </header>
  );
}

const WORDS = {
  connecting: 'Taking the state',
  behind: 'Catching up',
  live: 'Live',
  lost: 'CONNECTION LOST',
};

function Connection() {
  const { phase, reconnects, gaps, holes } = link.value;
  return (
    <dl class="connection" data-phase={phase}>
      <div><dt class="hidden">Connection</dt><dd><span id="connection" role="status">{WORDS[phase]}</span></dd></div>
      <div><dt>Event</dt><dd><LastId /></dd></div>
      <div><dt>Reconnects</dt><dd id="reconnects">{reconnects}</dd></div>
      <div data-bad={gaps > 0}><dt>Gaps</dt><dd id="gaps">{gaps}</dd></div>
      <div data-bad={holes > 0} hidden={holes === 0}><dt>Holes</dt><dd id="holes">{holes}</dd></div>
    </dl>
  );
}

function LastId() {
  return <output id="last-id">{String(lastId.read() ?? '—')}</output>;
}

/** What keeps the screen from being trusted, in words; nothing while all is well. */
export function Notice() {
  const { phase, told } = link.value;
  if (phase === 'lost') {
    return <p class="notice bad" role="alert">The connection to the gateway is lost. What is shown is as it was at event {lastId.now ?? 'none'}, and may have changed since. Trying again.</p>;
  }
  if (phase === 'behind') return <p class="notice" role="status">Connected again. The events that were missed are being read.</p>;
  if (phase === 'connecting') return <p class="notice" role="status">Taking the state from the gateway. {told}</p>;
  if (trouble.value !== '') return <p class="notice bad" role="alert">The gateway reports trouble: {trouble.value}</p>;
  if (told !== '') return <p class="notice">The state was taken anew: {told}. Everything shown is current again.</p>;
  return null;
}
