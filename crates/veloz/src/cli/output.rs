//! What goes to stdout: tables, aligned for a terminal and separated by tabs for a program, or JSON.
//!
//! Contract: no text of a gateway or a venue reaches a terminal with its control characters.

use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write as _};

use owo_colors::{OwoColorize as _, Style};
use serde::Serialize;

use crate::config::wants_colors;

/// Where a column's cells stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// A column's name and alignment.
pub(super) type Column = (&'static str, Align);

#[derive(Debug)]
pub(super) struct Output {
    out: BufWriter<Stdout>,
    terminal: bool,
    color: bool,
    pub(super) json: bool,
}

impl Output {
    pub(super) fn stdout(json: bool) -> Output {
        let terminal = io::stdout().is_terminal();
        let color = wants_colors(&io::stdout());
        Output { out: BufWriter::new(io::stdout()), terminal, color, json }
    }

    pub(super) fn without_color(&mut self) {
        self.color = false;
    }

    /// One line of a gateway's text, or of ours.
    pub(super) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{}", clean(text))
    }

    /// One line of JSON; a program gets it as it is.
    pub(super) fn json_line(&mut self, json: &str) -> io::Result<()> {
        let json = json.trim_end();
        if self.terminal { self.line(json) } else { writeln!(self.out, "{json}") }
    }

    /// A value as one line of JSON.
    pub(super) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        self.json_line(&serde_json::to_string(value)?)
    }

    /// One line in a colour, where colours are shown.
    pub(super) fn styled_line(&mut self, text: &str, style: Style) -> io::Result<()> {
        let text = clean(text);
        if self.color {
            writeln!(self.out, "{}", text.style(style))
        } else {
            writeln!(self.out, "{text}")
        }
    }

    pub(super) fn table(&mut self, columns: &[Column], rows: &[Vec<String>]) -> io::Result<()> {
        let text = if self.terminal { aligned(columns, rows) } else { tabbed(columns, rows) };
        self.out.write_all(text.as_bytes())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Says something on stderr.
pub(super) fn notice(text: &str) {
    // There is nobody left to tell when stderr is gone.
    let _ = writeln!(io::stderr(), "{}", clean(text));
}

/// A time as text, in UTC.
pub(super) fn time(ts_ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(ts_ns))
        .map(|time| time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
        .unwrap_or_else(|_| ts_ns.to_string())
}

/// A value, or what stands for none.
pub(super) fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map(|v| v.to_string()).filter(|v| !v.is_empty()).unwrap_or_else(|| "-".to_owned())
}

fn clean(text: &str) -> String {
    // Those that turn the direction of writing make a line look like another one.
    let turns = |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || turns(c) { '\u{fffd}' } else { c }).collect()
}

fn aligned(columns: &[Column], rows: &[Vec<String>]) -> String {
    let width = |i: usize| {
        let cells = rows.iter().filter_map(|row| row.get(i)).map(|cell| cell.chars().count());
        cells.chain(columns.get(i).map(|(name, _)| name.len())).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    let header = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
    for row in std::iter::once(&header).chain(rows) {
        let mut line = String::new();
        for ((cell, width), (_, align)) in row.iter().zip(&widths).zip(columns) {
            let cell = clean(cell);
            line.push_str(&match align {
                Align::Left => format!("{cell:<width$}  "),
                Align::Right => format!("{cell:>width$}  "),
            });
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn tabbed(columns: &[Column], rows: &[Vec<String>]) -> String {
    let header = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
    std::iter::once(&header)
        .chain(rows)
        .map(|row| row.iter().map(|cell| clean(cell)).collect::<Vec<_>>().join("\t") + "\n")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables() {
        let columns = [("ASSET", Align::Left), ("FREE", Align::Right)];
        let rows =
            [vec!["BTC".to_owned(), "1.0".to_owned()], vec!["\u{1b}[2J\t".into(), "12.5".into()]];
        assert_eq!(
            aligned(&columns, &rows),
            "ASSET  FREE\nBTC     1.0\n\u{fffd}[2J\u{fffd}  12.5\n"
        );
        assert_eq!(tabbed(&columns, &rows), "ASSET\tFREE\nBTC\t1.0\n\u{fffd}[2J\u{fffd}\t12.5\n");
        assert_eq!(aligned(&columns, &[]), "ASSET  FREE\n");
    }

    #[test]
    fn times() {
        assert_eq!(time(1_704_067_200_123_456_789), "2024-01-01T00:00:00.123Z");
        assert_eq!(time(-1), "1969-12-31T23:59:59.999Z");
    }
}
