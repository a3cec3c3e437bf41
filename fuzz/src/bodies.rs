//! The bodies of orders and amendments: what is read is in its domain, and says the same when it is sent again.

use serde_json::{Map, Value, json};
use veloz::http::bodies::{parse_amend, parse_order};
use veloz_core::input::{AmendOrder, NewOrder};

/// See the module.
pub fn check(data: &[u8]) {
    if let Ok(order) = parse_order(data) {
        order.check_domain().expect("it is in its domain");
        let body = print_order(&order);
        let again = parse_order(body.as_bytes()).expect("it can be sent again");
        assert_eq!(again, order, "{body}");
    }
    if let Ok(amend) = parse_amend(data) {
        let body = print_amend(&amend);
        let again = parse_amend(body.as_bytes()).expect("it can be sent again");
        assert_eq!(again, amend, "{body}");
    }
}

fn put(fields: &mut Map<String, Value>, name: &str, value: Option<impl ToString>) {
    if let Some(value) = value {
        fields.insert(name.to_owned(), Value::String(value.to_string()));
    }
}

fn print_order(order: &NewOrder) -> String {
    let mut fields = Map::new();
    put(&mut fields, "client_order_id", Some(order.client_order_id.as_str()));
    put(&mut fields, "symbol", Some(order.symbol.as_str()));
    put(&mut fields, "side", Some(order.side.as_str()));
    put(&mut fields, "type", Some(order.order_type.as_str()));
    put(&mut fields, "time_in_force", Some(order.time_in_force.as_str()));
    put(&mut fields, "qty", order.quote_qty.is_none().then_some(order.qty));
    put(&mut fields, "quote_qty", order.quote_qty);
    put(&mut fields, "price", order.price);
    put(&mut fields, "stop_price", order.stop_price);
    if let Some(expire_ts_ns) = order.expire_ts_ns {
        fields.insert("expire_ts_ns".to_owned(), json!(expire_ts_ns));
    }
    fields.insert("reduce_only".to_owned(), json!(order.reduce_only));
    Value::Object(fields).to_string()
}

fn print_amend(amend: &AmendOrder) -> String {
    let mut fields = Map::new();
    put(&mut fields, "client_order_id", Some(amend.client_order_id.as_str()));
    put(&mut fields, "qty", amend.qty);
    put(&mut fields, "price", amend.price);
    Value::Object(fields).to_string()
}
