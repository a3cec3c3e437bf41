//! Orders: place, take back, list; and the kill switch.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use veloz_client::{
    Client, ClientOrderId, Event, Money, OrderReply, OrderRequest, OrderState, OrderStatus,
    OrderType, OrdersQuery, Price, Qty, RiskSettings, RiskUpdate, Side, Stop, Symbol, TimeInForce,
    TradingState, TsNs,
};
use veloz_core::limits::HTTP_PAGE_ITEMS;

use super::error::CliError;
use super::output::{Align, Column, Output, or_dash, time};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  veloz order buy BTCUSDT 0.001 50000
  veloz order sell BTCUSDT 0.001 50000 --tif ioc
  veloz order buy BTCUSDT 0.001 --type market
  veloz order buy BTCUSDT 0.001 50000 --id my-1    safe to repeat: placed once
  veloz order buy BTCUSDT --quote 100              for 100 USDT, at what the book offers
  veloz order sell BTCUSDT 0.001 --stop 45000      sold when the price falls to 45000
  veloz order sell BTCUSDT 0.001 59000 --take 60000

Exit code 3 when the gateway refuses the order: stderr says why.")]
pub(super) struct OrderArgs {
    /// buy or sell
    #[arg(value_parser = side_parser(), ignore_case = true)]
    side: Side,
    /// What to trade, such as BTCUSDT.
    #[arg(value_parser = parse_symbol)]
    symbol: Symbol,
    /// How much of the base asset. Left out with --quote.
    #[arg(allow_negative_numbers = true, required_unless_present = "quote")]
    qty: Option<Qty>,
    /// The limit: no worse than this. Left out of an order at any price.
    #[arg(allow_negative_numbers = true)]
    price: Option<Price>,
    /// A market order for this much of the quote asset, in place of QTY.
    #[arg(long, value_name = "AMOUNT", conflicts_with_all = ["qty", "stop", "take"])]
    quote: Option<Money>,
    /// Wait until the price goes against you as far as this (STOP_LOSS; with PRICE, STOP_LOSS_LIMIT).
    #[arg(long, value_name = "PRICE", conflicts_with = "take")]
    stop: Option<Price>,
    /// Wait until the price comes your way as far as this (TAKE_PROFIT; with PRICE, TAKE_PROFIT_LIMIT).
    #[arg(long, value_name = "PRICE")]
    take: Option<Price>,
    /// What remains of it expires then: nanoseconds since the epoch, by the gateway's clock.
    #[arg(long, value_name = "TS_NS", conflicts_with = "tif")]
    until: Option<TsNs>,
    /// Sell what is free, and no more: QTY is cut to it.
    #[arg(long)]
    reduce_only: bool,
    /// What the order asks for.
    #[arg(long = "type", value_enum, default_value = "limit", ignore_case = true)]
    kind: Kind,
    /// How long it stands: gtc (until cancelled), ioc (at once, the rest expires), fok (all at once or
    /// nothing).
    #[arg(long, value_parser = tif_parser(), ignore_case = true)]
    tif: Option<TimeInForce>,
    /// Refuse it when it would take liquidity.
    #[arg(long)]
    post_only: bool,
    /// An id of your own: 1 to 36 of A-Z a-z 0-9 - _, never used before.
    #[arg(long)]
    id: Option<ClientOrderId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Limit,
    Market,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  veloz amend my-1 --qty 0.0005            less: keeps its place in the queue
  veloz amend my-1 --price 49900           goes to the back of the queue there

Exit code 3 when the gateway refuses it: the order stands as it did.")]
pub(super) struct AmendArgs {
    /// The order's id, as `veloz orders` shows it.
    id: ClientOrderId,
    /// Its whole quantity, what is executed of it included.
    #[arg(long, required_unless_present = "price")]
    qty: Option<Qty>,
    /// Its limit.
    #[arg(long)]
    price: Option<Price>,
}

#[derive(Debug, Args)]
pub(super) struct CancelArgs {
    /// The order's id, as `veloz orders` shows it.
    id: ClientOrderId,
    /// Only if the order is of this symbol.
    #[arg(long, value_parser = parse_symbol)]
    symbol: Option<Symbol>,
}

#[derive(Debug, Args)]
pub(super) struct CancelAllArgs {
    /// Only orders of this symbol.
    #[arg(long, value_parser = parse_symbol)]
    symbol: Option<Symbol>,
}

#[derive(Debug, Args)]
pub(super) struct OrdersArgs {
    /// Only orders that stand.
    #[arg(long)]
    open: bool,
    /// Only this order.
    #[arg(long, conflicts_with = "open")]
    id: Option<ClientOrderId>,
}

#[derive(Debug, Args)]
pub(super) struct HaltArgs {
    /// Take every open order back too.
    #[arg(long)]
    cancel_all: bool,
}

pub(super) async fn order(
    client: &Client,
    args: &OrderArgs,
    output: &mut Output,
) -> Result<(), CliError> {
    let request = args.request()?;
    let placed = client.place_with_retry(&request).await;
    let reply = placed.map_err(|source| CliError::of_placing(request.id(), source))?;
    if output.json {
        return Ok(output.json(&reply)?);
    }
    placed_table(&[reply], output)
}

/// Orders as they were first answered for.
pub(super) fn placed_table(replies: &[OrderReply], output: &mut Output) -> Result<(), CliError> {
    const COLUMNS: &[Column] = &[
        ("ID", Align::Left),
        ("STATUS", Align::Left),
        ("EXECUTED", Align::Right),
        ("VENUE ID", Align::Left),
        ("REASON", Align::Left),
    ];
    let row = |reply: &OrderReply| {
        vec![
            reply.client_order_id.to_string(),
            reply.status.as_str().to_owned(),
            reply.executed_qty.to_string(),
            or_dash(reply.venue_order_id),
            or_dash(Some(&reply.reason)),
        ]
    };
    Ok(output.table(COLUMNS, &replies.iter().map(row).collect::<Vec<_>>())?)
}

impl OrderArgs {
    fn request(&self) -> Result<OrderRequest, CliError> {
        let usage = |text: &str| Err(CliError::Usage(text.to_owned()));
        let (side, symbol, qty) = (self.side, self.symbol, self.qty.unwrap_or_default());
        let stop = self.stop.map(|at| (Stop::Loss, at));
        let stop = stop.or(self.take.map(|at| (Stop::Profit, at)));
        let mut request = match (self.kind, self.price, self.quote) {
            (_, None, Some(quote)) => OrderRequest::market_for(side, symbol, quote),
            (Kind::Limit, Some(price), None) => OrderRequest::limit(side, symbol, qty, price),
            (Kind::Market, None, None) => OrderRequest::market(side, symbol, qty),
            (Kind::Limit, None, None) if stop.is_some() => OrderRequest::market(side, symbol, qty),
            (Kind::Limit, None, None) => {
                return usage("a limit order needs a price (or --type market)");
            }
            (_, Some(_), _) => return usage("a market order has no price"),
        };
        if let Some((stop, at)) = stop {
            request = request.wait_for(stop, at);
        }
        if let Some(until) = self.until {
            request = request.until(until);
        }
        if self.reduce_only {
            request = request.reduce_only();
        }
        if let Some(tif) = self.tif {
            request = request.time_in_force(tif);
        }
        if self.post_only {
            request = request.post_only();
        }
        Ok(match self.id {
            Some(id) => request.with_id(id),
            None => request,
        })
    }
}

pub(super) async fn amend(
    client: &Client,
    args: &AmendArgs,
    output: &mut Output,
) -> Result<(), CliError> {
    let reply = client.amend(args.id, args.qty, args.price).await?;
    if output.json {
        return Ok(output.json(&reply)?);
    }
    const COLUMNS: &[Column] = &[
        ("ID", Align::Left),
        ("STATUS", Align::Left),
        ("QTY", Align::Right),
        ("PRICE", Align::Right),
        ("EXECUTED", Align::Right),
    ];
    let row = vec![
        reply.client_order_id.to_string(),
        reply.status.as_str().to_owned(),
        reply.qty.to_string(),
        or_dash(reply.price),
        reply.executed_qty.to_string(),
    ];
    Ok(output.table(COLUMNS, &[row])?)
}

pub(super) async fn cancel(
    client: &Client,
    args: &CancelArgs,
    output: &mut Output,
) -> Result<(), CliError> {
    client.cancel(args.id, args.symbol).await?;
    if output.json {
        let json = format!("{{\"ok\":true,\"client_order_id\":\"{}\"}}", args.id);
        return Ok(output.json_line(&json)?);
    }
    Ok(output.line(&format!("{} {}", args.id, OrderStatus::Cancelled.as_str()))?)
}

pub(super) async fn cancel_all(
    client: &Client,
    args: &CancelAllArgs,
    output: &mut Output,
) -> Result<(), CliError> {
    let cancelled = client.cancel_all(args.symbol).await?;
    if output.json {
        return Ok(output.json(&cancelled)?);
    }
    for id in &cancelled.cancelled {
        output.line(&format!("{id} {}", OrderStatus::Cancelled.as_str()))?;
    }
    Ok(())
}

pub(super) async fn orders(
    client: &Client,
    args: &OrdersArgs,
    output: &mut Output,
) -> Result<(), CliError> {
    let states = match args.id {
        Some(id) => vec![client.order_state(id).await?],
        None => all_states(client, args.open).await?,
    };
    if output.json {
        let mut json = b"{\"items\":[".to_vec();
        for (i, state) in states.into_iter().enumerate() {
            json.extend_from_slice(if i == 0 { b"" } else { b"," });
            Event::OrderState(state).encode(&mut json);
        }
        json.extend_from_slice(b"]}");
        return Ok(output.json_line(&String::from_utf8_lossy(&json))?);
    }
    const COLUMNS: &[Column] = &[
        ("ID", Align::Left),
        ("SYMBOL", Align::Left),
        ("SIDE", Align::Left),
        ("TYPE", Align::Left),
        ("QTY", Align::Right),
        ("PRICE", Align::Right),
        ("STOP", Align::Right),
        ("EXECUTED", Align::Right),
        ("AVERAGE", Align::Right),
        ("STATUS", Align::Left),
        ("UPDATED", Align::Left),
        ("REASON", Align::Left),
    ];
    Ok(output.table(COLUMNS, &states.iter().map(state_row).collect::<Vec<_>>())?)
}

/// Page by page, oldest first.
async fn all_states(client: &Client, open: bool) -> Result<Vec<OrderState>, CliError> {
    let mut query = OrdersQuery { open, limit: Some(HTTP_PAGE_ITEMS), after: None };
    let mut states = Vec::new();
    loop {
        let page = client.orders_state(&query).await?;
        let is_last = page.items.len() < HTTP_PAGE_ITEMS;
        states.extend(page.items);
        if is_last {
            return Ok(states);
        }
        query.after = Some(page.next_after);
    }
}

fn state_row(state: &OrderState) -> Vec<String> {
    vec![
        state.client_order_id.to_string(),
        or_dash(state.symbol),
        or_dash(state.side.map(Side::as_str)),
        or_dash(state.order_type.map(OrderType::as_str)),
        or_dash(state.order_qty),
        or_dash(state.limit_price),
        or_dash(state.stop_price),
        state.executed_qty.to_string(),
        state.avg_price.to_string(),
        or_dash(state.status.map(OrderStatus::as_str)),
        time(state.last_ts_ns),
        or_dash(state.reason.as_deref()),
    ]
}

pub(super) async fn halt(
    client: &Client,
    args: &HaltArgs,
    output: &mut Output,
) -> Result<(), CliError> {
    set_state(client, TradingState::Halted, args.cancel_all, output).await
}

pub(super) async fn resume(client: &Client, output: &mut Output) -> Result<(), CliError> {
    set_state(client, TradingState::Active, false, output).await
}

async fn set_state(
    client: &Client,
    state: TradingState,
    cancel_all: bool,
    output: &mut Output,
) -> Result<(), CliError> {
    let update = RiskUpdate { state: Some(state), cancel_all, ..RiskUpdate::default() };
    let settings: RiskSettings = client.set_risk(&update).await?;
    if output.json {
        return Ok(output.json(&settings)?);
    }
    Ok(output.line(match settings.state {
        TradingState::Active => "orders are taken",
        TradingState::ReduceOnly => "only orders that reduce what is held are taken",
        TradingState::Halted => "no orders are taken; `veloz resume` takes them again",
    })?)
}

/// A symbol in any case.
pub(super) fn parse_symbol(text: &str) -> Result<Symbol, String> {
    Symbol::parse(&text.to_uppercase()).map_err(|e| e.to_string())
}

pub(super) fn side_parser() -> impl TypedValueParser<Value = Side> {
    PossibleValuesParser::new(["buy", "sell"])
        .try_map(|text| Side::parse(&text).ok_or("is no side"))
}

pub(super) fn tif_parser() -> impl TypedValueParser<Value = TimeInForce> {
    PossibleValuesParser::new(["gtc", "ioc", "fok"])
        .try_map(|text| TimeInForce::parse(&text).ok_or("is no time in force"))
}
