// Open orders with their cancels, what became of orders, and fills.

import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { post } from '../api';
import { places, shown } from '../decimal';
import { fills, instruments, openOrders, updates } from '../store';
import { Empty, sideClass, Time } from '../text';

type Tab = 'open' | 'history' | 'fills';
const tab = signal<Tab>('open');
const told = signal('');
const leaving = signal<ReadonlySet<string>>(new Set());

/** A price at its instrument's precision, and a quantity. */
function priceOf(text: string | undefined, name: string | undefined): string {
  return shown(text, places(instruments.value.get(name ?? '')?.tick ?? '1'));
}

function qtyOf(text: string | undefined, name: string | undefined): string {
  return shown(text, places(instruments.value.get(name ?? '')?.lot ?? '1'));
}

async function cancel(id: string): Promise<void> {
  leaving.value = new Set(leaving.value).add(id);
  try {
    await post('/api/cancel', { client_order_id: id });
    told.value = '';
  } catch (error) {
    told.value = `${id} was not cancelled: ${error instanceof Error ? error.message : String(error)}`;
  } finally {
    const left = new Set(leaving.value);
    left.delete(id);
    leaving.value = left;
  }
}

async function cancelAll(): Promise<void> {
  try {
    const { cancelled } = await post<{ cancelled: string[] }>('/api/cancel_all', {});
    told.value = `${cancelled.length} cancelled`;
  } catch (error) {
    told.value = `Not cancelled: ${error instanceof Error ? error.message : String(error)}`;
  }
}

export function Orders() {
  return (
    <section class="panel orders" aria-labelledby="orders-title">
      <h2 id="orders-title" class="hidden">Orders</h2>
      <div class="bar" role="tablist" aria-label="Orders">
        <TabButton name="open"><OpenCount /></TabButton>
        <TabButton name="history">History</TabButton>
        <TabButton name="fills">Fills</TabButton>
        <span class="space" />
        <span class="told" role="status">{told.value}</span>
        <CancelAll />
      </div>
      <div class="scroll" role="tabpanel" id="orders-panel" aria-labelledby={`tab-${tab.value}`} tabIndex={0}>
        {tab.value === 'open' ? <Open /> : tab.value === 'history' ? <History /> : <Fills />}
      </div>
    </section>
  );
}

const TABS: Tab[] = ['open', 'history', 'fills'];

function onTabKey(event: KeyboardEvent): void {
  const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
  if (step === 0) return;
  const next = TABS[(TABS.indexOf(tab.value) + step + TABS.length) % TABS.length] ?? 'open';
  tab.value = next;
  document.getElementById(`tab-${next}`)?.focus();
}

function TabButton({ name, children }: { name: Tab; children: ComponentChildren }) {
  const chosen = tab.value === name;
  return (
    <button id={`tab-${name}`} role="tab" aria-selected={chosen} aria-controls="orders-panel" tabIndex={chosen ? 0 : -1}
      onClick={() => { tab.value = name; }} onKeyDown={onTabKey}>{children}</button>
  );
}

function OpenCount() {
  return <>Open ({openOrders.read().size})</>;
}

function CancelAll() {
  return <button class="danger" disabled={openOrders.read().size === 0} onClick={() => void cancelAll()}>Cancel all</button>;
}

function Open() {
  const orders = [...openOrders.read().values()].reverse();
  return (
    <table id="open-orders">
      <thead><tr><th scope="col">Side</th><th scope="col" class="n">Price</th><th scope="col" class="n">Quantity</th><th scope="col" class="n">Executed</th><th scope="col">Status</th><th scope="col">Symbol</th><th scope="col">Changed</th><th scope="col">Id</th><th scope="col" class="act"><span class="hidden">Cancel</span></th></tr></thead>
      <tbody>
        {orders.length === 0 ? <Empty columns={9}>No open orders. Place one with the ticket.</Empty> : null}
        {orders.map((order) => (
          <tr key={order.client_order_id}>
            <td class={sideClass(order.side)}>{order.side}</td><td class="n">{priceOf(order.limit_price, order.symbol)}</td>
            <td class="n">{qtyOf(order.order_qty, order.symbol)}</td><td class="n">{qtyOf(order.executed_qty, order.symbol)}</td>
            <td>{order.status}</td><td>{order.symbol}</td><td><Time ns={order.last_ts_ns} /></td><td class="id" title={order.client_order_id}>{order.client_order_id}</td>
            <td class="act"><button class="small" disabled={leaving.value.has(order.client_order_id)} aria-label={`Cancel ${order.client_order_id}`} onClick={() => void cancel(order.client_order_id)}>Cancel</button></td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function History() {
  const rows = updates.read();
  return (
    <table id="order-history">
      <thead><tr><th scope="col">Time</th><th scope="col">Side</th><th scope="col" class="n">Price</th><th scope="col" class="n">Quantity</th><th scope="col">Status</th><th scope="col">Reason</th><th scope="col">Symbol</th><th scope="col">Id</th><th scope="col" class="n">Event</th></tr></thead>
      <tbody>
        {rows.length === 0 ? <Empty columns={9}>Nothing has happened to an order yet.</Empty> : null}
        {rows.map((row) => (
          <tr key={row.id}>
            <td><Time ns={row.ts_ns} /></td><td class={sideClass(row.side)}>{row.side}</td>
            <td class="n">{priceOf(row.price, row.symbol) || 'market'}</td><td class="n">{qtyOf(row.qty, row.symbol)}</td><td data-status={row.status}>{row.status}</td><td>{row.reason}</td>
            <td>{row.symbol}</td><td class="id" title={row.client_order_id}>{row.client_order_id}</td><td class="n">{row.id}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Fills() {
  const rows = fills.read();
  return (
    <table id="fills">
      <thead><tr><th scope="col">Time</th><th scope="col">Side</th><th scope="col" class="n">Price</th><th scope="col" class="n">Quantity</th><th scope="col" class="n">Fee</th><th scope="col">Liquidity</th><th scope="col">Symbol</th><th scope="col">Id</th><th scope="col" class="n">Event</th></tr></thead>
      <tbody>
        {rows.length === 0 ? <Empty columns={9}>No fills yet.</Empty> : null}
        {rows.map((row) => (
          <tr key={row.id}>
            <td><Time ns={row.ts_ns} /></td><td class={sideClass(row.side)}>{row.side}</td>
            <td class="n">{priceOf(row.price, row.symbol)}</td><td class="n">{qtyOf(row.qty, row.symbol)}</td><td class="n">{shown(row.fee)} {row.fee_asset}</td><td>{row.liquidity}</td>
            <td>{row.symbol}</td><td class="id" title={row.client_order_id}>{row.client_order_id}</td><td class="n">{row.id}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
