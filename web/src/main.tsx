// The dashboard: one page over the gateway's public API.

import './style.css';
import { signal } from '@preact/signals';
import { render } from 'preact';
import { help, KEYS, listen, nextTheme } from './keys';
import { Balances } from './panels/Account';
import { Banner, Moved, Notice } from './panels/Banner';
import { Book, focusBook, Trades } from './panels/Book';
import { Chart, turnInterval, turnSymbol } from './panels/Chart';
import { Health } from './panels/Health';
import { Help } from './panels/Help';
import { Log, togglePause } from './panels/Log';
import { askingAll, Orders, tab, TABS } from './panels/Orders';
import { Replay } from './panels/Replay';
import { asking, Risk, RiskDialogs, settingLimits, Stop, SwitchFailed } from './panels/Risk';
import { pick, pickType, Ticket } from './panels/Ticket';
import { config, link, open, start } from './store';

const RETRY_MS = 1_000;
const ready = signal(false);

/** A narrow screen shows one of these at a time. */
const VIEWS = ['Market', 'Trade', 'Orders', 'Account', 'Events'] as const;
type View = (typeof VIEWS)[number];
const view = signal<View>('Market');

const focus = (id: string) => () => document.getElementById(id)?.focus();

KEYS.push(
  { keys: ['B'], does: 'Buy: into the quantity', act: () => { view.value = 'Trade'; pick('BUY'); } },
  { keys: ['S'], does: 'Sell: into the quantity', act: () => { view.value = 'Trade'; pick('SELL'); } },
  { keys: ['L'], does: 'Limit order: into the price', act: () => pickType('LIMIT', 'price') },
  { keys: ['M'], does: 'Market order: into the quantity', act: () => pickType('MARKET', 'qty') },
  { keys: ['D'], does: 'Into the book (arrows, Enter takes the price)', act: focusBook },
  { keys: ['Enter'], does: 'In the ticket: send the order' },
  { keys: ['↑', '↓'], does: 'In a field: one tick or lot up or down' },
  { keys: ['Escape'], does: 'Leave a field or a dialog' },
  ...TABS.map((name, i) => ({ keys: [String(i + 1)], does: `Show ${name === 'open' ? 'open orders' : name}`, act: () => { view.value = 'Orders'; tab.value = name; } })),
  { keys: ['Shift+C'], does: 'Cancel all orders (asks)', act: () => { askingAll.value = open.now.size > 0; } },
  { keys: ['Shift+K'], does: 'Stop trading and cancel all (asks)', act: () => { asking.value = true; } },
  { keys: ['Shift+L'], does: 'Set limits', act: () => { settingLimits.value = true; } },
  { keys: ['['], does: 'Previous symbol', act: () => turnSymbol(-1) },
  { keys: [']'], does: 'Next symbol', act: () => turnSymbol(1) },
  { keys: ['I'], does: 'Next interval of the chart', act: () => turnInterval(1) },
  { keys: ['F'], does: 'Filter the orders', act: focus('orders-filter') },
  { keys: ['/'], does: 'Search the events', act: focus('log-search') },
  { keys: ['G'], does: 'Go to an event by its id', act: focus('log-jump') },
  { keys: ['P'], does: 'Pause the events, or go on', act: togglePause },
  { keys: ['T'], does: 'Colours: dark, light, as the system', act: nextTheme },
  { keys: ['?'], does: 'These keys', act: () => { help.value = true; } },
);
listen();

function App() {
  return (
    <>
      <Banner tools={<Stop />} />
      {ready.value ? <><Notice /><Moved /></> : null}
      <SwitchFailed />
      <main data-phase={link.value.phase} data-view={view.value} data-replay={config.value?.market_source === 'replay'}>
        {ready.value ? <><Chart /><div class="side"><Ticket /><Balances /><Risk /><Replay /><Health /></div><Book /><Trades /><Orders /><Log /></> : <Waiting />}
      </main>
      <nav aria-label="Parts of the page">
        {VIEWS.map((name) => <button key={name} aria-pressed={view.value === name} onClick={() => { view.value = name; }}>{name}</button>)}
      </nav>
      <footer>
        <span>VeloZ {config.value?.version ?? ''}</span>
        <span class="keys">Press <kbd>?</kbd> for the keys</span>
        <span>Charts: TradingView Lightweight Charts™, Copyright (c) 2025 TradingView, Inc. <a href="https://www.tradingview.com/" rel="noreferrer">tradingview.com</a></span>
      </footer>
      <Help />
      <RiskDialogs />
    </>
  );
}

function Waiting() {
  return (
    <section class="panel waiting" role="status">
      <h2>Waiting for the gateway at {location.host}</h2>
      <p>It does not answer, or it is starting. This page tries again every second.</p>
      <p>If it is not running, start it with <code>make run</code> or <code>veloz serve</code>.</p>
    </section>
  );
}

async function begin(): Promise<void> {
  try {
    await start();
    ready.value = true;
  } catch {
    setTimeout(() => void begin(), RETRY_MS);
  }
}

const place = document.getElementById('app');
if (place) render(<App />, place);
void begin();
