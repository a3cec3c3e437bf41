//! As much HTTP/1.1 as a load needs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use memchr::memmem;

/// One keep-alive connection.
pub(crate) struct Connection {
    socket: TcpStream,
    address: SocketAddr,
    request: Vec<u8>,
    response: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Result<Connection> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Connection { socket, address, request: Vec::new(), response: Vec::new() })
    }

    /// Sends JSON, gives back the status.
    pub(crate) fn post(&mut self, path: &str, body: &str) -> Result<u16> {
        self.request.clear();
        write!(
            self.request,
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )?;
        self.socket.write_all(&self.request)?;
        self.read_response()
    }

    fn read_response(&mut self) -> Result<u16> {
        self.response.clear();
        let mut chunk = [0; 4096];
        loop {
            let read = self.socket.read(&mut chunk)?;
            if read == 0 {
                bail!("the server closed the connection");
            }
            self.response.extend_from_slice(chunk.get(..read).context("read")?);
            let Some(head) = memmem::find(&self.response, b"\r\n\r\n") else { continue };
            let text = String::from_utf8_lossy(self.response.get(..head).context("head")?)
                .to_ascii_lowercase();
            let length: usize = text
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"))
                .context("a response without Content-Length")?
                .trim()
                .parse()?;
            if self.response.len() >= head + 4 + length {
                let status = text.split(' ').nth(1).context("a response without a status")?;
                return Ok(status.parse()?);
            }
        }
    }
}

/// The request of a subscriber.
pub(crate) fn subscribe(address: SocketAddr) -> Vec<u8> {
    format!("GET /api/stream HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n")
        .into_bytes()
}
