//! The gateway itself: health, settings, metrics, the replay.

use axum::extract::State;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::{StatusCode, header};
use serde::Serialize;
use veloz_core::limits::HTTP_REPLAY_STEP_LINES;

use super::ConfigView;
use super::body::fields;
use super::error::ApiError;
use super::router::{Answered, Shared, json};
use crate::journal::LogId;
use crate::service::{Health, Problem};

/// `GET /health`
pub(super) async fn health(State(app): Shared) -> Answered {
    #[derive(Serialize)]
    struct Row {
        code: &'static str,
        message: String,
    }
    let rows = |told: Vec<Problem>| -> Vec<Row> {
        told.into_iter().map(|Problem { code, message }| Row { code, message }).collect()
    };
    let Health { problems, warnings } = app.service.health();
    match problems.first() {
        None if warnings.is_empty() => json(&serde_json::json!({ "ok": true })),
        None => json(&serde_json::json!({ "ok": true, "warnings": rows(warnings) })),
        Some(first) => {
            let error = ApiError::unavailable(first.code, first.message.clone()).with("ok", &false);
            Err(error.with("problems", &rows(problems)))
        }
    }
}

/// `GET /api/config`
pub(super) async fn config(State(app): Shared) -> Answered {
    #[derive(Serialize)]
    struct Body<'a> {
        #[serde(flatten)]
        view: &'a ConfigView,
        binance_user_stream_connected: bool,
        market_source_state: &'static str,
        version: &'static str,
        log_id: Option<LogId>,
    }
    json(&Body {
        view: &app.view,
        binance_user_stream_connected: false,
        market_source_state: app.market.state(),
        version: env!("CARGO_PKG_VERSION"),
        log_id: app.log.id(),
    })
}

/// `GET /api/execution/ping`
pub(super) async fn ping(State(app): Shared) -> Answered {
    match app.service.health().stops_orders() {
        None => json(&serde_json::json!({ "ok": true, "result": {} })),
        Some(problem) => {
            let error = format!("{}: {}", problem.code, problem.message);
            json(&serde_json::json!({ "ok": false, "error": error }))
        }
    }
}

/// `GET /metrics`
pub(super) async fn metrics(State(app): Shared) -> Answered {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &app.registry).map_err(|error| {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string())
    })?;
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, content_type)], text).into_response())
}

/// `POST /api/replay`: `{"run":true}` or `{"steps":N}`. The answer comes when what was stepped is
/// stored, with the id of the newest event.
pub(super) async fn replay(State(app): Shared, body: Bytes) -> Answered {
    let [run, steps] = fields(&body, ["run", "steps"])?;
    let steps: Option<u64> = steps.count()?;
    let market = std::sync::Arc::clone(&app.market);
    let told = match (run.flag()?, steps) {
        (true, None) => market.run(),
        (false, Some(lines)) if (1..=HTTP_REPLAY_STEP_LINES).contains(&lines) => {
            tokio::task::spawn_blocking(move || market.step(lines)).await.map_err(|error| {
                ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string())
            })?
        }
        (false, Some(_)) => {
            Err(format!("steps: must be a whole number from 1 to {HTTP_REPLAY_STEP_LINES}"))
        }
        _ => Err(r#"one of {"run":true} and {"steps":N} is needed"#.to_owned()),
    };
    told.map_err(ApiError::bad_params)?;
    let last_id = app.service.settle(|engine| engine.state().last_event_id()).await?;
    json(&serde_json::json!({ "ok": true, "last_id": last_id, "state": app.market.state() }))
}
