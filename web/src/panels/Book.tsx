// The order book (a click on a level sets the ticket's price) and the last trades.

import { decimal, places, print, shown, subtract, toNumber } from '../decimal';
import { book, instrument, live, symbol, trades } from '../store';
import { Empty, sideClass, Time } from '../text';
import type { Level } from '../types';
import { usePrice } from './Ticket';

const LEVELS = 12;
const TRADES = 30;

export function Book() {
  const now = book.read();
  const tick = places(instrument.value?.tick ?? '1');
  const lot = places(instrument.value?.lot ?? '1');
  const bids = now?.bids.slice(0, LEVELS) ?? [];
  const asks = now?.asks.slice(0, LEVELS) ?? [];
  const most = Math.max(...[...bids, ...asks].map(([, qty]) => toNumber(qty)), 0);
  const rows = (levels: Level[], side: 'bid' | 'ask') => levels.map(([price, qty]) => (
    <li key={price}>
      <button class={side} style={{ '--depth': `${(100 * toNumber(qty)) / most}%` }} onClick={() => usePrice(price)} aria-label={`${side} ${price}, ${qty}: use this price`}>
        <span>{shown(price, tick)}</span><span>{shown(qty, lot)}</span>
      </button>
    </li>
  ));
  return (
    <section class="panel book" aria-labelledby="book-title">
      <h2 id="book-title">Book {live.value ? '' : <em>not live</em>}</h2>
      <p class="columns" aria-hidden="true"><span>Price</span><span>Quantity</span></p>
      <ol class="levels asks" id="asks" aria-label="Asks, best last">{rows(asks.toReversed(), 'ask')}</ol>
      <Spread bid={bids[0]?.[0]} ask={asks[0]?.[0]} digits={tick} />
      <ol class="levels bids" id="bids" aria-label="Bids, best first">{rows(bids, 'bid')}</ol>
    </section>
  );
}

function Spread(props: { bid: string | undefined; ask: string | undefined; digits: number }) {
  const bid = decimal(props.bid);
  const ask = decimal(props.ask);
  if (!bid || !ask) return <p class="spread">{props.bid ?? props.ask ? 'One side is empty' : 'The book is not known yet'}</p>;
  return <p class="spread">Spread {shown(print(subtract(ask, bid)), props.digits)}</p>;
}

export function Trades() {
  const rows = (trades.read().get(symbol.value) ?? []).slice(0, TRADES);
  const tick = places(instrument.value?.tick ?? '1');
  const lot = places(instrument.value?.lot ?? '1');
  return (
    <section class="panel trades" aria-labelledby="trades-title">
      <h2 id="trades-title">Last trades</h2>
      <div class="scroll" tabIndex={0} aria-labelledby="trades-title" role="group">
        <table id="trades">
          <thead><tr><th scope="col" class="n">Price</th><th scope="col" class="n">Quantity</th><th scope="col" class="n">Time</th></tr></thead>
          <tbody>
            {rows.length === 0 ? <Empty columns={3}>None since the page was opened.</Empty> : null}
            {rows.map((row) => <tr key={row.id}><td class={`n ${sideClass(row.side)}`}>{shown(row.price, tick)}</td><td class="n">{shown(row.qty, lot)}</td><td class="n"><Time ns={row.ts_ns} /></td></tr>)}
          </tbody>
        </table>
      </div>
    </section>
  );
}
