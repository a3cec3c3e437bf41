//! Order entry flat out: each connection sends the next request when it has the answer to the one before.
//!
//! Every other request cancels the order before it, so that nothing piles up; both are counted and timed.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use clap::Args;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde_json::{Value, json};

use crate::clock::now_ns;
use crate::http::{Connection, parse_response, write_post};
use crate::stats::Times;

#[derive(Args)]
pub(crate) struct OrdersArgs {
    /// Keep-alive connections, all in one epoll loop.
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// How long.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// A thread for each connection, which connects again where the server closes it after an answer.
    #[arg(long)]
    threads: bool,
}

/// A small order far below the market: it rests until it is cancelled.
pub(crate) fn order_body(id: &str) -> String {
    format!(
        r#"{{"side":"BUY","symbol":"BTCUSDT","qty":0.001,"price":10000.0,"client_order_id":"{id}"}}"#
    )
}

/// What tells the orders of this run from those of others.
pub(crate) fn run_id() -> u32 {
    std::process::id()
}

/// The requests of one connection, one after another.
struct Requests {
    connection: usize,
    sent: u64,
}

impl Requests {
    fn next(&mut self) -> (&'static str, String) {
        let id = format!("b{}-{}-{}", run_id(), self.connection, self.sent / 2);
        self.sent += 1;
        if self.sent % 2 == 1 {
            ("/api/order", order_body(&id))
        } else {
            ("/api/cancel", format!(r#"{{"client_order_id":"{id}"}}"#))
        }
    }
}

pub(crate) fn flat_out(address: SocketAddr, args: &OrdersArgs) -> Result<Value> {
    let start = now_ns();
    let end = start + u64::try_from(std::time::Duration::from_secs_f64(args.seconds).as_nanos())?;
    let times = if args.threads || args.connections == 1 {
        let clients = 0..args.connections;
        let threads: Vec<_> = clients
            .map(|client| std::thread::spawn(move || blocking(address, client, end)))
            .collect();
        let mut all = Times::new()?;
        for thread in threads {
            all.merge(&thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))??)?;
        }
        all
    } else {
        many(address, args.connections, end)?
    };
    let seconds = std::time::Duration::from_nanos(now_ns() - start).as_secs_f64();
    let requests = f64::from(u32::try_from(times.count())?);
    Ok(json!({
        "load": "orders", "connections": args.connections, "seconds": seconds, "requests": requests,
        "requests_per_second": (requests / seconds).round(), "answer": times.percentiles(),
    }))
}

fn blocking(address: SocketAddr, client: usize, end: u64) -> Result<Times> {
    let mut connection = Connection::open(address)?;
    let mut requests = Requests { connection: client, sent: 0 };
    let mut times = Times::new()?;
    while now_ns() < end {
        let (path, body) = requests.next();
        let sent = now_ns();
        check(connection.post(path, &body)?, path, &body)?;
        times.record(now_ns() - sent);
    }
    Ok(times)
}

fn check(status: u16, path: &str, body: &str) -> Result<()> {
    if status != 200 {
        bail!("{path} answered {status} for {body}");
    }
    Ok(())
}

/// A connection of the epoll loop: always one request on its way.
struct Client {
    socket: TcpStream,
    requests: Requests,
    sent_ns: u64,
    request: Vec<u8>,
    response: Vec<u8>,
}

fn many(address: SocketAddr, connections: usize, end: u64) -> Result<Times> {
    let mut poll = Poll::new()?;
    let mut clients = Vec::new();
    for connection in 0..connections {
        let socket = std::net::TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let mut socket = TcpStream::from_std(socket);
        poll.registry().register(&mut socket, Token(connection), Interest::READABLE)?;
        let requests = Requests { connection, sent: 0 };
        let mut client = Client { socket, requests, sent_ns: 0, request: vec![], response: vec![] };
        client.send(address)?;
        clients.push(client);
    }
    let mut times = Times::new()?;
    let mut events = Events::with_capacity(connections);
    let mut waiting = connections;
    while waiting > 0 {
        poll.poll(&mut events, Some(std::time::Duration::from_secs(10)))?;
        if events.is_empty() {
            bail!("no answer within 10 s");
        }
        for event in &events {
            let client = clients.get_mut(event.token().0).context("an unknown client")?;
            if client.receive(&mut times)? {
                if now_ns() < end {
                    client.send(address)?;
                } else {
                    waiting -= 1;
                }
            }
        }
    }
    Ok(times)
}

impl Client {
    fn send(&mut self, address: SocketAddr) -> Result<()> {
        let (path, body) = self.requests.next();
        self.request.clear();
        write_post(&mut self.request, address, path, body.as_bytes());
        self.sent_ns = now_ns();
        // A request fits a socket's buffer, which is empty.
        Ok(self.socket.write_all(&self.request)?)
    }

    /// Whether the answer is whole.
    fn receive(&mut self, times: &mut Times) -> Result<bool> {
        let mut chunk = [0; 4096];
        loop {
            match self.socket.read(&mut chunk) {
                Ok(0) => bail!("the server closed a connection"),
                Ok(read) => {
                    self.response.extend_from_slice(chunk.get(..read).unwrap_or_default());
                    let Some(answer) = parse_response(&self.response)? else { continue };
                    times.record(now_ns() - self.sent_ns);
                    check(answer.status, "the server", &String::from_utf8_lossy(&self.response))?;
                    self.response.clear();
                    return Ok(true);
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(e) => return Err(e.into()),
            }
        }
    }
}
