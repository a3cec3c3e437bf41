//! The commands of the API: read from a body, given to the engine, answered with a body.
//!
//! Contract: whoever takes commands (the HTTP handlers, a replay's strategy) reads and answers them here,
//! so that the same body means the same, and is refused with the same words, wherever it is sent.

use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;
use veloz_core::engine::Engine;
use veloz_core::event::write_json_string;
use veloz_core::input::{Answer, CancelOrder, Input, NewOrder, OrderAnswer, Refusal};
use veloz_core::order::OrderStatus;
use veloz_core::risk::Reason;
use veloz_core::types::{ClientOrderId, Price, Qty, VenueOrderId};

use super::account::parse_risk;
use super::body::{fields, missing};
use super::error::ApiError;
use super::oco::parse_pair;
use super::order_request::{parse_amend, parse_id, parse_order, parse_symbol};
use super::rules::Rules;
use crate::service::ServiceError;

/// What became of a command.
pub type Outcome = Result<Answer, ServiceError>;

/// What a client wants done: an input of the kinds that a client may give. A clone is the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command(Arc<Input>);

/// Reading. All of these fail when the body cannot be read or is out of its domain: with the answer to it.
#[expect(clippy::missing_errors_doc, reason = "said once, above")]
impl Command {
    /// The body of `POST /api/order`.
    pub fn order(body: &[u8]) -> Result<Command, ApiError> {
        parse_order(body).map(|order| Command::of(Input::NewOrder(order)))
    }

    /// The body of `POST /api/oco`.
    pub fn pair(body: &[u8]) -> Result<Command, ApiError> {
        parse_pair(body).map(|pair| Command::of(Input::NewPair(Box::new(pair))))
    }

    /// The body of `POST /api/cancel`.
    pub fn cancel(body: &[u8]) -> Result<Command, ApiError> {
        let [id, symbol] = fields(body, ["client_order_id", "symbol"])?;
        let client_order_id = id.text(parse_id)?.ok_or_else(|| missing("client_order_id"))?;
        let symbol = symbol.text(parse_symbol)?;
        Ok(Command::of(Input::Cancel(CancelOrder { client_order_id, symbol })))
    }

    /// The body of `POST /api/cancel_all`.
    pub fn cancel_all(body: &[u8]) -> Result<Command, ApiError> {
        let [symbol] = fields(body, ["symbol"])?;
        let symbol = symbol.text(parse_symbol)?;
        Ok(Command::of(Input::CancelAll { symbol }))
    }

    /// The body of `POST /api/amend`.
    pub fn amend(body: &[u8]) -> Result<Command, ApiError> {
        parse_amend(body).map(|amend| Command::of(Input::Amend(amend)))
    }

    /// The body of `POST /api/risk`.
    pub fn risk(body: &[u8]) -> Result<Command, ApiError> {
        parse_risk(body).map(|change| Command::of(Input::Risk(change)))
    }
}

impl Command {
    fn of(input: Input) -> Command {
        Command(Arc::new(input))
    }

    /// What the engine is told.
    pub fn input(&self) -> Arc<Input> {
        Arc::clone(&self.0)
    }

    /// Whether it was refused by a rule, so that [`Command::answer`] wants [`Command::rules`].
    pub fn is_refused(&self, outcome: &Outcome) -> bool {
        match (&*self.0, outcome) {
            (Input::NewOrder(_), Ok(Answer::Order(answer))) => {
                answer.status == OrderStatus::Rejected
            }
            (Input::NewPair(_), Ok(Answer::Pair(answers))) => are_rejected(&**answers),
            (Input::Amend(_), Err(error)) => broken(error).is_some(),
            _ => false,
        }
    }

    /// The rules for the order that it is about.
    pub fn rules(&self, engine: &Engine) -> Option<Rules> {
        let order = match &*self.0 {
            Input::NewOrder(order) => order.clone(),
            // Both are refused for one reason; the stop order has every field that a rule may name.
            Input::NewPair(pair) => {
                NewOrder { price: pair.stop.price.or(pair.limit.price), ..pair.stop.clone() }
            }
            Input::Amend(amend) => {
                let order = engine.state().order(&amend.client_order_id)?;
                let (qty, price) = (amend.qty.unwrap_or(order.qty), amend.price.or(order.price));
                order.amended(qty, price)
            }
            _ => return None,
        };
        Rules::of(engine, order)
    }

    /// The body of the answer.
    ///
    /// # Errors
    /// When it was refused, or nobody knows what became of it: that answer.
    pub fn answer(&self, outcome: Outcome, rules: Option<&Rules>) -> Result<Vec<u8>, ApiError> {
        match outcome {
            Ok(answer) => self.body(&answer, rules),
            Err(error) => {
                let rule = broken(&error).and_then(|reason| rules?.broken(reason));
                Err(ApiError::from(error).because(rule))
            }
        }
    }

    fn body(&self, answer: &Answer, rules: Option<&Rules>) -> Result<Vec<u8>, ApiError> {
        match (&*self.0, answer) {
            (Input::NewOrder(_), Answer::Order(answer)) => match answer.status {
                OrderStatus::Rejected => Err(rejected(answer, rules)),
                _ => {
                    let mut out = Vec::with_capacity(ANSWER_BYTES);
                    write_placed(&mut out, answer);
                    Ok(out)
                }
            },
            (Input::NewPair(_), Answer::Pair(answers)) => {
                if !are_rejected(&**answers) {
                    let [limit, stop] = &**answers;
                    let mut out = b"{\"ok\":true,\"orders\":[".to_vec();
                    write_placed(&mut out, limit);
                    out.push(b',');
                    write_placed(&mut out, stop);
                    out.extend_from_slice(b"]}");
                    return Ok(out);
                }
                let [answer, _] = &**answers;
                Err(rejected(answer, rules))
            }
            (Input::Cancel(_), Answer::Cancelled(client_order_id)) => {
                let mut out = Vec::with_capacity(ANSWER_BYTES);
                write_ok(&mut out, client_order_id);
                out.push(b'}');
                Ok(out)
            }
            (Input::CancelAll { .. }, Answer::CancelledAll(ids)) => {
                written(&CancelledAll { ok: true, cancelled: ids })
            }
            (Input::Amend(_), Answer::Amended(state)) => written(&Amended {
                ok: true,
                client_order_id: state.client_order_id,
                venue_order_id: state.venue_order_id,
                status: state.status,
                executed_qty: state.executed_qty,
                qty: state.order_qty,
                price: state.limit_price,
            }),
            (Input::Risk(_), Answer::Risk(settings)) => written(settings),
            (_, other) => Err(unexpected(other, self)),
        }
    }
}

/// Why an order that stands was not changed.
fn broken(error: &ServiceError) -> Option<Reason> {
    match error {
        ServiceError::Refused(Refusal::Rejected(_, reason)) => Some(*reason),
        _ => None,
    }
}

fn are_rejected(answers: &[OrderAnswer]) -> bool {
    answers.iter().all(|answer| answer.status == OrderStatus::Rejected)
}

fn written(body: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(body)
        .map_err(|error| internal(format!("the answer cannot be written: {error}")))
}

/// An answer of another kind than the input's: a defect of the engine, told and not hidden.
fn unexpected(answer: &Answer, asked: &Command) -> ApiError {
    tracing::error!(?answer, ?asked, "the engine gave an answer of the wrong kind");
    internal("the engine gave an answer of the wrong kind".to_owned())
}

fn internal(message: String) -> ApiError {
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
}

/// More than an answer to an order takes, so that it is written in one piece.
const ANSWER_BYTES: usize = 256;

/// Begins the body of the answer to a command about one order.
fn write_ok(out: &mut Vec<u8>, client_order_id: &ClientOrderId) {
    out.extend_from_slice(b"{\"ok\":true,\"client_order_id\":\"");
    out.extend_from_slice(client_order_id.as_bytes());
    out.push(b'"');
}

/// The body of the answer to an order that was taken. By hand: they go out by the thousand.
fn write_placed(out: &mut Vec<u8>, answer: &OrderAnswer) {
    write_ok(out, &answer.client_order_id);
    if let Some(id) = &answer.venue_order_id {
        out.extend_from_slice(b",\"venue_order_id\":");
        id.write_json(out);
    }
    out.extend_from_slice(b",\"status\":\"");
    out.extend_from_slice(answer.status.as_bytes());
    out.extend_from_slice(b"\",\"executed_qty\":");
    answer.executed_qty.write(out);
    // Why what remains of it has expired.
    if !answer.reason.is_empty() {
        out.extend_from_slice(b",\"reason\":");
        write_json_string(out, &answer.reason);
    }
    out.push(b'}');
}

/// The body of the answer to a cancel of many.
#[derive(Debug, Serialize)]
struct CancelledAll<'a> {
    ok: bool,
    cancelled: &'a [ClientOrderId],
}

/// The body of the answer to an amendment: the order as it stands now.
#[derive(Debug, Serialize)]
struct Amended {
    ok: bool,
    client_order_id: ClientOrderId,
    #[serde(skip_serializing_if = "Option::is_none")]
    venue_order_id: Option<VenueOrderId>,
    status: Option<OrderStatus>,
    executed_qty: Qty,
    qty: Option<Qty>,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<Price>,
}

/// The 422 of a rejected order: its reason, and the rule that it broke.
fn rejected(answer: &OrderAnswer, rules: Option<&Rules>) -> ApiError {
    let message = format!("the order was rejected: {}", answer.reason);
    let rule = Reason::parse(&answer.reason).and_then(|reason| rules?.broken(reason));
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "rejected", message)
        .because(rule)
        .with("reason", &answer.reason)
        .with("client_order_id", &answer.client_order_id)
        .with("status", &answer.status)
        .with("executed_qty", &answer.executed_qty)
}
