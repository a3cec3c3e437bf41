// The order ticket: checks while one types, says what the order costs, and asks before it sends what could be a
// mistake. What it sends is what was shown, and nothing while the page is not live.

import { computed, signal, type Signal } from '@preact/signals';
import { compare, decimal, divide, floorTo, places, print, shown, subtract } from '../decimal';
import { answer, busy, leave, nameOf, place, unsure } from '../placing';
import { notHeld, notTwice } from '../presses';
import { confirmFrom, isWorth } from '../settings';
import { balances, book, choose, config, instrument, instruments, live, markets, symbol } from '../store';
import * as rules from '../ticket';
import { TIFS, TYPES, type Around, type Draft, type Field, type OrderType, type Tif } from '../ticket';
import type { Instrument, Side } from '../types';
import { modeOf } from './Banner';
import { Ask } from './Dialog';

const FRESH: Draft = { side: 'BUY', type: 'LIMIT', tif: 'GTC', qty: '', inQuote: false, price: '', stop: '', stopLimit: '', minutes: '60', reduceOnly: false };
const PORTIONS = [25, 50, 75, 100];

const draft = signal<Draft>(FRESH);
/** An order that waits for a yes, as it was when it was asked about. */
const asked = signal<Asked | undefined>(undefined);

interface Asked {
  readonly draft: Draft;
  readonly symbol: string;
}

export function change(part: Partial<Draft>): void {
  draft.value = rules.changed(draft.value, part);
}

/** The price of a level that was clicked. */
export function usePrice(text: string): void {
  const price = print(decimal(text) ?? { units: 0n, scale: 0 }, places(instrument.value?.tick ?? '1'));
  change(rules.hasLimit(draft.value.type) ? { price } : rules.hasStop(draft.value.type) ? { stop: price } : { type: 'LIMIT', price });
}

export function pick(side: Side): void {
  change({ side });
  document.getElementById('qty')?.focus();
}

export function pickType(type: OrderType, focus: string): void {
  change({ type });
  const field = document.getElementById(focus);
  // It may have to be drawn first.
  if (field) field.focus();
  else requestAnimationFrame(() => document.getElementById(focus)?.focus());
}

/** Fills in a market order against a position in what is traded; nothing is sent. */
export function closePosition(name: string, held: string): void {
  const of = instruments.value.get(name);
  // The page cannot show it: the ticket is for another symbol.
  if (!of) return;
  choose(name);
  const free = decimal(balances.now.get(of.base)?.free);
  const [all, lot] = [decimal(held), decimal(of.lot)];
  const most = all && free && compare(free, all) < 0 ? free : all;
  const qty = most && lot ? print(floorTo(most, lot)) : held;
  change({ ...FRESH, side: 'SELL', type: 'MARKET', qty });
  document.getElementById('qty')?.focus();
}

const around = computed(() => aroundOf(draft.value.side));

function aroundOf(side: Side): Around | undefined {
  const of = instrument.value;
  if (!of) return undefined;
  const asset = side === 'BUY' ? of.quote : of.base;
  return { of, free: decimal(balances.read().get(asset)?.free), book: book.read(), last: decimal(markets.read().get(symbol.value)?.price) };
}

const problem = computed(() => around.value && rules.problem(draft.value, around.value));
/** Only what a person sees of it: a market that moves does not draw the form anew. */
const check = computed(() => problem.value?.text ?? '');
const wrongField = computed<Field | undefined>(() => problem.value?.field);

function freshId(): string {
  const random = crypto.getRandomValues(new Uint32Array(2));
  return `web-${Date.now().toString(36)}-${[...random].map((n) => n.toString(36)).join('')}`;
}

/** A replay's clock is the record's. */
function gatewayMs(): number {
  const at = markets.now.get(symbol.value)?.ts_ns;
  return config.value?.market_source === 'replay' && at ? Number(at.slice(0, -6)) : Date.now();
}

/** Why it cannot be sent now; empty when it can. */
function hindrance({ draft: what, symbol: name }: Asked): string {
  if (name !== symbol.value) return `The page shows ${symbol.value} now, the order is for ${name}.`;
  if (!live.value) return 'The page is not live: nothing is sent.';
  if (busy.value || unsure.value) return 'What became of the last order is not known yet.';
  const now = aroundOf(what.side);
  return now ? (rules.problem(what, now)?.text ?? '') : 'What is traded is not known yet.';
}

function submit(event: Event): void {
  event.preventDefault();
  const what = { draft: draft.value, symbol: symbol.value };
  if (hindrance(what) !== '') return;
  if (doubts(what) === '') go(what);
  else asked.value = what;
}

function go(what: Asked): void {
  if (hindrance(what) === '') void place(rules.body(what.draft, what.symbol, freshId(), gatewayMs()), instrument.value);
}

function doubts({ draft: what }: Asked): string {
  const now = aroundOf(what.side);
  return now ? rules.doubts(what, now, confirmFrom(now.of.quote).value) : '';
}

export function Ticket() {
  const of = instrument.value;
  if (!of) return null;
  const { side, type, tif, reduceOnly } = draft.value;
  const label = labelOf(side, of);
  const mode = config.value && modeOf(config.value);
  const quoted = rules.inQuote(draft.value);
  return (
    <section class="panel ticket" aria-labelledby="ticket-title">
      <h2 id="ticket-title">Order {mode?.kind === 'real' ? <strong class="real">{mode.money}</strong> : <span class="muted">{mode?.money}</span>}</h2>
      <form id="ticket" onSubmit={submit} onKeyDown={notHeld} autocomplete="off" noValidate>
        <fieldset class="sides" disabled={busy.value}>
          <legend class="hidden">Side</legend>
          <Choice value="BUY" hint="B">Buy</Choice>
          <Choice value="SELL" hint="S">Sell</Choice>
        </fieldset>
        <div class="pair">
          <label>Type
            <select id="type" value={type} onChange={(e) => change({ type: e.currentTarget.value as OrderType })}>
              {Object.entries(TYPES).map(([name, words]) => <option key={name} value={name}>{words}</option>)}
            </select>
          </label>
          <label>In force
            <select id="tif" value={rules.hasTif(type) ? tif : ''} disabled={!rules.hasTif(type)} onChange={(e) => change({ tif: e.currentTarget.value as Tif })}>
              {rules.hasTif(type) ? null : <option value="">{rules.hasLimit(type) ? 'Until cancelled' : 'Immediate'}</option>}
              {Object.entries(TIFS).map(([name, words]) => <option key={name} value={name}>{words}</option>)}
            </select>
          </label>
        </div>
        <div class="amount">
          <Input field="qty" label={quoted ? `Amount (${of.quote})` : `Quantity (${of.base})`} hint={quoted ? of.min_notional : of.lot} />
          {type === 'MARKET' ? <button type="button" class="unit" onClick={() => change({ inQuote: !draft.value.inQuote })} aria-label={`Enter the amount in ${quoted ? of.base : of.quote}`}>{quoted ? of.quote : of.base} ⇄</button> : null}
        </div>
        <Portions />
        {rules.hasStop(type) ? <Input field="stop" label={`Stop price (${of.quote})`} hint={of.tick} /> : null}
        {type === 'OCO' ? <Input field="stopLimit" label={`Limit of the stop (${of.quote})`} hint="none: any price" /> : null}
        {rules.hasLimit(type) ? <PriceInput /> : null}
        {rules.hasTif(type) && tif === 'GTD' ? <Input field="minutes" label="For how many minutes" hint="60" /> : null}
        {side === 'SELL' && type !== 'OCO' ? <label class="check"><input id="reduce-only" type="checkbox" checked={reduceOnly} onChange={(e) => change({ reduceOnly: e.currentTarget.checked })} />Reduce only: no more than is free</label> : null}
        <Estimated draft={draft.value} />
        <p id="ticket-check" class="check-text" aria-live="polite">{check.value}</p>
        <button class={`send ${side === 'BUY' ? 'buy' : 'sell'}`} onClick={notTwice} disabled={busy.value || unsure.value !== undefined || problem.value !== undefined || !live.value}>{label}</button>
      </form>
      <p id="ticket-answer" class={`answer ${answer.value?.good ? 'good' : 'bad'}`} role="status">{answer.value?.text ?? (unsure.value ? `${nameOf(unsure.value)}: not known whether it was placed.` : '')}</p>
      {unsure.value ? <Unsure body={unsure.value} /> : null}
      <Threshold quote={of.quote} />
      {asked.value ? <Confirm asked={asked.value} /> : null}
    </section>
  );
}

function Threshold({ quote }: { quote: string }) {
  const from = confirmFrom(quote);
  return (
    <label class="threshold">Confirm from ({quote})
      <input id="confirm-from" inputMode="decimal" value={from.value} title="Orders worth as much or more are asked about first; 0: every order" onChange={(e) => { if (isWorth(e.currentTarget.value)) from.value = e.currentTarget.value; else e.currentTarget.value = from.value; }} />
    </label>
  );
}

const labelOf = (side: Side, of: Instrument | undefined) => `${side === 'BUY' ? 'Buy' : 'Sell'} ${of?.base ?? ''}`;

function Unsure({ body }: { body: Record<string, unknown> }) {
  return (
    <div class="buttons">
      <button class="again" disabled={busy.value} onClick={() => void place(body, instrument.value)} title="Under its own id: it is placed once, however often it is sent">Send the same order again</button>
      <button disabled={busy.value} onClick={leave} title="See under Open and History whether it is there">Leave it</button>
    </div>
  );
}

/** What is sent is what is shown: the order as it was typed, and why it is asked about as of now. */
function Confirm({ asked: what }: { asked: Asked }) {
  const { side, type, price, stop, stopLimit, qty } = what.draft;
  const of = instruments.value.get(what.symbol);
  const mode = config.value && modeOf(config.value);
  const unit = rules.inQuote(what.draft) ? of?.quote : of?.base;
  const at = [rules.hasStop(type) ? `stop ${shown(stop)}` : '', type === 'OCO' && stopLimit !== '' ? `then at ${shown(stopLimit)}` : '', rules.hasLimit(type) ? `at ${shown(price)}` : ''].filter(Boolean).join(', ');
  return (
    <Ask title="Send this order?" yes={labelOf(side, of)} wrong={hindrance(what)} buy={side === 'BUY'} sell={side === 'SELL'} onYes={() => go(what)} close={() => { asked.value = undefined; }}>
      {mode?.kind === 'real' ? <p><strong class="real">{mode.money}</strong></p> : null}
      <p class="big"><span class={side === 'BUY' ? 'buy' : 'sell'}>{side}</span> {shown(qty)} {unit} <span class="muted">{TYPES[type]}</span> {at}</p>
      <Estimated draft={what.draft} />
      <p>{doubts(what)}</p>
    </Ask>
  );
}

function Choice(props: { value: Side; hint: string; children: string }) {
  return (
    <label class={props.value === 'BUY' ? 'buy' : 'sell'} title={`Key ${props.hint}`}>
      <input type="radio" name="side" value={props.value} checked={draft.value.side === props.value} onChange={() => change({ side: props.value })} />
      {props.children}
    </label>
  );
}

function Input({ field, label, hint, value }: { field: Field; label: string; hint: string; value?: Signal<string> }) {
  const text = value?.value ?? draft.value[field];
  return (
    <label>{label}
      <input id={field} inputMode="decimal" spellcheck={false} placeholder={hint} value={text} aria-describedby="ticket-check"
        aria-invalid={text !== '' && wrongField.value === field} onInput={(e) => change({ [field]: e.currentTarget.value.trim() })} onKeyDown={(e) => nudge(e, field)} />
    </label>
  );
}

function PriceInput() {
  const of = instrument.value;
  const last = markets.read().get(symbol.value)?.price ?? '';
  return <Input field="price" label={`Price (${of?.quote})`} hint={shown(last, places(of?.tick ?? '1'))} />;
}

/** Arrow up and down: one step of the price or the quantity. */
function nudge(event: KeyboardEvent, field: Field): void {
  const sign = event.key === 'ArrowUp' ? 1n : event.key === 'ArrowDown' ? -1n : 0n;
  const of = instrument.value;
  const size = decimal(field === 'qty' ? of?.lot : field === 'minutes' ? '1' : of?.tick);
  const now = decimal(draft.value[field]);
  if (sign === 0n || !size || !now || !of) return;
  event.preventDefault();
  const next = subtract(now, { units: -sign * size.units, scale: size.scale });
  if (next.units > 0n) change({ [field]: print(next, places(field === 'qty' ? of.lot : field === 'minutes' ? '1' : of.tick)) });
}

function Portions() {
  const use = (percent: number) => {
    const qty = around.value && rules.portion(percent, draft.value, around.value);
    if (qty !== undefined) change({ qty });
  };
  return (
    <div class="portions" role="group" aria-label="Part of what is free">
      {PORTIONS.map((percent) => <button key={percent} type="button" onClick={() => use(percent)}>{percent} %</button>)}
    </div>
  );
}

/** How the worth that is shown is meant. */
function roughly({ type, side }: Draft, thin: boolean): string {
  if (thin) return ', at least';
  if (type === 'OCO') return side === 'BUY' ? ', at its stop' : ', at its limit';
  return rules.hasLimit(type) ? '' : ', about';
}

function Estimated({ draft: what }: { draft: Draft }) {
  const now = aroundOf(what.side);
  if (!now) return null;
  const { of, free } = now;
  const { side, type } = what;
  const { total, qty, needed, asset, fee, feeAsset, thin } = rules.estimate(what, now);
  const short = needed && free && compare(needed, free) > 0;
  const digits = places(of.tick);
  const average = type === 'MARKET' && total && qty ? divide(total, qty, digits + 2) : undefined;
  // Each level further is a worse price.
  const price = !thin ? 'about' : side === 'BUY' ? 'at least' : 'at most';
  return (
    <dl class="estimate">
      <div><dt>{side === 'BUY' ? 'Cost' : 'Proceeds'}{roughly(what, thin)}</dt><dd>{total ? `${shown(print(type === 'MARKET' ? floorTo(total, { units: 1n, scale: digits }) : total), digits)} ${of.quote}` : '—'}</dd></div>
      {average ? <div><dt>Average price, {price}</dt><dd>{shown(print(average), digits)}</dd></div> : null}
      <div><dt>Fee, at {thin ? 'least' : 'most'}</dt><dd>{fee ? `${shown(print(fee))} ${feeAsset}` : '—'}</dd></div>
      <div data-bad={short === true}><dt>Free</dt><dd>{free ? `${shown(print(free), digits)} ${asset}` : '—'}{short ? ' (too little)' : ''}</dd></div>
      {thin ? <div data-bad="true"><dt>Beyond the book shown</dt><dd>the rest: worse prices, or it expires</dd></div> : null}
    </dl>
  );
}
