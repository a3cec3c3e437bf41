// Orders on their way. None is placed twice: one whose outcome is not known is kept, over a reload too, until an
// answer decides it. It is sent again under its own id, which places nothing if it was placed.

import { signal } from '@preact/signals';
import { messageOf, post, Refusal, Unknown } from './api';
import { shown } from './decimal';
import { inWords } from './reasons';
import { pathOf } from './ticket';
import type { Instrument } from './types';

type Order = Record<string, unknown>;

const UNSURE_KEY = 'veloz.unsure';
/** Refusals that say what became of an order which was sent before; any other speaks of its own request alone. */
const DECIDES = new Set([409, 422]);

export const busy = signal(false);
interface Answer {
  good: boolean;
  text: string;
}

export const answer = signal<Answer | undefined>(undefined);
/** Sent, and not known to have been taken or refused. */
export const unsure = signal<Order | undefined>(recall());

function recall(): Order | undefined {
  try {
    const kept: unknown = JSON.parse(sessionStorage.getItem(UNSURE_KEY) ?? 'null');
    return typeof kept === 'object' && kept !== null ? (kept as Order) : undefined;
  } catch {
    return undefined;
  }
}

/** What a page that is loaded anew is in doubt about. */
function keep(order: Order | undefined): void {
  try {
    if (order) sessionStorage.setItem(UNSURE_KEY, JSON.stringify(order));
    else sessionStorage.removeItem(UNSURE_KEY);
  } catch {
    // Storage is switched off: it is known as long as the page stands.
  }
}

/** Forgets the order that is in doubt. */
export function leave(): void {
  settle(undefined);
  answer.value = undefined;
}

function settle(doubted: Order | undefined): void {
  unsure.value = doubted;
  keep(doubted);
}

/** Sends an order; while one is in doubt, only that one. `of` is what it trades. */
export async function place(order: Order, of: Instrument | undefined): Promise<void> {
  if (busy.value || (unsure.value ?? order) !== order) return;
  const again = unsure.value !== undefined;
  busy.value = true;
  // A page that is left before the answer is here does not know it.
  keep(order);
  try {
    const { good, text } = taken(await post<Placed>(pathOf(order), order), of);
    settle(undefined);
    answer.value = { good, text: `${nameOf(order)}: ${text}` };
  } catch (error) {
    const decided = error instanceof Refusal && (!again || DECIDES.has(error.status));
    settle(decided ? undefined : order);
    answer.value = { good: false, text: `${nameOf(order)}: ${decided ? refusal(error, of) : `not known whether it was placed: ${messageOf(error)}.`}` };
  } finally {
    busy.value = false;
  }
}

/** Taken, and not done as it was wanted. */
const UNDONE = new Set(['CANCELLED', 'EXPIRED', 'REJECTED']);

interface Placed {
  status?: unknown;
  executed_qty?: unknown;
  reason?: string;
  /** Of a pair. */
  orders?: unknown;
}

function taken({ status, executed_qty: executed, reason, orders }: Placed, of: Instrument | undefined): Answer {
  if (Array.isArray(orders)) return { good: true, text: 'both are ACCEPTED; the first that is executed ends the other.' };
  if (typeof status !== 'string' || typeof executed !== 'string') throw new Unknown('the answer does not say');
  return { good: !UNDONE.has(status), text: `${status}, executed ${shown(executed)}.${reason ? ` ${inWords(reason, of)}` : ''}` };
}

/** In words, and the gateway's own code or message. */
function refusal(error: Refusal, of: Instrument | undefined): string {
  const code = error.reason || error.code;
  const words = inWords(code, of);
  return `refused. ${words === code ? error.message : `${words} (${code})`}`;
}

/** What an order is, for a person: the ticket may show another by then. */
export function nameOf({ side, symbol, qty, quote_qty: worth, price }: Order): string {
  const what = qty === undefined ? `${symbol} for ${worth}` : `${qty} ${symbol}`;
  return `${side} ${what}${price === undefined ? '' : ` at ${price}`}`;
}
