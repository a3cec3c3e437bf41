//! The floor of a catch-up: a file to whoever connects, by a bare loop of `read` and `write`, as `cat` into
//! `nc` does it but without the pipe between them.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use anyhow::{Context, Result};

const PIECE_BYTES: usize = 256 << 10;

/// Serves connections one after another until it is killed.
pub(crate) fn run(address: SocketAddr, file: &Path) -> Result<()> {
    let listener = TcpListener::bind(address)?;
    println!("listening on {address}");
    let mut piece = vec![0; PIECE_BYTES];
    for socket in listener.incoming() {
        let mut socket = socket?;
        let mut file = File::open(file).with_context(|| file.display().to_string())?;
        // The request's head: it fits one segment.
        if socket.read(&mut piece)? == 0 {
            continue;
        }
        socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")?;
        loop {
            let read = file.read(&mut piece)?;
            // The subscriber goes when it has seen enough.
            if read == 0 || socket.write_all(piece.get(..read).unwrap_or_default()).is_err() {
                break;
            }
        }
    }
    Ok(())
}
