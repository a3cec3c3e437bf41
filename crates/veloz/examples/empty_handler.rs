//! The floor of order entry: the HTTP library that the gateway uses, with handlers that do nothing.
//!
//! `empty_handler ADDRESS [multi|current]` answers every request with JSON of the size of the gateway's answer
//! to an order, over sockets with the gateway's options, on either of tokio's runtimes.

use std::convert::Infallible;

use anyhow::{Result, bail};
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ANSWER: &[u8] = br#"{"ok":true,"client_order_id":"b12345-12-12345","venue_order_id":"sim-12345678","status":"ACCEPTED","executed_qty":0.0}"#;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let runtime = match args.next().as_deref().unwrap_or("multi") {
        "multi" => Builder::new_multi_thread().enable_all().build()?,
        "current" => Builder::new_current_thread().enable_all().build()?,
        other => bail!("{other}: the runtime is `multi` or `current`"),
    };
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            tokio::spawn(serve(socket));
        }
    })
}

async fn serve(socket: TcpStream) {
    // It ends when the client goes; there is nobody to tell of an error.
    let _ = http1::Builder::new()
        .half_close(true)
        .serve_connection(TokioIo::new(socket), service_fn(answer))
        .await;
}

async fn answer(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    while let Some(Ok(_)) = request.body_mut().frame().await {}
    let mut response = Response::new(Full::new(Bytes::from_static(ANSWER)));
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(response)
}
