//! As much HTTP/1.1 as a load needs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use memchr::memmem;

/// One connection; opened again for each request where the server closes it (HTTP/1.0).
pub(crate) struct Connection {
    socket: TcpStream,
    address: SocketAddr,
    request: Vec<u8>,
    response: Vec<u8>,
    closed: bool,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Result<Connection> {
        let socket = connect(address)?;
        Ok(Connection { socket, address, request: vec![], response: vec![], closed: false })
    }

    /// Sends JSON, gives back the status.
    pub(crate) fn post(&mut self, path: &str, body: &str) -> Result<u16> {
        if self.closed {
            self.socket = connect(self.address)?;
        }
        self.request.clear();
        write_post(&mut self.request, self.address, path, body.as_bytes());
        self.socket.write_all(&self.request)?;
        self.response.clear();
        let mut chunk = [0; 4096];
        loop {
            if let Some(answer) = parse_response(&self.response)? {
                self.closed = answer.closes;
                return Ok(answer.status);
            }
            let read = self.socket.read(&mut chunk)?;
            if read == 0 {
                bail!("the server closed the connection before it had answered");
            }
            self.response.extend_from_slice(chunk.get(..read).context("read")?);
        }
    }
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(socket)
}

/// Appends a POST of JSON.
pub(crate) fn write_post(out: &mut Vec<u8>, address: SocketAddr, path: &str, body: &[u8]) {
    // Writing to memory does not fail.
    let _ = write!(
        out,
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    out.extend_from_slice(body);
}

/// What a whole response says.
pub(crate) struct Response {
    pub(crate) status: u16,
    /// How many bytes it has.
    pub(crate) length: usize,
    /// Whether the server closes the connection after it.
    pub(crate) closes: bool,
}

/// The first response in `bytes`, once it is whole.
pub(crate) fn parse_response(bytes: &[u8]) -> Result<Option<Response>> {
    let Some(head) = memmem::find(bytes, b"\r\n\r\n") else { return Ok(None) };
    let text = String::from_utf8_lossy(bytes.get(..head).context("head")?).to_ascii_lowercase();
    let body: usize = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .with_context(|| format!("a response without Content-Length: {text}"))?
        .trim()
        .parse()?;
    let length = head + 4 + body;
    if bytes.len() < length {
        return Ok(None);
    }
    let status = text.split(' ').nth(1).context("a response without a status")?.parse()?;
    let closes = text.starts_with("http/1.0") || text.contains("\nconnection: close");
    Ok(Some(Response { status, length, closes }))
}

/// The request of a subscriber.
pub(crate) fn subscribe(address: SocketAddr, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n")
        .into_bytes()
}
