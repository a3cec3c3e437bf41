//! The bodies of orders and amendments.
//!
//! Contract: what is read has every default filled in, so that equal requests are equal values, and is in
//! its domain. A refusal names the field, its value and the rule.

use veloz_core::input::{AmendOrder, NewOrder};
use veloz_core::order::{OrderType, TimeInForce};
use veloz_core::types::{ClientOrderId, Money, Qty, Side, Symbol};

use super::body::{Field, fields, missing, refused};
use super::error::ApiError;

const ORDER_FIELDS: [&str; 12] = [
    "side",
    "symbol",
    "qty",
    "price",
    "client_order_id",
    "type",
    "time_in_force",
    "post_only",
    "quote_qty",
    "stop_price",
    "expire_ts_ns",
    "reduce_only",
];

/// Reads the body of `POST /api/order`.
///
/// # Errors
/// When it cannot be read or is out of its domain: the answer to it.
pub fn parse_order(body: &[u8]) -> Result<NewOrder, ApiError> {
    let [
        side,
        symbol,
        qty,
        price,
        id,
        order_type,
        time_in_force,
        post_only,
        quote_qty,
        stop_price,
        expire_ts_ns,
        reduce_only,
    ] = fields(body, ORDER_FIELDS)?;
    let side = side.text(parse_side)?;
    let quote_qty: Option<Money> = quote_qty.decimal()?;
    let qty: Option<Qty> = qty.decimal()?;
    if qty.is_some() && quote_qty.is_some() {
        return Err(ApiError::bad_params("quote_qty: must be left out when qty is given"));
    }
    let qty = match quote_qty {
        Some(_) => Qty::ZERO,
        None => qty.ok_or_else(|| missing("qty"))?,
    };
    let (order_type, time_in_force) = parse_kind(&order_type, &time_in_force, &post_only)?;
    let order = NewOrder {
        oco_with: None,
        symbol: symbol.text(parse_symbol)?.ok_or_else(|| missing("symbol"))?,
        side: side.ok_or_else(|| missing("side"))?,
        qty,
        quote_qty,
        order_type,
        time_in_force,
        price: price.decimal()?,
        stop_price: stop_price.decimal()?,
        expire_ts_ns: expire_ts_ns.count()?,
        reduce_only: reduce_only.flag()?,
        client_order_id: match id.text(parse_id)? {
            Some(id) => id,
            None => new_id()?,
        },
    };
    order.check_domain()?;
    Ok(order)
}

/// Reads the body of `POST /api/amend`.
///
/// # Errors
/// When it cannot be read: the answer to it.
pub fn parse_amend(body: &[u8]) -> Result<AmendOrder, ApiError> {
    let [id, qty, price] = fields(body, ["client_order_id", "qty", "price"])?;
    Ok(AmendOrder {
        client_order_id: id.text(parse_id)?.ok_or_else(|| missing("client_order_id"))?,
        qty: qty.decimal()?,
        price: price.decimal()?,
    })
}

/// The type and how long the order stands. `post_only` is another way to say LIMIT_MAKER.
fn parse_kind(
    order_type: &Field<'_>,
    time_in_force: &Field<'_>,
    post_only: &Field<'_>,
) -> Result<(OrderType, TimeInForce), ApiError> {
    let order_type = order_type.text(|text| {
        OrderType::parse(text).ok_or_else(|| one_of(OrderType::ALL.iter().map(|v| v.as_str())))
    })?;
    let tif = time_in_force.text(parse_time_in_force)?;
    let order_type = match (order_type.unwrap_or(OrderType::Limit), post_only.flag()?) {
        (OrderType::Limit | OrderType::LimitMaker, true) => OrderType::LimitMaker,
        (other, true) => {
            let rule = format!("cannot be asked of a {} order", other.as_str());
            return Err(refused("post_only", "true", &rule));
        }
        (order_type, false) => order_type,
    };
    let default = if order_type.has_limit() { TimeInForce::Gtc } else { TimeInForce::Ioc };
    Ok((order_type, tif.unwrap_or(default)))
}

pub(super) fn parse_side(text: &str) -> Result<Side, String> {
    Side::parse(text).ok_or_else(|| "must be BUY or SELL".to_owned())
}

pub(super) fn parse_time_in_force(text: &str) -> Result<TimeInForce, String> {
    TimeInForce::parse(text).ok_or_else(|| one_of(TimeInForce::ALL.iter().map(|v| v.as_str())))
}

pub(super) fn parse_symbol(text: &str) -> Result<Symbol, String> {
    Symbol::parse(text).map_err(|error| error.to_string())
}

pub(super) fn parse_id(text: &str) -> Result<ClientOrderId, String> {
    ClientOrderId::parse(text).map_err(|error| error.to_string())
}

fn one_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    format!("must be one of {}", names.collect::<Vec<_>>().join(", "))
}

/// A name for an order whose client gave none: random, so that it stays unique across restarts.
pub(super) fn new_id() -> Result<ClientOrderId, ApiError> {
    let text = format!("veloz-{:016x}{:08x}", fastrand::u64(..), fastrand::u32(..));
    ClientOrderId::parse(&text).map_err(|error| ApiError::bad_params(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use veloz_core::types::Price;

    const ORDER: &str =
        r#"{"side":"BUY","symbol":"BTCUSDT","qty":0.001,"price":50000,"client_order_id":"x"}"#;

    fn check(more: &str, expected: (OrderType, TimeInForce)) {
        let body = ORDER.replace("\"side\"", &format!("{more}\"side\""));
        let order = parse_order(body.as_bytes()).unwrap();
        assert_eq!((order.order_type, order.time_in_force), expected, "{body}");
    }

    #[test]
    fn defaults_and_other_words_for_the_same() {
        let limit = (OrderType::Limit, TimeInForce::Gtc);
        check("", limit);
        check(r#""type":"limit","time_in_force":"gtc","post_only":false,"#, limit);
        check(r#""time_in_force":"Fok","#, (OrderType::Limit, TimeInForce::Fok));
        let maker = (OrderType::LimitMaker, TimeInForce::Gtc);
        check(r#""post_only":true,"#, maker);
        check(r#""type":"LIMIT_MAKER","#, maker);
        check(r#""type":"limit_maker","post_only":true,"time_in_force":"GTC","#, maker);
        check(r#""expire_ts_ns":9,"time_in_force":"gtd","#, (OrderType::Limit, TimeInForce::Gtd));
        check(
            r#""stop_price":1,"type":"stop_loss_limit","#,
            (OrderType::StopLossLimit, TimeInForce::Gtc),
        );
        let market = r#"{"side":"sell","symbol":"BTCUSDT","qty":"1","type":"market"}"#;
        let market = parse_order(market.as_bytes()).unwrap();
        assert_eq!((market.side, market.price), (Side::Sell, None));
        assert_eq!(market.time_in_force, TimeInForce::Ioc);
    }

    #[test]
    fn orders_without_an_id_get_one_of_their_own() {
        let body = ORDER.replace(r#","client_order_id":"x""#, "");
        let id = || parse_order(body.as_bytes()).unwrap().client_order_id;
        assert!(id().as_str().starts_with("veloz-"));
        assert_ne!(id(), id());
    }

    #[test]
    fn random_bodies_are_refused_or_in_their_domain() {
        let seed = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(7_u64);
        let mut random = fastrand::Rng::with_seed(seed);
        let mut parsed = 0;
        for round in 0..10_000 {
            let mut body = ORDER.as_bytes().to_vec();
            if round % 4 == 0 {
                body = (0..random.usize(..200)).map(|_| random.u8(..)).collect();
            }
            for _ in 0..random.usize(..3) {
                let at = random.usize(..=body.len());
                match body.get_mut(at) {
                    Some(byte) if random.bool() => *byte = random.u8(..),
                    _ => body.insert(at, random.u8(0x20..0x7f)),
                }
            }
            if let Ok(order) = parse_order(&body) {
                parsed += 1;
                let text = String::from_utf8_lossy(&body);
                assert!(order.qty > Qty::ZERO, "SEED={seed} {text}");
                assert!(order.price.is_some_and(|price| price > Price::ZERO), "SEED={seed} {text}");
            }
        }
        assert!(parsed > 1000, "SEED={seed}: only {parsed} parsed");
    }
}
