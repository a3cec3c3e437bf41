//! A gateway that misbehaves on order: each request is answered by what a script says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How long anything in a test may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A request as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// How many came before it.
    pub(crate) number: usize,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn last_id(&self) -> Option<u64> {
        self.header("last-event-id")?.parse().ok()
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.target.starts_with("/api/stream")
    }
}

/// What the gateway does for one request.
pub(crate) struct Reply {
    pub(crate) bytes: Vec<u8>,
    /// Keeps the connection, silent, instead of closing it.
    pub(crate) hang: bool,
}

impl Reply {
    pub(crate) fn status(line: &str, headers: &str, body: &str) -> Reply {
        let head = format!(
            "HTTP/1.1 {line}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}",
            body.len()
        );
        Reply { bytes: head.into_bytes(), hang: false }
    }

    pub(crate) fn json(body: &str) -> Reply {
        Reply::status("200 OK", "Content-Type: application/json\r\n", body)
    }

    pub(crate) fn stream(body: &str) -> Reply {
        Reply { bytes: format!("{STREAM_HEAD}{body}").into_bytes(), hang: false }
    }

    pub(crate) fn hanging(self) -> Reply {
        Reply { hang: true, ..self }
    }
}

pub(crate) const STREAM_HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\
    Cache-Control: no-cache\r\nConnection: keep-alive\r\n\r\n: hello\n\nretry: 1\n\n";

/// The frames of events `from..=to`.
pub(crate) fn frames(from: u64, to: u64) -> String {
    (from..=to).map(frame).collect()
}

pub(crate) fn frame(id: u64) -> String {
    format!(
        "id: {id}\nevent: market\ndata: {{\"type\":\"market\",\"symbol\":\"BTCUSDT\",\"ts_ns\":{id},\"price\":{id}.5}}\n\n"
    )
}

/// Starts it; it lives as long as the test's runtime.
pub(crate) async fn gateway(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let (script, count) = (Arc::new(script), Arc::new(AtomicUsize::new(0)));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (script, count) = (Arc::clone(&script), Arc::clone(&count));
            tokio::spawn(async move { serve(socket, &*script, &count).await });
        }
    });
    address
}

async fn serve(
    mut socket: TcpStream,
    script: &(dyn Fn(&Request) -> Reply + Sync),
    count: &AtomicUsize,
) {
    let Some(request) = read_request(&mut socket, count).await else { return };
    let reply = script(&request);
    // The client may be gone already: that is its right.
    let written = socket.write_all(&reply.bytes).await;
    if written.is_ok() && reply.hang {
        let mut rest = [0; 64];
        while socket.read(&mut rest).await.is_ok_and(|read| read > 0) {}
    }
}

async fn read_request(socket: &mut TcpStream, count: &AtomicUsize) -> Option<Request> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let mut words = head.split_whitespace();
            let mut request = Request {
                number: 0,
                method: words.next()?.to_owned(),
                target: words.next()?.to_owned(),
                head: head.to_owned(),
                body: body.to_owned(),
            };
            let length = request.header("content-length").map_or(Ok(0), str::parse);
            if body.len() >= length.expect("a length") {
                request.number = count.fetch_add(1, Ordering::Relaxed);
                return Some(request);
            }
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
