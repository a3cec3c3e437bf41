//! What there is to see: prices, books, balances, health.

use clap::Args;
use veloz_client::{Account, Book, Client, Health, MarketPrice, Symbol};

use super::error::CliError;
use super::output::{Align, Column, Output, or_dash, time};
use super::trade::parse_symbol;

#[derive(Debug, Args)]
pub(super) struct SymbolArgs {
    /// Such as BTCUSDT; the gateway's default symbol otherwise.
    #[arg(value_parser = parse_symbol)]
    symbol: Option<Symbol>,
}

#[derive(Debug, Args)]
pub(super) struct BookArgs {
    #[command(flatten)]
    symbol: SymbolArgs,
    /// Levels a side.
    #[arg(long, default_value_t = 10, value_name = "N")]
    depth: usize,
}

pub(super) async fn account(client: &Client, output: &mut Output) -> Result<(), CliError> {
    if output.json {
        return Ok(output.json_line(&client.get_text::<Account>("api/account", &[]).await?)?);
    }
    const COLUMNS: &[Column] =
        &[("ASSET", Align::Left), ("FREE", Align::Right), ("LOCKED", Align::Right)];
    let account = client.account().await?;
    let rows: Vec<_> = account
        .balances
        .iter()
        .map(|b| vec![b.asset.to_string(), b.free.to_string(), b.locked.to_string()])
        .collect();
    Ok(output.table(COLUMNS, &rows)?)
}

pub(super) async fn market(
    client: &Client,
    args: &SymbolArgs,
    output: &mut Output,
) -> Result<(), CliError> {
    if output.json {
        let query = [("symbol", args.symbol.map(|s| s.to_string()))];
        return Ok(output.json_line(&client.get_text::<MarketPrice>("api/market", &query).await?)?);
    }
    const COLUMNS: &[Column] =
        &[("SYMBOL", Align::Left), ("PRICE", Align::Right), ("TIME", Align::Left)];
    let market = client.market(args.symbol).await?;
    let row =
        vec![market.symbol.to_string(), or_dash(market.price), or_dash(market.ts_ns.map(time))];
    Ok(output.table(COLUMNS, &[row])?)
}

pub(super) async fn book(
    client: &Client,
    args: &BookArgs,
    output: &mut Output,
) -> Result<(), CliError> {
    let symbol = args.symbol.symbol;
    if output.json {
        let depth = Some(args.depth.to_string());
        let query = [("symbol", symbol.map(|s| s.to_string())), ("depth", depth)];
        return Ok(output.json_line(&client.get_text::<Book>("api/book", &query).await?)?);
    }
    const COLUMNS: &[Column] = &[
        ("BID QTY", Align::Right),
        ("BID", Align::Right),
        ("ASK", Align::Right),
        ("ASK QTY", Align::Right),
    ];
    let book = client.book(symbol, Some(args.depth)).await?;
    let level = |side: &[(_, _)], i: usize| side.get(i).copied().unzip();
    let rows: Vec<_> = (0..book.bids.len().max(book.asks.len()))
        .map(|i| {
            let ((bid, bid_qty), (ask, ask_qty)) = (level(&book.bids, i), level(&book.asks, i));
            vec![or_dash(bid_qty), or_dash(bid), or_dash(ask), or_dash(ask_qty)]
        })
        .collect();
    Ok(output.table(COLUMNS, &rows)?)
}

pub(super) async fn health(client: &Client, output: &mut Output) -> Result<(), CliError> {
    let text = client.get_text::<Health>("health", &[]).await?;
    Ok(if output.json { output.json_line(&text) } else { output.line("ok") }?)
}
