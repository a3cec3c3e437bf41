//! The event stream format of the WHATWG's HTML standard, parsed as it arrives.
//!
//! Contract: whatever the chunks, the blocks are those of the whole. CR, LF and CRLF end a line; a BOM
//! at the start and comments are passed over; a block without its blank line is never seen, nor its
//! id. A block with an id and no data is seen too (a browser moves its cursor by it and dispatches
//! nothing). What a block may hold is bounded.

use std::time::Duration;

use memchr::memchr2;

/// What stands between two blank lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Block {
    /// The last `id:` in it; empty when the field was (which resets a browser's).
    pub id: Option<String>,
    /// The last `event:` in it, unless empty.
    pub event: Option<String>,
    /// The `data:` lines, joined by LF.
    pub data: Option<String>,
}

/// A block, or a line, is longer than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a block is longer than {0} bytes")]
pub struct TooLong(pub usize);

/// The parser of one connection's bytes.
#[derive(Debug)]
pub struct Parser {
    /// The line whose end has not come yet.
    line: Vec<u8>,
    /// The last byte was CR: an LF that follows belongs to it.
    after_cr: bool,
    /// No line has ended yet: it may start with a BOM.
    first_line: bool,
    block: Block,
    block_bytes: usize,
    max_block_bytes: usize,
    retry: Option<Duration>,
}

impl Parser {
    /// A parser that takes blocks of up to `max_block_bytes`.
    pub fn new(max_block_bytes: usize) -> Parser {
        Parser {
            line: Vec::new(),
            after_cr: false,
            first_line: true,
            block: Block::default(),
            block_bytes: 0,
            max_block_bytes,
            retry: None,
        }
    }

    /// Takes what arrived and appends the blocks that it completes.
    ///
    /// # Errors
    /// When a block gets too long; the blocks before it are there, the rest is lost.
    pub fn push(&mut self, mut bytes: &[u8], blocks: &mut Vec<Block>) -> Result<(), TooLong> {
        if self.after_cr && !bytes.is_empty() {
            self.after_cr = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = memchr2(b'\n', b'\r', bytes) {
            let (line, rest) = bytes.split_at_checked(end).unwrap_or((bytes, b""));
            let rest = match rest.split_first() {
                Some((b'\r', rest)) => {
                    self.after_cr = rest.is_empty();
                    rest.strip_prefix(b"\n").unwrap_or(rest)
                }
                Some((_, rest)) => rest,
                None => rest,
            };
            self.check_room(line.len())?;
            if self.line.is_empty() {
                self.end_line(line, blocks);
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(line);
                self.end_line(&whole, blocks);
                whole.clear();
                self.line = whole;
            }
            bytes = rest;
        }
        self.check_room(bytes.len())?;
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    /// The last `retry:` that came.
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    fn check_room(&self, more: usize) -> Result<(), TooLong> {
        if self.block_bytes + self.line.len() + more > self.max_block_bytes {
            return Err(TooLong(self.max_block_bytes));
        }
        Ok(())
    }

    fn end_line(&mut self, mut line: &[u8], blocks: &mut Vec<Block>) {
        if std::mem::take(&mut self.first_line) {
            line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        }
        if line.is_empty() {
            self.block_bytes = 0;
            let block = std::mem::take(&mut self.block);
            if block.id.is_some() || block.data.is_some() {
                blocks.push(block);
            }
            return;
        }
        let line = String::from_utf8_lossy(line);
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "data" => {
                self.block_bytes += value.len() + 1;
                match &mut self.block.data {
                    Some(data) => {
                        data.push('\n');
                        data.push_str(value);
                    }
                    None => self.block.data = Some(value.to_owned()),
                }
            }
            "event" => self.block.event = Some(value.to_owned()).filter(|v| !v.is_empty()),
            "id" if !value.contains('\0') => self.block.id = Some(value.to_owned()),
            "retry" if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => {
                self.retry = value.parse().ok().map(Duration::from_millis).or(self.retry);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROOM: usize = 1 << 16;

    /// The standard's words, over the whole text at once.
    fn model(bytes: &[u8]) -> Vec<Block> {
        let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n").replace('\r', "\n");
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let Some((whole, _)) = text.rsplit_once('\n') else { return Vec::new() };
        let mut blocks = Vec::new();
        let (mut block, mut data) = (Block::default(), String::new());
        for line in whole.split('\n') {
            if line.is_empty() {
                block.data = data.strip_suffix('\n').map(str::to_owned);
                if block.data.is_some() || block.id.is_some() {
                    blocks.push(block.clone());
                }
                (block, data) = (Block::default(), String::new());
            } else if !line.starts_with(':') {
                let (name, value) = line.split_once(':').unwrap_or((line, ""));
                let value = value.strip_prefix(' ').unwrap_or(value);
                match name {
                    "data" => data += &format!("{value}\n"),
                    "event" => block.event = (!value.is_empty()).then(|| value.to_owned()),
                    "id" if !value.contains('\0') => block.id = Some(value.to_owned()),
                    _ => {}
                }
            }
        }
        blocks
    }

    fn parse(chunks: impl IntoIterator<Item = Vec<u8>>) -> (Vec<Block>, Option<Duration>) {
        let (mut parser, mut blocks) = (Parser::new(ROOM), Vec::new());
        for chunk in chunks {
            parser.push(&chunk, &mut blocks).expect("there is room");
        }
        (blocks, parser.retry())
    }

    fn check(bytes: &[u8], expected: &[(&str, &str, &str)]) {
        let field = |text: &str| (text != "-").then(|| text.to_owned());
        let expected: Vec<Block> = expected
            .iter()
            .map(|(id, event, data)| Block {
                id: field(id),
                event: field(event),
                data: field(data),
            })
            .collect();
        assert_eq!(model(bytes), expected, "the model on {bytes:?}");
        for size in 1..=bytes.len() {
            let chunks = bytes.chunks(size).map(<[u8]>::to_vec);
            assert_eq!(parse(chunks).0, expected, "chunks of {size}");
        }
    }

    #[test]
    fn the_format() {
        check(b"id: 1\nevent: fill\ndata: {}\n\n", &[("1", "fill", "{}")]);
        check(b"\xEF\xBB\xBFid:1\rdata:a\rdata: b\r\r", &[("1", "-", "a\nb")]);
        check(
            b"id: 1\r\ndata: x\r\n\r\n: hi\r\n\r\nid: 2\r\n\r\n",
            &[("1", "-", "x"), ("2", "-", "-")],
        );
        check(b"data\n\ndata:\ndata\n\n", &[("-", "-", ""), ("-", "-", "\n")]);
        check(b"event: a\n\ndata:  two\n\n", &[("-", "-", " two")]);
        check(b"id: 1\ndata: whole\n\nid: 2\ndata: cut\n", &[("1", "-", "whole")]);
        check(b"id: a\0b\nid\ndata: x:y\nfoo: bar\n\n", &[("", "-", "x:y")]);
        check("data: \u{20ac}\u{1f600}\n\n".as_bytes(), &[("-", "-", "\u{20ac}\u{1f600}")]);
        check(b"", &[]);
    }

    #[test]
    fn the_time_to_wait() {
        let retry = |text: &str| parse([text.as_bytes().to_vec()]).1;
        assert_eq!(retry("retry: 1500\n"), Some(Duration::from_millis(1_500)));
        assert_eq!(
            retry("retry: 1\nretry: 1.5\nretry:\nretry: -1\n"),
            Some(Duration::from_millis(1))
        );
        assert_eq!(retry("retry: 5"), None);
    }

    #[test]
    fn a_block_is_bounded() {
        let push = |text: &[u8]| Parser::new(10).push(text, &mut Vec::new());
        assert_eq!(push(b"data: 0123"), Ok(()));
        assert_eq!(push(b"data: 01234"), Err(TooLong(10)));
        assert_eq!(push(b"data: 0\ndata: 1\ndata: 2\n"), Err(TooLong(10)));
        assert_eq!(push(&b": hi\n".repeat(100)), Ok(()));
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(
            lines in prop::collection::vec(
                prop::sample::select(vec![
                    "id: 7", "id:", "id", "event: fill", "event:", "data: {\"a\":1}", "data", "data:",
                    ": keep-alive", "retry: 10", "", "", "", "data: \u{20ac}", "foo", "\u{feff}data: x",
                ]).prop_flat_map(|line| {
                    prop::sample::select(vec!["\n", "\r", "\r\n"]).prop_map(move |end| format!("{line}{end}"))
                }),
                0..40,
            ),
            cuts in prop::collection::vec(1_usize..9, 1..40),
        ) {
            let bytes = lines.concat().into_bytes();
            let (mut rest, mut chunks, mut sizes) = (bytes.as_slice(), Vec::new(), cuts.iter().cycle());
            while !rest.is_empty() {
                let (chunk, tail) = rest.split_at((*sizes.next().expect("endless")).min(rest.len()));
                chunks.push(chunk.to_vec());
                rest = tail;
            }
            prop_assert_eq!(parse(chunks).0, model(&bytes));
        }

        #[test]
        fn no_bytes_upset_it(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let whole = parse([bytes.clone()]).0;
            prop_assert_eq!(whole, parse(bytes.chunks(1).map(<[u8]>::to_vec)).0);
        }
    }
}
