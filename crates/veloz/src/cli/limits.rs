//! The limits in front of the venue: shown with their use, and set.

use std::str::FromStr;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use veloz_client::{
    Asset, AssetLimits, Client, Money, Qty, RiskSettings, RiskUpdate, RiskUse, TradingState,
};

use super::error::CliError;
use super::output::{Align, Column, Output, or_dash};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  veloz risk                                   all limits, and how much of each is used
  veloz risk --max-order-notional 5000 --max-open-orders 20
  veloz risk --max-position BTC=2 --max-position ETH=30 --max-daily-loss USDT=500
  veloz risk --price-collar 0.02               no further than 2 % beyond the last price
  veloz risk --max-position BTC=none           lifts that limit
  veloz risk --state reduce-only               only what is held can be sold

What is not named stays as it is.")]
pub(super) struct RiskArgs {
    /// Whether orders are taken.
    #[arg(long, value_parser = state_parser(), ignore_case = true)]
    state: Option<TradingState>,
    /// The largest notional of one order, in its quote asset; none lifts the limit.
    #[arg(long, value_name = "AMOUNT", value_parser = limit::<Money>)]
    max_order_notional: Option<Limit<Money>>,
    /// What the open orders of one symbol may be worth, in its quote asset; none lifts the limit.
    #[arg(long, value_name = "AMOUNT", value_parser = limit::<Money>)]
    max_symbol_notional: Option<Limit<Money>>,
    /// The most open orders at once; none lifts the limit.
    #[arg(long, value_name = "N", value_parser = limit::<u32>)]
    max_open_orders: Option<Limit<u32>>,
    /// The most orders sent within any second; none lifts the limit.
    #[arg(long, value_name = "N", value_parser = limit::<u32>)]
    max_orders_per_second: Option<Limit<u32>>,
    /// How far beyond the last price an order may trade, as a fraction; none lifts the limit.
    #[arg(long, value_name = "FRACTION", value_parser = limit::<Qty>)]
    price_collar: Option<Limit<Qty>>,
    /// The most of an asset that BUY orders may bring the account to hold; ASSET=none lifts it.
    #[arg(long, value_name = "ASSET=AMOUNT", value_parser = asset_limit)]
    max_position: Vec<(Asset, Limit<Money>)>,
    /// How much a UTC day may lose, measured in an asset; ASSET=none lifts it.
    #[arg(long, value_name = "ASSET=AMOUNT", value_parser = asset_limit)]
    max_daily_loss: Vec<(Asset, Limit<Money>)>,
}

/// A limit to set, or to lift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limit<T>(Option<T>);

fn limit<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<Limit<T>, String> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(Limit(None));
    }
    let set = |error: T::Err| format!("{error}; or none, to lift the limit");
    text.parse().map(|value| Limit(Some(value))).map_err(set)
}

fn asset_limit(text: &str) -> Result<(Asset, Limit<Money>), String> {
    let (asset, amount) = text.split_once('=').ok_or("is not ASSET=AMOUNT, such as BTC=2")?;
    let asset = Asset::parse(&asset.to_uppercase()).map_err(|error| error.to_string())?;
    Ok((asset, limit(amount)?))
}

fn state_parser() -> impl TypedValueParser<Value = TradingState> {
    PossibleValuesParser::new(["active", "reduce-only", "halted"]).map(|text| match text.as_str() {
        "active" => TradingState::Active,
        "reduce-only" => TradingState::ReduceOnly,
        _ => TradingState::Halted,
    })
}

impl RiskArgs {
    fn update(&self) -> RiskUpdate {
        let by_asset = |limits: &[(Asset, Limit<Money>)]| {
            let limits: AssetLimits =
                limits.iter().map(|(asset, Limit(most))| (*asset, *most)).collect();
            (!limits.is_empty()).then_some(Some(limits))
        };
        RiskUpdate {
            state: self.state,
            max_order_notional: self.max_order_notional.map(|limit| limit.0),
            max_open_orders: self.max_open_orders.map(|limit| limit.0),
            max_symbol_notional: self.max_symbol_notional.map(|limit| limit.0),
            max_orders_per_second: self.max_orders_per_second.map(|limit| limit.0),
            price_collar: self.price_collar.map(|limit| limit.0),
            max_position: by_asset(&self.max_position),
            max_daily_loss: by_asset(&self.max_daily_loss),
            cancel_all: false,
        }
    }
}

pub(super) async fn risk(
    client: &Client,
    args: &RiskArgs,
    output: &mut Output,
) -> Result<(), CliError> {
    let update = args.update();
    if update != RiskUpdate::default() {
        client.set_risk(&update).await?;
    }
    if output.json {
        let limits = client.get_text::<RiskSettings>("api/risk", &[]).await?;
        let used = client.get_text::<RiskUse>("api/risk/use", &[]).await?;
        let (limits, used) = (limits.trim_end(), used.trim_end());
        return Ok(output.json_line(&format!("{{\"limits\":{limits},\"use\":{used}}}"))?);
    }
    const COLUMNS: &[Column] = &[
        ("LIMIT", Align::Left),
        ("OF", Align::Left),
        ("MOST", Align::Right),
        ("USED", Align::Right),
    ];
    let rows = rows(&client.risk().await?, &client.risk_use().await?);
    Ok(output.table(COLUMNS, &rows)?)
}

/// Every limit, set or not; of one that has parts, each part that is set or used.
fn rows(limits: &RiskSettings, used: &RiskUse) -> Vec<Vec<String>> {
    let state = match limits.state {
        TradingState::Active => "ACTIVE",
        TradingState::ReduceOnly => "REDUCE_ONLY",
        TradingState::Halted => "HALTED",
    };
    let row =
        |name: &str, of: String, most: String, used: String| vec![name.to_owned(), of, most, used];
    let none = || "-".to_owned();
    let mut rows = vec![
        row("state", none(), state.to_owned(), none()),
        row("max_order_notional", none(), or_dash(limits.max_order_notional), none()),
        row(
            "max_open_orders",
            none(),
            or_dash(limits.max_open_orders),
            used.open_orders.to_string(),
        ),
        row(
            "max_orders_per_second",
            none(),
            or_dash(limits.max_orders_per_second),
            used.orders_last_second.to_string(),
        ),
        row("price_collar", none(), or_dash(limits.price_collar), none()),
    ];
    let most = || or_dash(limits.max_symbol_notional);
    if used.symbol_notional.is_empty() {
        rows.push(row("max_symbol_notional", none(), most(), none()));
    }
    for (symbol, worth) in &used.symbol_notional {
        rows.push(row("max_symbol_notional", symbol.to_string(), most(), worth.to_string()));
    }
    for (name, limits, used) in [
        ("max_position", &limits.max_position, &used.position),
        ("max_daily_loss", &limits.max_daily_loss, &used.daily_loss),
    ] {
        if limits.is_empty() {
            rows.push(row(name, none(), none(), none()));
        }
        for (asset, most) in limits {
            let used = or_dash(used.get(asset));
            rows.push(row(name, asset.to_string(), most.to_string(), used));
        }
    }
    rows
}
