// The order ticket: checks while one types, says what it costs, and never sends one order twice. An order
// whose outcome is not known is sent again under its own id, which places nothing if it was placed.

import { computed, signal } from '@preact/signals';
import { post, Refusal, Unknown } from '../api';
import { add, compare, decimal, isMultiple, multiply, places, print, roundUp, shown, type Decimal } from '../decimal';
import { balances, book, instrument, live, markets, symbol } from '../store';
import type { Instrument, Side } from '../types';

type OrderType = 'LIMIT' | 'MARKET' | 'LIMIT_MAKER';

const side = signal<Side>('BUY');
const type = signal<OrderType>('LIMIT');
const tif = signal('GTC');
const qty = signal('');
const price = signal('');
const busy = signal(false);
const answer = signal<{ good: boolean; text: string } | undefined>(undefined);
/** Sent, and not known to have been taken or refused. */
const unsure = signal<Record<string, unknown> | undefined>(undefined);
const confirming = signal(false);

/** The price of a level that was clicked. */
export function usePrice(text: string): void {
  price.value = print(decimal(text) ?? { units: 0n, scale: 0 }, places(instrument.value?.tick ?? '1'));
  if (type.value === 'MARKET') type.value = 'LIMIT';
  confirming.value = false;
}

export function pick(next: Side): void {
  side.value = next;
  confirming.value = false;
  document.getElementById('qty')?.focus();
}

/** What is wrong with what was typed; `undefined` while it can be sent. */
function problem(of: Instrument, amount: Decimal | undefined, limit: Decimal | undefined): string | undefined {
  const step = (text: string) => decimal(text) ?? { units: 1n, scale: 0 };
  if (!amount || amount.units <= 0n) return qty.value === '' ? 'Enter a quantity.' : 'The quantity is not a number above zero.';
  if (!isMultiple(amount, step(of.lot))) return `The quantity must be a multiple of ${of.lot}.`;
  if (compare(amount, step(of.min_qty)) < 0) return `The least quantity is ${of.min_qty}.`;
  if (type.value === 'MARKET') return undefined;
  if (!limit || limit.units <= 0n) return price.value === '' ? 'Enter a price.' : 'The price is not a number above zero.';
  if (!isMultiple(limit, step(of.tick))) return `The price must be a multiple of ${of.tick}.`;
  const least = step(of.min_notional);
  if (compare(multiply(amount, limit), least) < 0) return `The order must be worth ${of.min_notional} ${of.quote} at least.`;
  return undefined;
}

/** What a market order would pay in the book that is shown; the limit's worth for others. */
function worth(amount: Decimal, limit: Decimal | undefined): Decimal | undefined {
  if (type.value !== 'MARKET') return limit && multiply(amount, limit);
  const levels = side.value === 'BUY' ? book.now?.asks : book.now?.bids;
  let left = amount;
  let total: Decimal = { units: 0n, scale: 0 };
  for (const [levelPrice, levelQty] of levels ?? []) {
    const at = decimal(levelPrice);
    const there = decimal(levelQty);
    if (!at || !there) continue;
    const taken = compare(there, left) < 0 ? there : left;
    total = add(total, multiply(at, taken));
    left = add(left, { units: -taken.units, scale: taken.scale });
    if (left.units <= 0n) return total;
  }
  return undefined;
}

const check = computed(() => {
  const of = instrument.value;
  return of && problem(of, decimal(qty.value), decimal(price.value));
});

function freshId(): string {
  const random = crypto.getRandomValues(new Uint32Array(2));
  return `web-${Date.now().toString(36)}-${[...random].map((n) => n.toString(36)).join('')}`;
}

function order(): Record<string, unknown> {
  const body: Record<string, unknown> = {
    side: side.value, symbol: symbol.value, qty: qty.value, type: type.value, client_order_id: freshId(),
  };
  if (type.value !== 'MARKET') body['price'] = price.value;
  if (type.value === 'LIMIT') body['time_in_force'] = tif.value;
  return body;
}

async function send(body: Record<string, unknown>): Promise<void> {
  busy.value = true;
  confirming.value = false;
  try {
    const placed = await post<{ client_order_id: string; status: string; executed_qty: string; reason?: string }>('/api/order', body);
    unsure.value = undefined;
    const why = placed.reason ? ` (${placed.reason})` : '';
    answer.value = { good: true, text: `${placed.client_order_id}: ${placed.status}${why}, executed ${shown(placed.executed_qty)}` };
  } catch (error) {
    if (error instanceof Refusal) {
      unsure.value = undefined;
      answer.value = { good: false, text: `Refused: ${error.reason || error.message}` };
    } else {
      unsure.value = error instanceof Unknown ? body : undefined;
      answer.value = { good: false, text: `Not known whether it was placed: ${error instanceof Error ? error.message : String(error)}` };
    }
  } finally {
    busy.value = false;
  }
}

function submit(event: Event): void {
  event.preventDefault();
  if (busy.value || unsure.value || check.value !== undefined || !live.value) return;
  if (large() && !confirming.value) {
    confirming.value = true;
    return;
  }
  void send(order());
}

/** Half of what is free, or more. */
function large(): boolean {
  const { needed, free } = needs();
  return needed !== undefined && free !== undefined && compare(add(needed, needed), free) >= 0;
}

/** What the order takes from the account, and what is free of it. */
function needs(): { asset: string; needed: Decimal | undefined; free: Decimal | undefined } {
  const of = instrument.value;
  const amount = decimal(qty.value);
  const asset = (side.value === 'BUY' ? of?.quote : of?.base) ?? '';
  const needed = amount && (side.value === 'BUY' ? worth(amount, decimal(price.value)) : amount);
  return { asset, needed, free: decimal(balances.now.get(asset)?.free) };
}

export function Ticket() {
  const of = instrument.value;
  if (!of) return null;
  const last = markets.read().get(symbol.value)?.price ?? '';
  const limited = type.value !== 'MARKET';
  const label = `${side.value === 'BUY' ? 'Buy' : 'Sell'} ${of.base}`;
  return (
    <section class="panel ticket" aria-labelledby="ticket-title">
      <h2 id="ticket-title">Order</h2>
      <form onSubmit={submit} autocomplete="off" noValidate>
        <fieldset class="sides" disabled={busy.value}>
          <legend class="hidden">Side</legend>
          <Choice name="side" value="BUY" chosen={side} hint="B">Buy</Choice>
          <Choice name="side" value="SELL" chosen={side} hint="S">Sell</Choice>
        </fieldset>
        <div class="pair">
          <label>Type
            <select id="type" value={type.value} onChange={(e) => { type.value = e.currentTarget.value as OrderType; confirming.value = false; }}>
              <option value="LIMIT">Limit</option><option value="MARKET">Market</option><option value="LIMIT_MAKER">Post only</option>
            </select>
          </label>
          <label>In force
            <select id="tif" value={type.value === 'LIMIT' ? tif.value : ''} disabled={type.value !== 'LIMIT'} onChange={(e) => { tif.value = e.currentTarget.value; confirming.value = false; }}>
              {type.value === 'LIMIT' ? null : <option value="">{type.value === 'MARKET' ? 'Immediate' : 'Until cancelled'}</option>}
              <option value="GTC">Until cancelled</option><option value="IOC">Immediate, else expire</option><option value="FOK">All or nothing</option>
            </select>
          </label>
        </div>
        <Field id="qty" label={`Quantity (${of.base})`} value={qty} hint={of.lot} />
        {limited ? <Field id="price" label={`Price (${of.quote})`} value={price} hint={shown(last, places(of.tick))} /> : null}
        <Estimate of={of} />
        <p id="ticket-check" class="check" aria-live="polite">{check.value ?? ''}</p>
        <button class={`send ${side.value === 'BUY' ? 'buy' : 'sell'}`} disabled={busy.value || unsure.value !== undefined || check.value !== undefined || !live.value}>
          {confirming.value ? `Large order. ${label}: press again` : label}
        </button>
      </form>
      <p id="ticket-answer" class={`answer ${answer.value?.good ? 'good' : 'bad'}`} role="status">{answer.value?.text ?? ''}</p>
      {unsure.value ? <button class="again" disabled={busy.value} onClick={() => unsure.value && void send(unsure.value)}>Send the same order again</button> : null}
    </section>
  );
}

function Choice(props: { name: string; value: Side; chosen: typeof side; hint: string; children: string }) {
  return (
    <label class={props.value === 'BUY' ? 'buy' : 'sell'} title={`Key ${props.hint}`}>
      <input type="radio" name={props.name} value={props.value} checked={props.chosen.value === props.value} onChange={() => { props.chosen.value = props.value; confirming.value = false; }} />
      {props.children}
    </label>
  );
}

function Field(props: { id: string; label: string; value: typeof qty; hint: string }) {
  return (
    <label>{props.label}
      <input id={props.id} inputMode="decimal" spellcheck={false} placeholder={props.hint} value={props.value.value} aria-describedby="ticket-check"
        onInput={(e) => { props.value.value = e.currentTarget.value.trim(); confirming.value = false; }} />
    </label>
  );
}

function Estimate({ of }: { of: Instrument }) {
  balances.read();
  if (type.value === 'MARKET') book.read();
  const amount = decimal(qty.value);
  const total = amount && worth(amount, decimal(price.value));
  const { asset, needed, free } = needs();
  const rate = decimal(of.taker_fee);
  // The fee is taken from what is received.
  const received = side.value === 'BUY' ? amount : total;
  const feeAsset = side.value === 'BUY' ? of.base : of.quote;
  const fee = received && rate && roundUp(multiply(received, rate), Number(side.value === 'BUY' ? of.base_decimals : of.quote_decimals));
  const short = needed && free && compare(needed, free) > 0;
  const digits = places(of.tick);
  return (
    <dl class="estimate">
      <div><dt>{side.value === 'BUY' ? 'Cost' : 'Proceeds'}{type.value === 'MARKET' ? ', about' : ''}</dt><dd>{total ? `${shown(print(total), digits)} ${of.quote}` : '—'}</dd></div>
      <div><dt>Fee, at most</dt><dd>{fee ? `${shown(print(fee))} ${feeAsset}` : '—'}</dd></div>
      <div data-bad={short === true}><dt>Free</dt><dd>{free ? `${shown(print(free))} ${asset}` : '—'}{short ? ' (too little)' : ''}</dd></div>
    </dl>
  );
}
