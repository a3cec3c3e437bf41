//! Lines to an engine, lines from one, and lines of a strategy: a command that is read can be written, and reads the same; no line changes
//! how the next is read.

use veloz::protocol::{Command, Line, Lines, Query, parse, read_said, write_command};
use veloz_core::engine::VenueCommand;

const MOST_BYTES: usize = 300;

/// See the module.
pub fn check(data: &[u8]) {
    let mut lines = Lines::new(data, MOST_BYTES);
    let mut expected = data.split(|byte| *byte == b'\n');
    while let Some(line) = lines.read().expect("memory reads") {
        let whole = expected.next().expect("as many lines as there are");
        match line {
            Line::TooLong => assert!(whole.len() > MOST_BYTES),
            Line::Whole(line) => {
                assert_eq!(line, whole.strip_suffix(b"\r").unwrap_or(whole));
                one_line(line);
            }
            Line::Cut(line) => assert_eq!(line, whole),
        }
    }
    assert!(expected.all(<[u8]>::is_empty), "a line is missing");
}

fn one_line(line: &[u8]) {
    // Whatever a strategy says, it is understood, or it is told why not.
    if let Err(problem) = veloz::backtest::check_line(line) {
        assert!(!problem.is_empty() && !problem.contains(char::is_control), "{problem:?}");
    }
    // Whatever an engine says, it is read or it is not.
    let _ = read_said(line);
    let command = match parse(line) {
        Ok(Some(command)) => command,
        Ok(None) => return,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let (venue, same) = match command.clone() {
        Command::Order(order) => (VenueCommand::Place(Box::new(order)), command),
        Command::Cancel(client_order_id) => {
            let symbol = "BTCUSDT".parse().expect("a symbol");
            let cancel = VenueCommand::Cancel { client_order_id, symbol, venue_order_id: None };
            (cancel, command)
        }
        Command::Query(Query::Order(client_order_id)) => {
            (VenueCommand::Query { client_order_id }, command)
        }
        Command::Query(_) => return,
    };
    let mut written = Vec::new();
    write_command(&venue, &mut written);
    let text = written.strip_suffix(b"\n").expect("a line");
    assert_eq!(parse(text), Ok(Some(same)), "{:?}", String::from_utf8_lossy(text));
}
