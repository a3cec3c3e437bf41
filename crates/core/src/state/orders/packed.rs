//! An order in 128 bytes, and in a line of text.

use crate::input::NewOrder;
use crate::order::{FirstAnswer, Order, OrderStatus, OrderType, TimeInForce};
use crate::risk::Reason;
use crate::types::{
    ClientOrderId, DenseId, EventId, Money, Price, Qty, Side, Symbol, Text, TsNs, VenueOrderId,
};

/// It has a limit.
const HAS_PRICE: u8 = 1;
const EXTERNAL: u8 = 2;
const ADOPTED: u8 = 4;
const REDUCE_ONLY: u8 = 8;
/// When it was first answered for, all was executed that is now.
const FIRST_EXECUTED_ALL: u8 = 16;
/// It locks nothing, and what was executed when it was first answered for stands in that place.
const FIRST_EXECUTED_PART: u8 = 32;
/// It is kept whole: of this only the name holds.
const ELSEWHERE: u8 = 64;

/// Nothing, in a line.
const NONE: &str = "-";

/// What most orders consist of. Of an order that has more to it, its name.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(super) struct Packed {
    pub(super) cum_quote: Money,
    pub(super) locked: Money,
    pub(super) qty: Qty,
    pub(super) price: Price,
    pub(super) executed_qty: Qty,
    pub(super) queued_at: EventId,
    pub(super) last_ts_ns: TsNs,
    /// Its name at the venue, a number; 0: none.
    pub(super) venue_number: u64,
    pub(super) pair: u16,
    pub(super) flags: u8,
    pub(super) client_order_id: DenseId,
    pub(super) status: Option<OrderStatus>,
    pub(super) first_status: Option<OrderStatus>,
    pub(super) side: Side,
    pub(super) order_type: OrderType,
    pub(super) time_in_force: TimeInForce,
    pub(super) reason: u8,
    pub(super) first_reason: u8,
}

impl Packed {
    /// Of an order of which not even the name is here.
    pub(super) const GONE: Packed = Packed::named(DenseId::NONE);

    /// Of an order that lies elsewhere.
    pub(super) const fn named(client_order_id: DenseId) -> Packed {
        Packed {
            cum_quote: Money::ZERO,
            locked: Money::ZERO,
            qty: Qty::ZERO,
            price: Price::ZERO,
            executed_qty: Qty::ZERO,
            queued_at: 0,
            last_ts_ns: 0,
            venue_number: 0,
            pair: 0,
            flags: ELSEWHERE,
            client_order_id,
            status: None,
            first_status: None,
            side: Side::Buy,
            order_type: OrderType::Limit,
            time_in_force: TimeInForce::Gtc,
            reason: 0,
            first_reason: 0,
        }
    }

    /// `None`: the order has more to it.
    pub(super) fn of(order: &Order) -> Option<Packed> {
        let mut packed = Packed::named(order.client_order_id().dense());
        packed.set(order).map(|()| packed)
    }

    /// Puts the order of that name here. `None`: it has more to it, and nothing is changed.
    pub(super) fn set(&mut self, order: &Order) -> Option<()> {
        let &Order { ref request, qty, price, executed_qty, locked, .. } = order;
        let has_more = request.quote_qty.is_some()
            || request.stop_price.is_some()
            || request.expire_ts_ns.is_some()
            || request.oco_with.is_some()
            || (request.qty, request.price) != (qty, price)
            || order.triggered
            || order.sent_ts_ns.is_some()
            || !order.trades.is_empty();
        if has_more {
            return None;
        }
        let flag = |flag, is_set| if is_set { flag } else { 0 };
        let mut flags = flag(HAS_PRICE, price.is_some())
            | flag(EXTERNAL, order.external)
            | flag(ADOPTED, order.adopted)
            | flag(REDUCE_ONLY, request.reduce_only);
        let mut locked = locked;
        let (mut first_status, mut first_reason) = (None, 0);
        if let Some(first) = &order.first {
            (first_status, first_reason) = (Some(first.status), code_of(&first.reason)?);
            if first.executed_qty == executed_qty {
                flags |= FIRST_EXECUTED_ALL;
            } else if !first.executed_qty.is_zero() {
                if !locked.is_zero() {
                    return None;
                }
                flags |= FIRST_EXECUTED_PART;
                locked = first.executed_qty.into();
            }
        }
        let venue_number = match &order.venue_order_id {
            Some(id) => id.number().filter(|number| *number != 0)?,
            None => 0,
        };
        let (pair, reason) = (u16::try_from(order.pair).ok()?, code_of(&order.reason)?);
        let client_order_id = self.client_order_id;
        *self = Packed {
            cum_quote: order.cum_quote,
            locked,
            qty,
            price: price.unwrap_or_default(),
            executed_qty,
            queued_at: order.queued_at,
            last_ts_ns: order.last_ts_ns,
            venue_number,
            pair,
            flags,
            client_order_id,
            status: order.status,
            first_status,
            side: request.side,
            order_type: request.order_type,
            time_in_force: request.time_in_force,
            reason,
            first_reason,
        };
        Some(())
    }

    /// What was asked for, of an instrument.
    #[inline(always)]
    pub(super) fn request(&self, symbol: Symbol) -> NewOrder {
        NewOrder {
            client_order_id: self.client_order_id(),
            symbol,
            side: self.side,
            order_type: self.order_type,
            time_in_force: self.time_in_force,
            qty: self.qty,
            quote_qty: None,
            price: self.has(HAS_PRICE).then_some(self.price),
            stop_price: None,
            expire_ts_ns: None,
            reduce_only: self.has(REDUCE_ONLY),
            oco_with: None,
        }
    }

    /// The order, of an instrument.
    pub(super) fn unpack(&self, symbol: Symbol) -> Order {
        let mut order = Order::new(self.request(symbol));
        self.unpack_into(&mut order);
        order
    }

    /// Puts what became of it into an order that has begun as what was asked for.
    #[inline(always)]
    pub(super) fn unpack_into(&self, order: &mut Order) {
        let in_part = self.has(FIRST_EXECUTED_PART);
        let first_executed = match (self.has(FIRST_EXECUTED_ALL), in_part) {
            (true, _) => self.executed_qty,
            (false, true) => Qty::of(self.locked),
            (false, false) => Qty::ZERO,
        };
        order.queued_at = self.queued_at;
        order.venue_order_id =
            (self.venue_number != 0).then(|| VenueOrderId::of_number(self.venue_number));
        order.status = self.status;
        order.executed_qty = self.executed_qty;
        order.cum_quote = self.cum_quote;
        order.locked = if in_part { Money::ZERO } else { self.locked };
        order.reason = text_of(self.reason);
        order.last_ts_ns = self.last_ts_ns;
        order.external = self.has(EXTERNAL);
        order.adopted = self.has(ADOPTED);
        order.first = self.first_status.map(|status| FirstAnswer {
            status,
            executed_qty: first_executed,
            reason: text_of(self.first_reason),
        });
        order.pair = usize::from(self.pair);
    }

    const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Appends it as a snapshot holds it: a line of names and whole numbers, a third as long as the order's JSON and
    /// read and written several times as fast. Names, not the places of them, so that another version reads it.
    pub(super) fn write(&self, symbol: Symbol, out: &mut String) {
        let mut number = itoa::Buffer::new();
        let status = |status: Option<OrderStatus>| status.map_or(NONE, OrderStatus::as_str);
        out.push_str(self.client_order_id().as_str());
        for name in [
            symbol.as_str(),
            self.side.as_str(),
            self.order_type.as_str(),
            self.time_in_force.as_str(),
            status(self.status),
            status(self.first_status),
            name_of(self.reason).unwrap_or(NONE),
            name_of(self.first_reason).unwrap_or(NONE),
            number.format(self.pair),
        ] {
            out.push(' ');
            out.push_str(name);
        }
        let mut put = |text: &str| {
            out.push(' ');
            out.push_str(text);
        };
        put(number.format(self.flags));
        put(number.format(self.qty.raw()));
        put(number.format(self.price.raw()));
        put(number.format(self.executed_qty.raw()));
        put(number.format(self.cum_quote.raw()));
        put(number.format(self.locked.raw()));
        put(number.format(self.queued_at));
        put(number.format(self.last_ts_ns));
        put(number.format(self.venue_number));
    }

    /// What [`Packed::write`] wrote.
    pub(super) fn read(line: &str) -> Option<(Packed, Symbol)> {
        let mut words = words(line);
        let client_order_id = ClientOrderId::parse(words.next()?).ok()?.dense();
        let symbol = Symbol::parse(words.next()?).ok()?;
        let packed = Packed {
            client_order_id,
            side: named(Side::ALL, |side| side.as_str(), words.next()?)?,
            order_type: named(OrderType::ALL, |one| one.as_str(), words.next()?)?,
            time_in_force: named(TimeInForce::ALL, |one| one.as_str(), words.next()?)?,
            status: status_of(words.next()?)?,
            first_status: status_of(words.next()?)?,
            reason: reason_of(words.next()?)?,
            first_reason: reason_of(words.next()?)?,
            pair: words.next()?.parse().ok()?,
            flags: words.next()?.parse().ok()?,
            qty: Qty::from_raw(words.next()?.parse().ok()?),
            price: Price::from_raw(words.next()?.parse().ok()?),
            executed_qty: Qty::from_raw(words.next()?.parse().ok()?),
            cum_quote: Money::from_raw(words.next()?.parse().ok()?),
            locked: Money::from_raw(words.next()?.parse().ok()?),
            queued_at: words.next()?.parse().ok()?,
            last_ts_ns: words.next()?.parse().ok()?,
            venue_number: words.next()?.parse().ok()?,
        };
        let is_whole = words.next().is_none() && !packed.is_elsewhere();
        is_whole.then_some((packed, symbol))
    }

    #[inline]
    pub(super) const fn client_order_id(&self) -> ClientOrderId {
        self.client_order_id.id()
    }

    pub(super) fn pair(&self) -> usize {
        usize::from(self.pair)
    }

    pub(super) const fn side(&self) -> Side {
        self.side
    }

    /// Has a look at both of its ends.
    pub(super) fn look(&self) -> usize {
        usize::from(self.first_reason) + usize::from(self.locked.is_zero())
    }

    /// Whether the order lies here, and is over.
    pub(super) const fn is_closed(&self) -> bool {
        matches!(self.status, Some(status) if status.is_final()) && !self.is_elsewhere()
    }

    /// Whether the order is kept whole, or lies ready for the first time.
    pub(super) const fn is_elsewhere(&self) -> bool {
        self.flags & ELSEWHERE != 0
    }

    /// Whether not even its name is here.
    pub(super) const fn is_gone(&self) -> bool {
        self.client_order_id.is_none()
    }

    /// Whether it is over for good: nothing is heard of it any more, and it was answered for. (Of one that an external
    /// venue has closed an execution may be told late.)
    pub(super) const fn may_be_archived(&self) -> bool {
        self.is_closed() && self.flags & EXTERNAL == 0 && self.first_status.is_some()
    }

    pub(super) const fn set_elsewhere(&mut self) {
        self.flags = ELSEWHERE;
    }
}

/// What stands between single spaces. (They are so short that a search made for long texts takes longer.)
fn words(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = text.bytes().position(|byte| byte == b' ');
        rest = end.and_then(|end| text.get(end + 1..));
        text.get(..end.unwrap_or(text.len()))
    })
}

/// A reason's place among all, from 1; 0: none. `None`: a venue's own words.
#[inline]
fn code_of(reason: &str) -> Option<u8> {
    if reason.is_empty() { Some(0) } else { code_among_all(reason) }
}

fn code_among_all(reason: &str) -> Option<u8> {
    let at = Reason::ALL.iter().position(|known| known.as_str() == reason)?;
    u8::try_from(at + 1).ok()
}

fn name_of(code: u8) -> Option<&'static str> {
    let reason = usize::from(code).checked_sub(1).and_then(|at| Reason::ALL.get(at));
    reason.map(|reason| reason.as_str())
}

fn text_of(code: u8) -> Text {
    Text::Borrowed(name_of(code).unwrap_or_default())
}

fn named<T: Copy>(all: &[T], name: impl Fn(T) -> &'static str, text: &str) -> Option<T> {
    all.iter().copied().find(|&one| name(one) == text)
}

fn status_of(text: &str) -> Option<Option<OrderStatus>> {
    if text == NONE {
        Some(None)
    } else {
        named(OrderStatus::ALL, OrderStatus::as_str, text).map(Some)
    }
}

fn reason_of(text: &str) -> Option<u8> {
    if text == NONE { Some(0) } else { code_of(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_between_single_spaces() {
        for line in ["", " ", "a", "a b", "a  b ", " a", "ä ö"] {
            assert!(words(line).eq(line.split(' ')), "{line:?}");
        }
    }

    /// Two lines of a processor's cache.
    #[test]
    fn its_size() {
        assert_eq!(size_of::<Packed>(), 128);
    }
}
