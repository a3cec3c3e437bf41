//! A reader of the stream that shows each block as it came, comments and cursors too.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::PATIENCE;

/// One block of the stream: what stood between two blank lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) id: Option<u64>,
    pub(crate) event: Option<String>,
    pub(crate) data: Option<String>,
    pub(crate) retry: Option<u64>,
    pub(crate) comment: Option<String>,
}

impl Frame {
    pub(crate) fn is(&self, event: &str) -> bool {
        self.event.as_deref() == Some(event)
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.data.as_deref().expect("data")).expect("JSON")
    }
}

/// An open stream. A read that takes too long panics.
pub(crate) struct Events {
    body: BufReader<TcpStream>,
    head: String,
}

impl Events {
    /// Opens a stream that must be granted.
    #[track_caller]
    pub(crate) fn open(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Events {
        let mut socket = TcpStream::connect(address).expect("the port is open");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let mut text = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        socket.write_all(text.as_bytes()).expect("sent");
        let mut body = BufReader::new(socket);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = body.read_line(&mut head).expect("a response head");
            assert!(read > 0, "closed within the response head: {head:?}");
        }
        if !head.starts_with("HTTP/1.1 200 ") {
            let mut rest = [0; 2048];
            let n = body.read(&mut rest).unwrap_or(0);
            panic!("{path}: {head}{}", String::from_utf8_lossy(&rest[..n]));
        }
        Events { body, head }
    }

    /// The response's head.
    pub(crate) fn head(&self) -> &str {
        &self.head
    }

    /// The next line without its end; `None` when the stream has ended.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.body.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(line.trim_end_matches('\n').to_owned()),
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(e) => panic!("nothing more came on the stream: {e}"),
        }
    }

    /// The next block of any kind; `None` when the stream has ended. Half a block is an error.
    pub(crate) fn block(&mut self) -> Option<Frame> {
        let mut frame = Frame::default();
        let mut lines = 0;
        loop {
            let Some(line) = self.line() else {
                assert_eq!(lines, 0, "the stream ended within a block: {frame:?}");
                return None;
            };
            if line.is_empty() {
                if lines > 0 {
                    return Some(frame);
                }
                continue;
            }
            lines += 1;
            match line.split_once(": ").expect("field: value") {
                ("id", value) => frame.id = Some(value.parse().expect("a number")),
                ("event", value) => frame.event = Some(value.to_owned()),
                ("data", value) => frame.data = Some(value.to_owned()),
                ("retry", value) => frame.retry = Some(value.parse().expect("a number")),
                ("", value) => frame.comment = Some(value.to_owned()),
                (field, _) => panic!("an unknown field {field:?}"),
            }
        }
    }

    /// The next block that dispatches something: an event, a gap, a snapshot's end.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        loop {
            let frame = self.block()?;
            if frame.data.is_some() {
                return Some(frame);
            }
        }
    }

    /// The next one of that type, whatever comes before it.
    #[track_caller]
    pub(crate) fn next_of(&mut self, event: &str) -> Frame {
        loop {
            let frame = self.next().expect("the stream goes on");
            if frame.is(event) {
                return frame;
            }
        }
    }

    /// All ids up to and with `last`, as they came.
    #[track_caller]
    pub(crate) fn ids_to(&mut self, last: u64) -> Vec<u64> {
        let mut ids = Vec::new();
        while ids.last().is_none_or(|&id| id < last) {
            let frame = self.next().expect("the stream goes on");
            assert!(!frame.is("gap"), "{frame:?}");
            ids.extend(frame.id);
        }
        ids
    }
}
