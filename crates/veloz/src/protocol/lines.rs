//! Lines of a pipe, as they come.

use std::io::{self, BufRead, BufReader, Read};

/// How much one read takes from the pipe.
const READ_BYTES: usize = 64 << 10;

/// What came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line, its end (LF or CRLF) taken off.
    Whole(&'a [u8]),
    /// The pipe ended in the middle of a line.
    Cut(&'a [u8]),
    /// A line above the limit: its bytes are gone.
    TooLong,
}

/// Reads lines of a limited length: what is longer is skipped without being held in memory.
#[derive(Debug)]
pub struct Lines<R> {
    reader: BufReader<R>,
    most: usize,
    line: Vec<u8>,
}

impl<R: Read> Lines<R> {
    /// Lines of `most` bytes at most.
    pub fn new(source: R, most: usize) -> Lines<R> {
        Lines { reader: BufReader::with_capacity(READ_BYTES, source), most, line: Vec::new() }
    }

    /// Waits for the next line; `None` at the end.
    ///
    /// # Errors
    /// When the pipe cannot be read.
    pub fn read(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let mut too_long = false;
        loop {
            let bytes = match self.reader.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if bytes.is_empty() {
                return Ok(match (too_long, self.line.is_empty()) {
                    (true, _) => Some(Line::TooLong),
                    (false, true) => None,
                    (false, false) => Some(Line::Cut(&self.line)),
                });
            }
            let end = memchr::memchr(b'\n', bytes);
            let (part, _) = bytes.split_at(end.unwrap_or(bytes.len()));
            too_long |= self.line.len() + part.len() > self.most;
            if too_long {
                self.line.clear();
            } else {
                self.line.extend_from_slice(part);
            }
            let taken = part.len() + usize::from(end.is_some());
            self.reader.consume(taken);
            if end.is_some() {
                let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
                return Ok(Some(if too_long { Line::TooLong } else { Line::Whole(line) }));
            }
        }
    }

    /// Whether the next line is here already.
    pub fn has_line(&self) -> bool {
        memchr::memchr(b'\n', self.reader.buffer()).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pipe that gives a few bytes at a time.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let n = self.0.len().min(self.1).min(out.len());
            let (now, rest) = self.0.split_at(n);
            out[..n].copy_from_slice(now);
            self.0 = rest;
            Ok(n)
        }
    }

    #[track_caller]
    fn check(text: &[u8], expected: &[&str]) {
        for at_once in [1, 2, 3, 7, READ_BYTES] {
            let mut lines = Lines::new(Drip(text, at_once), 8);
            let mut got = Vec::new();
            while let Some(line) = lines.read().unwrap() {
                got.push(match line {
                    Line::Whole(line) => String::from_utf8_lossy(line).into_owned(),
                    Line::Cut(line) => format!("cut {}", String::from_utf8_lossy(line)),
                    Line::TooLong => "too long".to_owned(),
                });
            }
            assert_eq!(got, expected, "{at_once} bytes at once");
        }
    }

    #[test]
    fn lines_come_whole_however_they_arrive() {
        check(b"", &[]);
        check(b"a\n\nbc\r\nd\re\n", &["a", "", "bc", "d\re"]);
        check(b"a\nhalf", &["a", "cut half"]);
        check(b"12345678\n123456789\nb\n", &["12345678", "too long", "b"]);
        check(b"1234567890123456789012345\nb\n", &["too long", "b"]);
        check(b"1234567890", &["too long"]);
    }
}
