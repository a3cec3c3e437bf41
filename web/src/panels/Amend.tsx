// Changes an open order's quantity or limit, and asks first what a new order like that would be asked. What the
// gateway refuses leaves the order as it was.

import { signal } from '@preact/signals';
import { useState } from 'preact/hooks';
import { messageOf, post, Refusal } from '../api';
import { compare, decimal, isMultiple, places, print, shown } from '../decimal';
import { notHeld } from '../presses';
import { inWords } from '../reasons';
import { confirmFrom } from '../settings';
import { book, instruments, live, markets, open, symbol } from '../store';
import { sideClass } from '../text';
import { amended, doubts } from '../ticket';
import type { Instrument, OrderState } from '../types';
import { Ask, Dialog } from './Dialog';

export const amending = signal<OrderState | undefined>(undefined);

function problem(qty: string, price: string, order: OrderState, of: Instrument | undefined): string {
  const [amount, limit, done] = [decimal(qty), decimal(price), decimal(order.executed_qty)];
  if (!amount || amount.units <= 0n) return 'The quantity is not a number above zero.';
  if (of && !isMultiple(amount, decimal(of.lot) ?? amount)) return `The quantity must be a multiple of ${of.lot}.`;
  if (done && compare(amount, done) <= 0) return `${print(done)} is executed already: the quantity must be above that.`;
  if (order.limit_price === undefined) return '';
  if (!limit || limit.units <= 0n) return 'The price is not a number above zero.';
  if (of && !isMultiple(limit, decimal(of.tick) ?? limit)) return `The price must be a multiple of ${of.tick}.`;
  return '';
}

function refused(error: unknown, of: Instrument | undefined): string {
  if (error instanceof Refusal) return `Refused; the order stands as it did. ${inWords(error.reason || error.code, of)}`;
  return `Not known whether it was amended: ${messageOf(error)}. Look at the order, then try again.`;
}

/** Why the order is asked about, as a new one like it would be; empty when it is not. */
function doubtsOf(order: OrderState, qty: string, price: string): string {
  const of = instruments.value.get(order.symbol ?? '');
  if (!of) return 'What it is worth is not known: its symbol is not traded any more.';
  const last = decimal(markets.read().get(of.symbol)?.price);
  const levels = of.symbol === symbol.value ? book.read() : undefined;
  return doubts(amended(order, qty, price), { of, free: undefined, book: levels, last }, confirmFrom(of.quote).value);
}

export function Amend({ order }: { order: OrderState }) {
  const of = instruments.value.get(order.symbol ?? '');
  const [qty, setQty] = useState(print(decimal(order.order_qty) ?? { units: 0n, scale: 0 }, places(of?.lot ?? '1')));
  const [price, setPrice] = useState(print(decimal(order.limit_price) ?? { units: 0n, scale: 0 }, places(of?.tick ?? '1')));
  const [told, setTold] = useState('');
  const [busy, setBusy] = useState(false);
  const [sure, setSure] = useState(false);
  const limited = order.limit_price !== undefined;
  const now = open.read().get(order.client_order_id);
  const wrong = !live.value ? 'The page is not live: nothing is sent.' : now ? problem(qty, price, now, of) : 'The order is not open any more.';
  const close = () => { amending.value = undefined; };
  const send = async () => {
    setBusy(true);
    try {
      const body: Record<string, unknown> = { client_order_id: order.client_order_id, qty };
      if (limited) body['price'] = price;
      await post('/api/amend', body);
      close();
    } catch (error) {
      setTold(refused(error, of));
    } finally {
      setBusy(false);
    }
  };
  const next = (event: Event) => {
    event.preventDefault();
    if (wrong !== '' || busy) return;
    if (doubtsOf(now ?? order, qty, price) === '') void send();
    else setSure(true);
  };
  // What was refused was another quantity or price.
  const type = (set: (text: string) => void) => (event: { currentTarget: HTMLInputElement }) => {
    set(event.currentTarget.value.trim());
    setTold('');
  };
  if (sure) {
    return (
      <Ask title="Amend this order?" yes="Amend" wrong={wrong} buy={order.side === 'BUY'} sell={order.side === 'SELL'} onYes={() => void send()} close={() => setSure(false)}>
        <p class="big"><span class={sideClass(order.side)}>{order.side}</span> {shown(qty)} {of?.base} {limited ? `at ${shown(price)}` : ''}</p>
        <p>{doubtsOf(now ?? order, qty, price)}</p>
      </Ask>
    );
  }
  return (
    <Dialog title={`Amend ${order.side} ${order.symbol}`} close={close} class="question">
      <form onSubmit={next} onKeyDown={notHeld} noValidate autocomplete="off">
        <p class="muted">{order.client_order_id}{now ? `: ${shown(now.executed_qty)} executed of ${shown(now.order_qty)}` : ''}</p>
        <label>Quantity, what is executed included ({of?.base})
          <input id="amend-qty" inputMode="decimal" value={qty} onInput={type(setQty)} aria-describedby="amend-check" autofocus />
        </label>
        {limited ? (
          <label>Price ({of?.quote})
            <input id="amend-price" inputMode="decimal" value={price} onInput={type(setPrice)} aria-describedby="amend-check" />
          </label>
        ) : null}
        <p class="muted">Less quantity keeps the place in the queue; more, or another price, goes to the back.</p>
        <p id="amend-check" class="answer bad" role="status">{wrong || told}</p>
        <div class="buttons end">
          <button type="button" onClick={close}>Back <kbd>Esc</kbd></button>
          <button class="solid" disabled={wrong !== '' || busy}>Amend <kbd>Enter</kbd></button>
        </div>
      </form>
    </Dialog>
  );
}
