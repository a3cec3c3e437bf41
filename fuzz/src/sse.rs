//! The client's reader of event streams: chunks do not matter, and a block prints as what it reads from.

use std::fmt::Write as _;

use veloz_client::sse::{Block, Parser, TooLong};

const ROOM: usize = 1 << 12;

fn parse<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<Block>, Result<(), TooLong>) {
    let (mut parser, mut blocks) = (Parser::new(ROOM), Vec::new());
    for chunk in chunks {
        if let Err(error) = parser.push(chunk, &mut blocks) {
            return (blocks, Err(error));
        }
    }
    (blocks, Ok(()))
}

/// See the module.
pub fn check(data: &[u8]) {
    let (whole, end) = parse(std::iter::once(data));
    let size = usize::from(data.first().copied().unwrap_or(1) % 7) + 1;
    let (chunked, chunked_end) = parse(data.chunks(size));
    // Where it is too long, the chunks decide how many blocks came before.
    if end.is_ok() && chunked_end.is_ok() {
        assert_eq!(whole, chunked, "chunks of {size}");
    }
    for block in whole {
        // So that no BOM is at the beginning.
        let mut text = ": a comment\n".to_owned();
        if let Some(id) = &block.id {
            writeln!(text, "id: {id}").expect("a string takes it");
        }
        if let Some(event) = &block.event {
            writeln!(text, "event: {event}").expect("a string takes it");
        }
        for line in block.data.iter().flat_map(|data| data.split('\n')) {
            writeln!(text, "data: {line}").expect("a string takes it");
        }
        text.push('\n');
        if text.len() < ROOM {
            assert_eq!(parse(std::iter::once(text.as_bytes())).0, [block], "{text:?}");
        }
    }
}
