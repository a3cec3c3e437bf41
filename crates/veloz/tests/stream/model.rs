//! What random clients of random logs receive equals what a slow, obvious model says, byte for byte:
//! through tiny windows, tiny reads and tiny sockets, with events published at random moments.

use std::sync::Arc;

use veloz::journal::LogReader;
use veloz::stream::StreamConfig;
use veloz_core::event::EventKind;
use veloz_core::types::EventId;

use crate::frame::write_frame;
use crate::rig::{Client, MemoryLog, Rig, quiet};
use crate::testing::event;

/// One client's wishes, as the model understands them.
struct Wish {
    last_id: Option<EventId>,
    types: Vec<EventKind>,
    symbol: Option<&'static str>,
    order: Option<&'static str>,
    form: &'static str,
}

impl Wish {
    fn random(rng: &mut fastrand::Rng, newest: EventId) -> Wish {
        let mut types = EventKind::ALL.to_vec();
        if rng.bool() {
            types.retain(|_| rng.u8(0..3) == 0);
        }
        Wish {
            last_id: (rng.u8(0..6) > 0).then(|| rng.u64(0..=newest + newest / 4)),
            types: if types.is_empty() { vec![EventKind::Market] } else { types },
            symbol: rng.choice([None, None, Some("AAA")]).unwrap(),
            order: rng.choice([None, None, None, Some("o-1")]).unwrap(),
            form: rng.choice(["", "", "named=0", "format=ndjson"]).unwrap(),
        }
    }

    fn query(&self) -> String {
        let types: Vec<_> = self.types.iter().map(|kind| kind.as_str()).collect();
        let mut query = self.form.to_owned();
        if self.types.len() < EventKind::ALL.len() {
            query += &format!("&types={}", types.join(","));
        }
        let parameters = [("symbols", self.symbol), ("client_order_id", self.order)];
        for (name, value) in parameters.into_iter().filter_map(|(n, v)| Some((n, v?))) {
            query += &format!("&{name}={value}");
        }
        query + &self.last_id.map(|id| format!("&last_id={id}")).unwrap_or_default()
    }

    fn passes(&self, id: EventId) -> bool {
        let event = event(id);
        self.types.contains(&event.kind())
            && self.symbol.is_none_or(|s| event.symbol().is_none_or(|symbol| symbol.as_str() == s))
            && self.order.is_none_or(|o| event.client_order_id().is_some_and(|id| id.as_str() == o))
    }

    fn frame(&self, id: Option<EventId>, name: &str, data: &str) -> String {
        let with_id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
        match (self.form, id) {
            ("format=ndjson", Some(id)) => {
                format!("{{\"id\":{id},\"event\":\"{name}\",\"data\":{data}}}\n")
            }
            ("named=0", _) => format!("{with_id}data: {data}\n\n"),
            _ => format!("{with_id}event: {name}\ndata: {data}\n\n"),
        }
    }

    fn cursor(&self, id: EventId) -> String {
        match self.form {
            "format=ndjson" => format!("{{\"id\":{id}}}\n"),
            _ => format!("id: {id}\n\n"),
        }
    }

    fn event(&self, id: EventId) -> String {
        let mut data = Vec::new();
        event(id).encode(&mut data);
        self.frame(Some(id), event(id).kind().as_str(), std::str::from_utf8(&data).unwrap())
    }

    fn gap(
        &self,
        id: EventId,
        reason: &str,
        requested: EventId,
        bounds: (EventId, EventId),
    ) -> String {
        let (oldest, newest) = bounds;
        let data = format!(
            "{{\"type\":\"gap\",\"reason\":\"{reason}\",\"requested\":{requested},\
             \"oldest\":{oldest},\"newest\":{newest}}}"
        );
        self.frame(Some(id), "gap", &data)
    }

    /// What comes before the events, and the first id that may follow.
    fn start(&self, requested: EventId, oldest: EventId, newest: EventId) -> (String, EventId) {
        let at_start = (oldest, newest);
        if self.last_id.is_none() {
            (self.cursor(requested), requested + 1)
        } else if requested > newest {
            (self.gap(newest, "ahead", requested, at_start), newest + 1)
        } else if requested > 0 && requested + 1 < oldest {
            (self.gap(oldest - 1, "trimmed", requested, at_start), oldest)
        } else {
            (String::new(), (requested + 1).max(oldest))
        }
    }
}

/// Takes the one gap for compacted events out, whose place depends on how the log was read, and checks that place.
fn without_compacted_gap(wish: &Wish, body: &str, missing: Option<EventId>) -> String {
    let Some(at) = body.find("\"reason\":\"compacted\"") else {
        assert_eq!(missing, None, "events were left out without a word: {body}");
        return body.to_owned();
    };
    let missing = missing.expect("a gap though nothing is missing");
    let end_mark = if wish.form == "format=ndjson" { "\n" } else { "\n\n" };
    let start = body[..at].rfind(end_mark).map_or(0, |i| i + end_mark.len());
    let end = at + body[at..].find(end_mark).unwrap() + end_mark.len();
    let requested = body[at..].split("\"requested\":").nth(1).unwrap();
    let requested: EventId = requested[..requested.find(',').unwrap()].parse().unwrap();
    assert!(requested < missing, "the gap comes late: {requested} {missing}");
    let before: Vec<_> = (1..=requested).filter(|id| wish.passes(*id)).collect();
    if let Some(last) = before.last()
        && start > 0
    {
        assert!(body[..start].ends_with(&wish.event(*last)) || body[..start].contains("gap"));
    }
    format!("{}{}", &body[..start], &body[end..])
}

fn read_all(client: &mut Client, rng: &mut fastrand::Rng) {
    loop {
        client.read_bytes = if rng.u8(0..4) == 0 { 1 } else { rng.usize(1..3000) };
        if !client.read_some() {
            return;
        }
    }
}

fn check(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let log = MemoryLog::new();
    log.append(rng.u64(1..600));
    let before = log.bounds().newest;
    if rng.bool() {
        log.trim(rng.u64(1..=before));
    }
    if rng.bool() {
        let from = rng.u64(0..=before);
        log.compact(from..rng.u64(from..=before));
    }
    let kept = log.ids();
    let bounds = log.bounds();
    let config = StreamConfig {
        // Who reads a byte at a time on a busy machine gets all of it too.
        drain_ms: 120_000,
        window_bytes: rng.usize(200..4000),
        block_bytes: rng.usize(100..1000),
        turn_bytes: rng.usize(100..20_000),
        // Sends by io_uring, and without it.
        ring_from: if rng.bool() { 1 } else { usize::MAX },
        ..quiet()
    };
    let mut rig = Rig::on(Arc::clone(&log), config);
    rig.socket_buffer_bytes = (rng.u8(0..3) == 0).then_some(2048);
    let (mut clients, mut newest) = (Vec::new(), before);
    for _ in 0..rng.usize(1..6) {
        let wish = Wish::random(&mut rng, before);
        let mut client = rig.connect(&wish.query());
        // From here on it is decided where it starts.
        client.read_until("\r\n\r\n");
        let mut reads = rng.fork();
        let reader = std::thread::spawn(move || {
            read_all(&mut client, &mut reads);
            client
        });
        clients.push((wish, reader, newest));
        for _ in 0..rng.u64(0..20) {
            let count = rng.u64(1..30);
            rig.publish(count);
            newest += count;
        }
    }
    rig.stream.shut_down();
    for (wish, reader, newest_at_connect) in clients {
        let client = reader.join().unwrap();
        let requested = wish.last_id.unwrap_or(newest_at_connect);
        let (prefix, first) = wish.start(requested, bounds.oldest, newest_at_connect);
        let ids = (first..=newest).filter(|id| *id > before || kept.binary_search(id).is_ok());
        let wanted: String = ids.filter(|id| wish.passes(*id)).map(|id| wish.event(id)).collect();
        let missing = (first..=before).find(|id| kept.binary_search(id).is_err());
        let wants_market = wish.types.contains(&EventKind::Market) && wish.order.is_none();
        let missing = missing.filter(|_| wants_market);
        let body = without_compacted_gap(&wish, client.body(), missing);
        let wanted = prefix + &wanted;
        let same = body.bytes().zip(wanted.bytes()).take_while(|(a, b)| a == b).count();
        let from = same.saturating_sub(200);
        assert!(
            body == wanted,
            "seed {seed}: {} differs after {same} bytes of {} and {}:\n{:?}\n{:?}",
            wish.query(),
            body.len(),
            wanted.len(),
            body[from..].get(..400),
            wanted[from..].get(..400),
        );
    }
}

#[test]
fn clients_receive_what_the_model_says() {
    let mut frame = Vec::new();
    write_frame(&mut frame, 6, &event(6));
    let plain = Wish { last_id: None, types: vec![], symbol: None, order: None, form: "" };
    assert_eq!(plain.event(6).as_bytes(), frame);
    for seed in 0..60 {
        check(seed);
    }
}
