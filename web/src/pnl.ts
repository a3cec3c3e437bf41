// Positions and what they earn, out of the account's own fills, by average cost and with fees.
//
// A position is what the fills add up to; what the account held before the first of them is not counted, so
// selling it shows as a negative quantity. A fill in the position's direction adds to its cost; one against it
// closes that part at the average cost and realizes the difference. The fee counts where the venue took it: in
// base it is less bought, in quote it is less received, in another asset it is listed and not counted.
//
// Exact: what was realized, less the cost of what is held, is what the fills paid and received, to the last
// digit. Only the split of one fill between closing and cost is rounded, half to even at `SPLIT_DIGITS`.

import { add, compare, decimal, divide, magnitude, multiply, negate, subtract, ZERO, type Decimal } from './decimal';
import type { Fill } from './types';

const SPLIT_DIGITS = 16;

export interface Position {
  /** Above zero: bought more than sold. */
  qty: Decimal;
  /** What was paid for it, in quote; below zero for what was received. */
  cost: Decimal;
  realized: Decimal;
  /** Paid, by asset. */
  fees: Map<string, Decimal>;
  fills: number;
  /** What cost and gains are in; empty: not known. */
  quote: string;
}

export const NONE: Position = { qty: ZERO, cost: ZERO, realized: ZERO, fees: new Map(), fills: 0, quote: '' };

/** Base and quote of a symbol that nobody tells any more, as far as the asset of a fee does; empty: not known. */
export function assetsOf({ symbol, side, fee_asset: asset = '' }: Fill): [base: string, quote: string] {
  if (asset === '') return ['', ''];
  const [first, last] = [symbol.startsWith(asset), symbol.endsWith(asset)];
  // USDTUSD begins and ends with USD: the fee is taken from what is received.
  if (first && !(last && side === 'SELL')) return [asset, symbol.slice(asset.length)];
  return last ? [symbol.slice(0, -asset.length), asset] : ['', ''];
}

/** The position after one more fill; as it was, if the fill cannot be read. */
export function after(position: Position, fill: Fill, base: string, quote: string): Position {
  const [qty, price, fee] = [decimal(fill.qty), decimal(fill.price), decimal(fill.fee) ?? ZERO];
  if (!qty || !price || (fill.side !== 'BUY' && fill.side !== 'SELL')) return position;
  const worth = multiply(qty, price);
  let base_ = fill.side === 'BUY' ? qty : negate(qty);
  let cash = fill.side === 'BUY' ? negate(worth) : worth;
  if (fill.fee_asset === base) base_ = subtract(base_, fee);
  else if (fill.fee_asset === quote) cash = subtract(cash, fee);
  const fees = new Map(position.fees);
  if (fill.fee_asset && fee.units !== 0n) fees.set(fill.fee_asset, add(fees.get(fill.fee_asset) ?? ZERO, fee));
  return { ...move(position, base_, cash), fees, fills: position.fills + 1, quote: quote || position.quote };
}

/** Takes `base` in (below zero: out) for `cash` received (below zero: paid). */
function move(position: Position, base: Decimal, cash: Decimal): Pick<Position, 'qty' | 'cost' | 'realized'> {
  const { qty, cost, realized } = position;
  const opposite = qty.units !== 0n && base.units !== 0n && (qty.units < 0n) !== (base.units < 0n);
  if (!opposite) return { qty: add(qty, base), cost: subtract(cost, cash), realized };
  const [held, moved] = [magnitude(qty), magnitude(base)];
  const closed = compare(held, moved) < 0 ? held : moved;
  const cashOfClosed = part(cash, closed, moved);
  const costOfClosed = part(cost, closed, held);
  return {
    qty: add(qty, base),
    cost: subtract(subtract(cost, costOfClosed), subtract(cash, cashOfClosed)),
    realized: add(realized, subtract(cashOfClosed, costOfClosed)),
  };
}

/** `of * some / all`; all of it stays exact. */
function part(of: Decimal, some: Decimal, all: Decimal): Decimal {
  return compare(some, all) === 0 ? of : (divide(multiply(of, some), all, SPLIT_DIGITS) ?? ZERO);
}

/** What a unit cost on average; `undefined` of nothing. */
export function averageCost(position: Position, digits: number): Decimal | undefined {
  return divide(position.cost, position.qty, digits);
}

/** What it would earn at this price, before fees. */
export function unrealized(position: Position, price: Decimal): Decimal {
  return subtract(multiply(position.qty, price), position.cost);
}
