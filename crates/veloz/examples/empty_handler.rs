//! The limit for order entry: the HTTP library that the gateway uses, on the runtime that it uses, with a
//! handler that reads each body and gives the same answer to all.
//!
//! `cargo run --release --example empty_handler [PORT]` prints its address as the gateway does, and serves
//! until it is ended. No check, no route, no engine, no journal: what is left is sockets and HTTP.
#![expect(clippy::print_stdout, reason = "it prints its address")]

use std::convert::Infallible;
use std::net::SocketAddr;

use anyhow::Result;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

/// As long as the answer to an order.
const ANSWER: &str = r#"{"ok":true,"client_order_id":"b12345-0-67890","venue_order_id":"12345","status":"ACCEPTED","executed_qty":0.0}"#;

fn main() -> Result<()> {
    let port = std::env::args().nth(1).map_or(Ok(0), |arg| arg.parse())?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(port))
}

async fn serve(port: u16) -> Result<()> {
    let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        tokio::spawn(async move {
            // A client that went away is no failure.
            let connection = http1::Builder::new();
            let _ = connection.serve_connection(TokioIo::new(socket), service_fn(answer)).await;
        });
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    // Half a body is answered all the same: the connection ends with it.
    let _ = request.into_body().collect().await;
    let mut response = Response::new(Full::new(Bytes::from_static(ANSWER.as_bytes())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
