//! The typed calls of the HTTP API.
//!
//! Contract: one call is one request, but for [`Client::place_with_retry`]. Numbers are exact. No
//! redirect is followed; a proxy of the environment is not asked for an address on this machine.

use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use veloz_core::engine::RiskUse;
use veloz_core::event::{Account, Event, Fill, OrderState};
use veloz_core::input::RiskSettings;
use veloz_core::instrument::Instrument;
use veloz_core::limits::{
    ANSWER_MAX_BYTES, CONNECT_TIMEOUT_MS, ORDER_ATTEMPTS_COUNT, ORDER_RETRY_AFTER_MAX_MS,
    ORDER_RETRY_MIN_MS, REQUEST_TIMEOUT_MS,
};
use veloz_core::types::{ClientOrderId, EventId, Price, Qty, Symbol};

use crate::backoff::Backoff;
use crate::error::{ApiError, Error};
use crate::model::{
    AmendReply, Book, CancelledAll, Config, Done, EventsPage, Health, Items, MarketPrice,
    OrderReply, OrdersPage, OrdersQuery, PairReply, RiskUpdate, TypedEvent,
};
use crate::order::OrderRequest;
use crate::pair::PairRequest;
use crate::stream::{EventStream, StreamOptions};

/// A gateway to talk to. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<HeaderValue>,
}

impl Client {
    /// A client of the gateway at `base`, such as `http://127.0.0.1:8080`. Nothing is sent yet.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub fn new(base: &str) -> Result<Client, Error> {
        let mut url = Url::parse(base).map_err(|_| Error::Url(base.to_owned()))?;
        let usable = matches!(url.scheme(), "http" | "https") && url.has_host();
        if !usable || url.query().is_some() || url.fragment().is_some() {
            return Err(Error::Url(base.to_owned()));
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("veloz-client/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_millis(CONNECT_TIMEOUT_MS));
        if is_loopback(&url) {
            builder = builder.no_proxy();
        }
        Ok(Client { http: builder.build()?, base: url, token: None })
    }

    /// Sends `Authorization: Bearer` with each request.
    ///
    /// # Errors
    /// When the token cannot be sent in a header.
    pub fn with_token(mut self, token: &str) -> Result<Client, Error> {
        let mut value =
            HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| Error::Token)?;
        value.set_sensitive(true);
        self.token = Some(value);
        Ok(self)
    }

    /// The gateway's address.
    pub fn base_url(&self) -> &str {
        self.base.as_str()
    }

    /// Whether the gateway works; an error of status 503 says what does not.
    ///
    /// # Errors
    /// Those of any call: see [`Error`].
    pub async fn health(&self) -> Result<Health, Error> {
        self.get("health", &[]).await
    }

    /// What the gateway runs with.
    ///
    /// # Errors
    /// Those of any call.
    pub async fn config(&self) -> Result<Config, Error> {
        self.get("api/config", &[]).await
    }

    /// The last price of a symbol, or of the default one.
    ///
    /// # Errors
    /// Those of any call.
    pub async fn market(&self, symbol: Option<Symbol>) -> Result<MarketPrice, Error> {
        self.get("api/market", &[("symbol", symbol.map(|s| s.to_string()))]).await
    }

    /// The book of a symbol, or of the default one, `depth` levels a side.
    ///
    /// # Errors
    /// Those of any call.
    pub async fn book(&self, symbol: Option<Symbol>, depth: Option<usize>) -> Result<Book, Error> {
        let (symbol, depth) = (symbol.map(|s| s.to_string()), depth.map(|d| d.to_string()));
        self.get("api/book", &[("symbol", symbol), ("depth", depth)]).await
    }

    /// Places an order, once. After an error that [may pass](Error::may_pass) it may stand or not: send
    /// it again, or use [`Client::place_with_retry`].
    ///
    /// # Errors
    /// Code `rejected` when a filter, a balance or a limit refuses it; those of any call.
    pub async fn place(&self, order: &OrderRequest) -> Result<OrderReply, Error> {
        self.post("api/order", order).await
    }

    /// Places an order, and sends it again, with the same id and so without a second effect, as long
    /// as no answer comes: a bounded number of times.
    ///
    /// # Errors
    /// The last one; but when an earlier attempt [left open](Error::leaves_open) whether the order
    /// stands, and no later one settled it, that one: ask with [`Client::order_state`], or call this
    /// again with the same request.
    pub async fn place_with_retry(&self, order: &OrderRequest) -> Result<OrderReply, Error> {
        self.retry("api/order", order).await
    }

    /// Places a pair of orders of which one at most is executed, once.
    ///
    /// # Errors
    /// Code `rejected` when a filter, a balance or a limit refuses it, and then neither stands; those of
    /// any call.
    pub async fn place_pair(&self, pair: &PairRequest) -> Result<PairReply, Error> {
        self.post("api/oco", pair).await
    }

    /// Places a pair, and sends it again, with the same ids, as [`Client::place_with_retry`] does.
    ///
    /// # Errors
    /// As there; ask for both orders of the pair.
    pub async fn place_pair_with_retry(&self, pair: &PairRequest) -> Result<PairReply, Error> {
        self.retry("api/oco", pair).await
    }

    /// Sends what has its id again until it is answered, a bounded number of times.
    async fn retry<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        let longest = Duration::from_millis(ORDER_RETRY_AFTER_MAX_MS);
        let mut backoff = Backoff::new(Duration::from_millis(ORDER_RETRY_MIN_MS), longest);
        let mut open: Option<Error> = None;
        let mut attempt = 1;
        loop {
            let error = match self.post(path, body).await {
                Ok(reply) => return Ok(reply),
                Err(error) if !error.may_pass() => return Err(error),
                Err(error) => error,
            };
            let asked = error.retry_after();
            if attempt == ORDER_ATTEMPTS_COUNT || asked.is_some_and(|wait| wait > longest) {
                return Err(if error.leaves_open() { error } else { open.unwrap_or(error) });
            }
            if error.leaves_open() {
                open = Some(error);
            }
            attempt += 1;
            tokio::time::sleep(backoff.next(asked)).await;
        }
    }

    /// Takes an order back; well too when it is taken back already.
    ///
    /// # Errors
    /// `not_found`; `order_closed` when it ended otherwise; those of any call.
    pub async fn cancel(&self, id: ClientOrderId, symbol: Option<Symbol>) -> Result<(), Error> {
        #[derive(Serialize)]
        struct Body {
            client_order_id: ClientOrderId,
            #[serde(skip_serializing_if = "Option::is_none")]
            symbol: Option<Symbol>,
        }
        let body = Body { client_order_id: id, symbol };
        self.post::<Done>("api/cancel", &body).await.map(drop)
    }

    /// Gives an order that stands another quantity (the whole one, what is executed of it included),
    /// another limit, or both; what is `None` stays. Less of it keeps its place in the queue.
    ///
    /// # Errors
    /// `not_found`; `order_closed`; `rejected`, and the order stands as it did; those of any call.
    pub async fn amend(
        &self,
        id: ClientOrderId,
        qty: Option<Qty>,
        price: Option<Price>,
    ) -> Result<AmendReply, Error> {
        #[derive(Serialize)]
        struct Body {
            client_order_id: ClientOrderId,
            #[serde(skip_serializing_if = "Option::is_none")]
            qty: Option<Qty>,
            #[serde(skip_serializing_if = "Option::is_none")]
            price: Option<Price>,
        }
        self.post("api/amend", &Body { client_order_id: id, qty, price }).await
    }

    /// Takes back every open order, of one symbol or of all.
    ///
    /// # Errors
    /// Those of any call.
    pub async fn cancel_all(&self, symbol: Option<Symbol>) -> Result<CancelledAll, Error> {
        #[derive(Serialize)]
        struct Body {
            #[serde(skip_serializing_if = "Option::is_none")]
            symbol: Option<Symbol>,
        }
        self.post("api/cancel_all", &Body { symbol }).await
    }

    /// Recent order events, newest last.
    ///
    /// # Errors
    /// Those of any call.
    pub async fn orders(&self, limit: Option<usize>) -> Result<Vec<Event>, Error> {
        let query = [("limit", limit.map(|l| l.to_string()))];
        let items: Items<TypedEvent> = self.get("api/orders", &query).await?;
        Ok(items.items.into_iter().map(|e| e.0).collect())
    }

    /// A page of orders' states.
    ///
    /// # Errors
    /// Those of any call.
    pub async fn orders_state(&self, query: &OrdersQuery) -> Result<OrdersPage, Error> {
        self.get("api/orders_state", &query.pairs()).await
    }

    /// One order's state.
    ///
    /// # Errors
    /// `not_found`; those of any call.
    pub async fn order_state(&self, id: ClientOrderId) -> Result<OrderState, Error> {
        self.get("api/order_state", &[("client_order_id", Some(id.to_string()))]).await
    }

    /// The balances.
    ///
    /// # Errors
    /// Those of any call.
    pub async fn account(&self) -> Result<Account, Error> {
        self.get("api/account", &[]).await
    }

    /// Recent executions, newest last.
    ///
    /// # Errors
    /// Those of any call.
    pub async fn fills(&self) -> Result<Vec<Fill>, Error> {
        Ok(self.get::<Items<_>>("api/fills", &[]).await?.items)
    }

    /// What may be traded, and under which filters.
    ///
    /// # Errors
    /// Those of any call.
    pub async fn instruments(&self) -> Result<Vec<Instrument>, Error> {
        Ok(self.get::<Items<_>>("api/instruments", &[]).await?.items)
    }

    /// The kill switch and the limits.
    ///
    /// # Errors
    /// Those of any call.
    pub async fn risk(&self) -> Result<RiskSettings, Error> {
        self.get("api/risk", &[]).await
    }

    /// Changes the kill switch and the limits; the answer is how they stand now.
    ///
    /// # Errors
    /// Those of any call.
    pub async fn set_risk(&self, update: &RiskUpdate) -> Result<RiskSettings, Error> {
        self.post("api/risk", update).await
    }

    /// How much of each limit is used now.
    ///
    /// # Errors
    /// Those of any call.
    pub async fn risk_use(&self) -> Result<RiskUse, Error> {
        self.get("api/risk/use", &[]).await
    }

    /// A page of the log: at most `limit` events after `after`.
    ///
    /// # Errors
    /// Those of any call.
    pub async fn events(&self, after: EventId, limit: usize) -> Result<EventsPage, Error> {
        let (after, limit) = (after.to_string(), limit.to_string());
        self.get("api/events", &[("after", Some(after)), ("limit", Some(limit))]).await
    }

    /// The events as they happen, resumed for as long as the stream is read. Nothing is sent yet.
    pub fn stream(&self, options: StreamOptions) -> EventStream {
        EventStream::new(self.clone(), options)
    }

    /// Any endpoint's answer as the gateway sent it, if it can be read as a `T`; pairs without a value are
    /// left out.
    ///
    /// # Errors
    /// Those of any call.
    pub async fn get_text<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, Option<String>)],
    ) -> Result<String, Error> {
        let text = self.fetch(path, query).await?;
        decode::<T>(path, &text)?;
        Ok(text)
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, Option<String>)],
    ) -> Result<T, Error> {
        decode(path, &self.fetch(path, query).await?)
    }

    async fn fetch(&self, path: &str, query: &[(&str, Option<String>)]) -> Result<String, Error> {
        let mut url = self.url(path)?;
        add_query(&mut url, query);
        self.send(self.request(Method::GET, url)).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        let request = self.request(Method::POST, self.url(path)?).json(body);
        decode(path, &self.send(request).await?)
    }

    async fn send(&self, request: RequestBuilder) -> Result<String, Error> {
        let limit = Duration::from_millis(REQUEST_TIMEOUT_MS);
        let exchange = async { read_text(check_status(request.send().await?).await?).await };
        tokio::time::timeout(limit, exchange).await.map_err(|_| Error::Timeout(limit))?
    }

    pub(crate) fn url(&self, path: &str) -> Result<Url, Error> {
        self.base.join(path.trim_start_matches('/')).map_err(|_| Error::Url(path.to_owned()))
    }

    pub(crate) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.header(AUTHORIZATION, token.clone()),
            None => request,
        }
    }
}

pub(crate) fn add_query(url: &mut Url, query: &[(&str, Option<String>)]) {
    for (name, value) in query {
        if let Some(value) = value {
            url.query_pairs_mut().append_pair(name, value);
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn decode<T: DeserializeOwned>(path: &str, text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|source| Error::Decode { request: path.to_owned(), source })
}

/// The answer, if its status is good; otherwise what it says.
pub(crate) async fn check_status(response: Response) -> Result<Response, Error> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    if status.is_redirection() || status.is_informational() {
        return Err(Error::Foreign(status.as_u16()));
    }
    let retry_after = retry_after(&response);
    let text = read_text(response).await?;
    Err(Box::new(api_error(status, &text, retry_after)).into())
}

/// What an answer with an error status says; one that is not ours (a proxy's) is told by its status.
fn api_error(status: StatusCode, text: &str, retry_after: Option<Duration>) -> ApiError {
    #[derive(Default, Deserialize)]
    struct Body {
        #[serde(default)]
        error: Option<String>,
        #[serde(default)]
        message: Option<String>,
        #[serde(default)]
        reason: Option<String>,
    }
    let body: Body = serde_json::from_str(text).unwrap_or_default();
    let phrase = status.canonical_reason().unwrap_or("an error without a name");
    ApiError {
        status: status.as_u16(),
        code: body.error.unwrap_or_else(|| "unknown".to_owned()),
        message: body.message.or_else(|| body.reason.clone()).unwrap_or_else(|| phrase.to_owned()),
        reason: body.reason,
        retry_after,
    }
}

/// Only the form in seconds: the gateway sends no other.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

async fn read_text(mut response: Response) -> Result<String, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > ANSWER_MAX_BYTES {
            return Err(Error::TooLong(ANSWER_MAX_BYTES));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8(body).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into()))
}

/// The answer's media type, with its parameters.
pub(crate) fn content_type(response: &Response) -> &str {
    response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

/// Asks for an event stream.
pub(crate) fn accept_events(request: RequestBuilder) -> RequestBuilder {
    request.header(ACCEPT, HeaderValue::from_static("text/event-stream"))
}
