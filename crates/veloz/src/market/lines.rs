//! Lines of a file, plain or gzip (told by its content, several members allowed), without copying them.
//!
//! Contract: every line is given once, in order, with its number from 1, its end (LF or CRLF) taken
//! off. A line longer than [`MAX_CAPTURE_LINE_BYTES`] is told and skipped without being held in memory.
//! When the file cannot be read on (a gzip cut in the middle), all that could be read comes first.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use veloz_core::limits::{CAPTURE_READ_BYTES, MAX_CAPTURE_LINE_BYTES};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// What comes next in the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// A line; `whole` is false when the file ends without its line end.
    Line { number: u64, text: &'a [u8], whole: bool },
    /// A line that is too long to be one.
    TooLong { number: u64 },
    /// Nothing more.
    End,
}

/// Reads lines into one buffer that it lends out.
pub(super) struct LineReader {
    source: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    /// What is read and not yet given out is `buffer[start..end]`.
    start: usize,
    end: usize,
    number: u64,
    bytes: u64,
    failure: Option<io::Error>,
}

/// Opens a file and looks whether it is a gzip: its text.
pub(super) fn open(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    let mut file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mut head = Vec::with_capacity(GZIP_MAGIC.len());
    file.by_ref().take(2).read_to_end(&mut head)?;
    let gzip = head == GZIP_MAGIC;
    let whole = io::Cursor::new(head).chain(file);
    Ok(if gzip {
        let buffered = io::BufReader::with_capacity(CAPTURE_READ_BYTES, whole);
        Box::new(MultiGzDecoder::new(buffered))
    } else {
        Box::new(whole)
    })
}

impl LineReader {
    /// Opens a file, plain or gzip.
    pub(super) fn open(path: &Path) -> io::Result<LineReader> {
        open(path).map(LineReader::new)
    }

    /// Reads from anything.
    pub(super) fn new(source: Box<dyn Read + Send>) -> LineReader {
        LineReader {
            source,
            buffer: vec![0; CAPTURE_READ_BYTES],
            start: 0,
            end: 0,
            number: 0,
            bytes: 0,
            failure: None,
        }
    }

    /// How much text was given out, in bytes (of the text, not of the gzip).
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether nothing more comes: no line, no failure.
    pub(super) fn at_end(&mut self) -> bool {
        self.start == self.end && !self.fill() && self.failure.is_none()
    }

    /// The next line.
    pub(super) fn next_line(&mut self) -> io::Result<Next<'_>> {
        let mut searched = 0;
        let mut too_long = false;
        let mut whole = true;
        let length = loop {
            let unseen = self.buffer.get(self.start + searched..self.end).unwrap_or_default();
            if let Some(at) = memchr::memchr(b'\n', unseen) {
                break searched + at;
            }
            searched += unseen.len();
            if searched > MAX_CAPTURE_LINE_BYTES {
                too_long = true;
                self.skip(searched);
                searched = 0;
            }
            if !self.fill() {
                whole = false;
                break searched;
            }
        };
        if !whole && length == 0 && !too_long {
            return self.failure.take().map_or(Ok(Next::End), Err);
        }
        self.number += 1;
        let (number, start) = (self.number, self.start);
        self.skip(length + usize::from(whole));
        if too_long || length > MAX_CAPTURE_LINE_BYTES {
            return Ok(Next::TooLong { number });
        }
        let text = self.buffer.get(start..start + length).unwrap_or_default();
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        Ok(Next::Line { number, text, whole })
    }

    fn skip(&mut self, bytes: usize) {
        self.start += bytes;
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Reads more behind what is there. False at the end, and after a failure, which is kept.
    fn fill(&mut self) -> bool {
        if self.failure.is_some() {
            return false;
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end == self.buffer.len() {
            self.buffer.resize(self.end * 2, 0);
        }
        loop {
            let room = self.buffer.get_mut(self.end..).unwrap_or_default();
            match self.source.read(room) {
                Ok(read) => {
                    self.end += read;
                    return read > 0;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    self.failure = Some(e);
                    return false;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    /// Gives its bytes a few at a time, to put every seam everywhere.
    struct Drip(Vec<u8>, usize, usize);

    impl Read for Drip {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let rest = &self.0[self.1..];
            let n = rest.len().min(out.len()).min(self.2);
            out[..n].copy_from_slice(&rest[..n]);
            self.1 += n;
            Ok(n)
        }
    }

    fn all(mut reader: LineReader) -> (Vec<String>, Option<io::ErrorKind>) {
        let mut seen = Vec::new();
        loop {
            match reader.next_line() {
                Ok(Next::Line { number, text, whole }) => {
                    let text = String::from_utf8_lossy(text);
                    seen.push(format!("{number}{}{text}", if whole { ":" } else { "~" }));
                }
                Ok(Next::TooLong { number }) => seen.push(format!("{number}!")),
                Ok(Next::End) => return (seen, None),
                Err(e) => return (seen, Some(e.kind())),
            }
        }
    }

    #[test]
    fn lines_whatever_the_reads() {
        let long = "x".repeat(MAX_CAPTURE_LINE_BYTES + 1);
        let fits = "y".repeat(MAX_CAPTURE_LINE_BYTES);
        let check = |text: &str, want: &[&str]| {
            for step in [1, 7, CAPTURE_READ_BYTES, usize::MAX] {
                if step == 1 && text.len() > 1000 {
                    continue;
                }
                let drip = Drip(text.as_bytes().to_vec(), 0, step);
                assert_eq!(all(LineReader::new(Box::new(drip))).0, want, "reads of {step}");
            }
        };
        check("", &[]);
        check("\n", &["1:"]);
        check("a\nb\r\n\nc", &["1:a", "2:b", "3:", "4~c"]);
        check("a\r\r\n", &["1:a\r"]);
        check(&format!("a\n{long}\nb\n"), &["1:a", "2!", "3:b"]);
        check(&format!("a\n{long}"), &["1:a", "2!"]);
        check(&format!("{long}{long}{long}\nb"), &["1!", "2~b"]);
        check(&format!("{fits}\nb\n"), &[&format!("1:{fits}"), "2:b"]);
    }

    #[test]
    fn an_endless_line_is_not_held_in_memory() {
        let mut reader = LineReader::new(Box::new(io::repeat(b'z').take(64 << 20)));
        assert_eq!(reader.next_line().expect("reads"), Next::TooLong { number: 1 });
        assert!(reader.buffer.len() <= 4 * MAX_CAPTURE_LINE_BYTES, "{}", reader.buffer.len());
        assert_eq!(reader.next_line().expect("reads"), Next::End);
    }

    #[test]
    fn gzip_by_content_and_cut_in_the_middle() {
        let mut text = String::new();
        for i in 0..20_000_u64 {
            text.push_str(&format!("{}\n", i.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        }
        let gz = |text: &str| {
            let mut out = GzEncoder::new(Vec::new(), Compression::fast());
            out.write_all(text.as_bytes()).expect("compresses");
            out.finish().expect("compresses")
        };
        let dir = tempfile::tempdir().expect("a directory");
        let check = |bytes: &[u8]| {
            let path = dir.path().join("capture");
            std::fs::write(&path, bytes).expect("writes");
            all(LineReader::open(&path).expect("opens"))
        };
        let plain = check(text.as_bytes());
        assert_eq!((plain.0.len(), plain.1), (20_000, None));
        assert_eq!(check(&gz(&text)), plain);
        // Two members, as `cat a.gz b.gz` makes them.
        let (a, b) = text.split_at(text.len() / 2);
        assert_eq!(check(&[gz(a), gz(b)].concat()), plain);
        let whole = gz(&text);
        let (cut, error) = check(&whole[..whole.len() / 2]);
        assert_eq!(error, Some(io::ErrorKind::UnexpectedEof));
        assert!(cut.len() > 5_000, "only {} lines before the cut", cut.len());
        let (whole_lines, rest) = cut.split_at(cut.len() - 1);
        assert_eq!(whole_lines, &plain.0[..whole_lines.len()]);
        assert!(rest[0].contains('~') || plain.0.contains(&rest[0]));
    }
}
