// The dashboard: one page over the gateway's public API.

import './style.css';
import { signal } from '@preact/signals';
import { render } from 'preact';
import { Balances, KillSwitch } from './panels/Account';
import { Banner, Notice } from './panels/Banner';
import { Book, Trades } from './panels/Book';
import { Chart } from './panels/Chart';
import { Log } from './panels/Log';
import { Orders } from './panels/Orders';
import { pick, Ticket } from './panels/Ticket';
import { config, link, start } from './store';

const RETRY_MS = 1_000;
const ready = signal(false);

function App() {
  return (
    <>
      <Banner />
      {ready.value ? <Notice /> : <p class="notice" role="status">Waiting for the gateway.</p>}
      <main data-phase={link.value.phase}>
        {ready.value ? <><Chart /><Ticket /><Book /><Orders /><Balances /><KillSwitch /><Trades /><Log /></> : null}
      </main>
      <footer>
        <span>VeloZ {config.value?.version ?? ''}</span>
        <span>Keys: <kbd>B</kbd> buy, <kbd>S</kbd> sell, <kbd>Enter</kbd> send</span>
        <span>Charts: TradingView Lightweight Charts™, Copyright (c) 2025 TradingView, Inc. <a href="https://www.tradingview.com/" rel="noreferrer">tradingview.com</a></span>
      </footer>
    </>
  );
}

document.addEventListener('keydown', (event) => {
  const at = event.target;
  const typing = at instanceof HTMLInputElement || at instanceof HTMLSelectElement;
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === 'b' || event.key === 's') {
    event.preventDefault();
    pick(event.key === 'b' ? 'BUY' : 'SELL');
  }
});

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
