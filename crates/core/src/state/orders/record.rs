//! An order as the archive holds it: [`Packed`] in bytes whose meaning no later version changes.
//!
//! Little endian: cum_quote, locked (16 each), qty, price, executed_qty, queued_at, last_ts_ns, venue_number (8 each),
//! pair (2), then a byte each: flags, status, first status, side, type, time in force, reason, first reason (places
//! among all of their kind, from 1; 0: none), the length of the name; the name (36, zeros behind it); 1, the version.

use super::packed::Packed;
use crate::order::{OrderStatus, OrderType, TimeInForce};
use crate::risk::Reason;
use crate::state::archive::{ORDER_RECORD_BYTES, OrderRecord};
use crate::types::{ClientOrderId, Money, Price, Qty, Side};

const VERSION: u8 = 1;
/// The reasons as records have them, whatever their order elsewhere. New ones go to the end.
const REASONS: [Reason; 33] = [
    Reason::Halted,
    Reason::ReduceOnly,
    Reason::DailyLoss,
    Reason::SymbolStatus,
    Reason::PriceTick,
    Reason::PriceRange,
    Reason::PercentPrice,
    Reason::LotSize,
    Reason::MinNotional,
    Reason::MaxNotional,
    Reason::MaxOrderNotional,
    Reason::MaxSymbolNotional,
    Reason::MaxPosition,
    Reason::PriceCollar,
    Reason::MaxOpenOrders,
    Reason::OrderRate,
    Reason::InsufficientBalance,
    Reason::WouldTake,
    Reason::WouldTrigger,
    Reason::OcoPrices,
    Reason::AmendQty,
    Reason::UnsupportedByEngine,
    Reason::NoPrice,
    Reason::NoLiquidity,
    Reason::IocRemainder,
    Reason::FokUnfilled,
    Reason::Gtd,
    Reason::SelfTrade,
    Reason::Oco,
    Reason::UnknownOutcome,
    Reason::NotTaken,
    Reason::LostByVenue,
    Reason::NotTold,
];
/// The bits that have a meaning.
const FLAGS: u8 = 0x7f;

impl Packed {
    /// `None`: the archive has no code for something of it.
    pub(super) fn record(&self) -> Option<OrderRecord> {
        let [reason, first_reason] = [self.reason, self.first_reason]
            .map(|reason| other_place(Reason::ALL, &REASONS, reason));
        let mut out = Writer { record: [0; ORDER_RECORD_BYTES], at: 0 };
        out.put(&self.cum_quote.raw().to_le_bytes());
        out.put(&self.locked.raw().to_le_bytes());
        out.put(&self.qty.raw().to_le_bytes());
        out.put(&self.price.raw().to_le_bytes());
        out.put(&self.executed_qty.raw().to_le_bytes());
        out.put(&self.queued_at.to_le_bytes());
        out.put(&self.last_ts_ns.to_le_bytes());
        out.put(&self.venue_number.to_le_bytes());
        out.put(&self.pair.to_le_bytes());
        let name = self.client_order_id();
        out.put(&[
            self.flags,
            self.status.map_or(0, |status| code(OrderStatus::ALL, status)),
            self.first_status.map_or(0, |status| code(OrderStatus::ALL, status)),
            code(Side::ALL, self.side),
            code(OrderType::ALL, self.order_type),
            code(TimeInForce::ALL, self.time_in_force),
            reason?,
            first_reason?,
            u8::try_from(name.as_bytes().len()).unwrap_or_default(),
        ]);
        out.put(name.padded());
        out.put(&[VERSION]);
        Some(out.record)
    }

    /// `None`: it is no record of this version.
    pub(super) fn of_record(record: &OrderRecord) -> Option<Packed> {
        let mut bytes = Reader(record);
        let packed = Packed {
            cum_quote: Money::from_raw(i128::from_le_bytes(bytes.take()?)),
            locked: Money::from_raw(i128::from_le_bytes(bytes.take()?)),
            qty: Qty::from_raw(i64::from_le_bytes(bytes.take()?)),
            price: Price::from_raw(i64::from_le_bytes(bytes.take()?)),
            executed_qty: Qty::from_raw(i64::from_le_bytes(bytes.take()?)),
            queued_at: u64::from_le_bytes(bytes.take()?),
            last_ts_ns: i64::from_le_bytes(bytes.take()?),
            venue_number: u64::from_le_bytes(bytes.take()?),
            pair: u16::from_le_bytes(bytes.take()?),
            flags: bytes.byte()?,
            status: optional(OrderStatus::ALL, bytes.byte()?)?,
            first_status: optional(OrderStatus::ALL, bytes.byte()?)?,
            side: optional(Side::ALL, bytes.byte()?)??,
            order_type: optional(OrderType::ALL, bytes.byte()?)??,
            time_in_force: optional(TimeInForce::ALL, bytes.byte()?)??,
            reason: other_place(&REASONS, Reason::ALL, bytes.byte()?)?,
            first_reason: other_place(&REASONS, Reason::ALL, bytes.byte()?)?,
            client_order_id: {
                let len = usize::from(bytes.byte()?);
                let padded: [u8; ClientOrderId::MAX_BYTES] = bytes.take()?;
                let name = std::str::from_utf8(padded.get(..len)?).ok()?;
                ClientOrderId::parse(name).ok()?.dense()
            },
        };
        let is_whole = bytes.byte()? == VERSION
            && packed.flags & FLAGS == packed.flags
            && packed.may_be_archived();
        is_whole.then_some(packed)
    }
}

/// The place of one among all, from 1.
fn code<T: PartialEq>(all: &[T], one: T) -> u8 {
    let at = all.iter().position(|known| *known == one);
    at.and_then(|at| u8::try_from(at + 1).ok()).unwrap_or_default()
}

/// What stands at such a place; the outer `None`: nothing does.
fn optional<T: Copy>(all: &[T], code: u8) -> Option<Option<T>> {
    match usize::from(code).checked_sub(1) {
        None => Some(None),
        Some(at) => all.get(at).copied().map(Some),
    }
}

/// The place in one list, from 1, of what has that place in another; 0: none.
fn other_place<T: Copy + PartialEq>(from: &[T], to: &[T], place: u8) -> Option<u8> {
    match optional(from, place)? {
        None => Some(0),
        Some(one) => Some(code(to, one)).filter(|place| *place != 0),
    }
}

struct Writer {
    record: OrderRecord,
    at: usize,
}

impl Writer {
    fn put(&mut self, bytes: &[u8]) {
        let end = self.at + bytes.len();
        if let Some(place) = self.record.get_mut(self.at..end) {
            place.copy_from_slice(bytes);
        }
        self.at = end;
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take().map(|[byte]| byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Archives outlive versions: what a code means stays. New ones go to the end.
    #[test]
    fn what_the_codes_mean() {
        fn names<T: Copy>(all: &[T], name: fn(T) -> &'static str) -> String {
            all.iter().map(|one| name(*one)).collect::<Vec<_>>().join(" ")
        }
        assert_eq!(names(Side::ALL, Side::as_str), "BUY SELL");
        assert_eq!(names(TimeInForce::ALL, TimeInForce::as_str), "GTC IOC FOK GTD");
        assert_eq!(
            names(OrderStatus::ALL, OrderStatus::as_str),
            "ACCEPTED PARTIALLY_FILLED FILLED CANCELLED REJECTED EXPIRED"
        );
        assert_eq!(
            names(OrderType::ALL, OrderType::as_str),
            "LIMIT MARKET LIMIT_MAKER STOP_LOSS STOP_LOSS_LIMIT TAKE_PROFIT TAKE_PROFIT_LIMIT"
        );
        assert_eq!(
            names(&REASONS, Reason::as_str),
            "halted reduce_only daily_loss symbol_status price_tick price_range percent_price lot_size \
             min_notional max_notional max_order_notional max_symbol_notional max_position price_collar \
             max_open_orders order_rate insufficient_balance would_take would_trigger oco_prices \
             amend_qty unsupported_by_engine no_price no_liquidity ioc_remainder fok_unfilled gtd \
             self_trade oco unknown_outcome not_taken lost_by_venue not_told"
        );
        assert!(Reason::ALL.iter().all(|reason| REASONS.contains(reason)), "one has no code");
    }
}
