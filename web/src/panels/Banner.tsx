// What kind of money this is, and whether the screen can be trusted: the first thing seen.

import { useSignalEffect, type Signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { help, nextTheme } from '../keys';
import { theme } from '../settings';
import { clock } from '../text';
import { config, counted, currentAt, link, moved, problems, warnings, type Reading } from '../store';
import type { Config } from '../types';
import { wordsOf } from './Health';

interface Mode {
  name: string;
  kind: 'sim' | 'replay' | 'test' | 'real';
  says: string;
  /** Beside what sends an order. */
  money: string;
}

const NOT_REAL = 'no real money';

/** A mode that this page does not know is shown as the most dangerous one. */
export function modeOf(now: Pick<Config, 'execution_mode' | 'market_source' | 'market_source_state'>): Mode {
  const source = now.market_source;
  switch (now.execution_mode) {
    case 'sim_engine':
      break;
    case 'binance_testnet_spot':
      return { name: 'TESTNET', kind: 'test', says: 'Orders go to the exchange’s test network. No real money.', money: NOT_REAL };
    case 'external_engine':
      return { name: 'LIVE', kind: 'real', says: 'Orders go to an external engine: it may be REAL MONEY.', money: 'MAY BE REAL MONEY' };
    default:
      return { name: 'LIVE', kind: 'real', says: 'REAL MONEY. Orders go to a real exchange.', money: 'REAL MONEY' };
  }
  if (source === 'replay') {
    return { name: 'REPLAY', kind: 'replay', says: `A recorded market (${now.market_source_state}). Orders and money are simulated.`, money: NOT_REAL };
  }
  const market = source === 'sim' ? 'Market, orders' : source === 'none' ? 'No market source. Orders' : 'A real market. Orders';
  return { name: 'SIMULATION', kind: 'sim', says: `${market} and money are simulated.`, money: NOT_REAL };
}

export function Banner({ tools }: { tools: ComponentChildren }) {
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
      <p class="mode"><strong id="mode">{mode?.name ?? '…'}</strong> <span>{mode?.says ?? 'Asking the gateway what it trades.'}</span></p>
      <Connection />
      <div class="tools">
        {tools}
        <button onClick={nextTheme} title="Dark, light, or as the system says (T)" aria-label={`Colours: ${theme.value}`}>{theme.value === 'auto' ? '◐' : theme.value === 'dark' ? '☾' : '☀'}</button>
        <button onClick={() => { help.value = true; }} title="Keys (?)" aria-label="Keys" class="keys">?</button>
      </div>
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
  const { phase, reconnects, gaps, holes, lagMs } = link.value;
  return (
    <dl class="connection" data-phase={phase}>
      <div><dt class="hidden">Connection</dt><dd><span id="connection" role="status">{WORDS[phase]}</span></dd></div>
      <div><dt>Event</dt><dd><LastId /></dd></div>
      <div title="How far this page was behind the gateway when it was last measured"><dt>Lag</dt><dd id="lag">{phase === 'live' && lagMs !== undefined ? `${lagMs} ms` : '—'}</dd></div>
      <div><dt>Reconnects</dt><dd id="reconnects">{reconnects}</dd></div>
      <div data-bad={gaps > 0} title="Times that the state had to be taken anew"><dt>Gaps</dt><dd id="gaps">{gaps}</dd></div>
      <div data-bad={holes > 0} hidden={holes === 0}><dt>Holes</dt><dd id="holes">{holes}</dd></div>
    </dl>
  );
}

function LastId() {
  return <output id="last-id">{String(counted().lastId ?? '—')}</output>;
}

/** What keeps the screen from being trusted, in words; nothing while all is well. */
export function Notice() {
  const { phase, told } = link.value;
  if (phase === 'lost') {
    return <p class="notice bad" role="alert">The connection to the gateway is lost. What is shown is as it was at event {counted().lastId ?? 'none'}{currentAt.value > 0 ? `, ${clock(currentAt.value)}` : ''}, and may have changed since. Trying again.</p>;
  }
  if (phase === 'behind') return <p class="notice" role="status">Connected. The events that were missed are being read.</p>;
  if (phase === 'connecting') return <p class="notice" role="status">Taking the state from the gateway. {told === '' ? 'If this stays: a browser opens six connections to a host; close other tabs of this page.' : `Why: ${told}.`}</p>;
  const wrong = problems.value ?? [];
  if (wrong.length > 0) {
    return <p class="notice bad" role="alert">The gateway reports trouble: {wrong.map((problem) => `${wordsOf(problem.code)}: ${problem.message}`).join('; ')}</p>;
  }
  if (warnings.value.length > 0) {
    return <p class="notice warn" role="alert">Warning: {warnings.value.map((warning) => `${wordsOf(warning.code)}: ${warning.message}`).join('; ')}</p>;
  }
  if (told !== '') return <Anew told={told} />;
  return null;
}

function Anew({ told }: { told: string }) {
  return <p class="notice" role="status">The state was taken anew: {told}. Everything shown is current again.</p>;
}

/** The page shows another symbol than the one that was chosen. */
export function Moved() {
  return moved.value === '' ? null : <p class="notice" role="status">{moved.value}</p>;
}

/** Beside what may be old. */
export function Stale() {
  const { phase } = link.value;
  if (phase === 'live') return null;
  return <em class="stale">{phase === 'lost' && currentAt.value > 0 ? `stale, as of ${clock(currentAt.value)}` : 'not live'}</em>;
}

/** Beside what is not all here, as long as requests for what was before fail. */
export function Missing({ of }: { of: Signal<Reading> }) {
  const { why } = of.value;
  return why === '' ? null : <em class="stale" role="status" title={why}>earlier ones are missing</em>;
}
