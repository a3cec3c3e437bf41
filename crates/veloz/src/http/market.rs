//! The market: prices, books, instruments.

use axum::extract::State;
use http::Uri;
use serde::Serialize;
use veloz_core::engine::Engine;
use veloz_core::instrument::Instrument;
use veloz_core::limits::HTTP_BOOK_LEVELS;
use veloz_core::types::{Price, Qty, Symbol, TsNs};

use super::error::ApiError;
use super::order_request::parse_symbol;
use super::query::Query;
use super::router::{Answered, Shared, json};

/// Levels a side in an answer that does not say how many.
const DEFAULT_LEVELS: usize = 20;

/// `GET /api/market`
pub(super) async fn price(State(app): Shared, uri: Uri) -> Answered {
    #[derive(Serialize)]
    struct Body {
        symbol: Symbol,
        price: Price,
        ts_ns: TsNs,
    }
    let symbol = Query::of(&uri).parsed("symbol", parse_symbol)?.unwrap_or(app.symbol);
    let look = move |engine: &Engine| {
        engine.instrument(&symbol).map(|_| engine.state().market(&symbol).cloned())
    };
    let market = app.service.read(look).await?.ok_or_else(|| not_traded(&symbol))?;
    let market =
        market.ok_or_else(|| ApiError::not_found(format!("there is no price of {symbol} yet")))?;
    json(&Body { symbol, price: market.price, ts_ns: market.ts_ns })
}

/// `GET /api/book`
pub(super) async fn book(State(app): Shared, uri: Uri) -> Answered {
    #[derive(Serialize)]
    struct Body {
        symbol: Symbol,
        ts_ns: TsNs,
        bids: Vec<(Price, Qty)>,
        asks: Vec<(Price, Qty)>,
    }
    let query = Query::of(&uri);
    let symbol = query.parsed("symbol", parse_symbol)?.unwrap_or(app.symbol);
    let depth = query.number("depth", DEFAULT_LEVELS, 1, HTTP_BOOK_LEVELS)?;
    let look = move |engine: &Engine| {
        engine.instrument(&symbol)?;
        let Some(book) = engine.book(&symbol) else {
            return Some(Body { symbol, ts_ns: 0, bids: Vec::new(), asks: Vec::new() });
        };
        let (bids, asks) = book.top(depth);
        Some(Body { symbol, ts_ns: book.ts_ns(), bids, asks })
    };
    let book = app.service.read(look).await?;
    json(&book.ok_or_else(|| not_traded(&symbol))?)
}

fn not_traded(symbol: &Symbol) -> ApiError {
    ApiError::not_found(format!("{symbol} is not traded here"))
}

/// `GET /api/instruments`
pub(super) async fn instruments(State(app): Shared) -> Answered {
    // No `json!`: it would take the decimals through floats.
    #[derive(Serialize)]
    struct Body {
        items: Vec<Instrument>,
    }
    let items = app.service.read(|engine| engine.instruments().to_vec()).await?;
    json(&Body { items })
}
