//! Twenty thousand connections come and go, cut off in every state: handles and memory return to where
//! they were. Alone in its process, whose handles it counts.

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use veloz::journal::{Bounds, LogError, LogReader, Read};
    use veloz::stream::request::StreamRequest;
    use veloz::stream::{
        Attach, BooksReply, SnapshotReply, StateSource, Stream, StreamConfig, StreamHandle,
    };
    use veloz_core::event::{ErrorEvent, Event};
    use veloz_core::types::{EventId, Symbol};

    /// Events of the log before the stream starts: read through the catch-up.
    const OLD: EventId = 5000;

    fn frames(ids: impl IntoIterator<Item = EventId>) -> Vec<u8> {
        let mut out = Vec::new();
        for id in ids {
            let event = ErrorEvent { ts_ns: 0, message: "engine_exited".into(), detail: None };
            veloz::frame::write_frame(&mut out, id, &Event::Error(event));
        }
        out
    }

    /// Holds the same event for ever; has no snapshot, and never says so.
    struct Source;

    impl LogReader for Source {
        fn bounds(&self) -> Bounds {
            Bounds { oldest: 1, newest: OLD }
        }

        fn read(&self, from: EventId, _: usize) -> Result<Read, LogError> {
            let next = from + 100;
            Ok(Read::Frames { bytes: frames(from..next).into(), next, compacted: false })
        }
    }

    impl StateSource for Source {
        fn snapshot(&self, reply: SnapshotReply) {
            std::mem::forget(reply);
        }

        fn books(&self, _: &[Symbol], reply: BooksReply) {
            reply.send(vec![]);
        }

        fn stream_failed(&self) {
            panic!("the stream failed");
        }
    }

    fn open_files() -> usize {
        std::fs::read_dir("/proc/self/fd").expect("the list of handles").count()
    }

    fn resident_kib() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").expect("the status");
        let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("a line");
        line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number")
    }

    fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
        let start = Instant::now();
        while !holds() {
            assert!(start.elapsed() < Duration::from_secs(60), "waited in vain for {what}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn connect(handle: &StreamHandle, listener: &TcpListener, query: &str) -> TcpStream {
        let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("connects");
        let (accepted, _) = listener.accept().expect("accepts");
        let request = StreamRequest::parse(Some(query), &http::HeaderMap::new()).expect("good");
        handle.attach(accepted, Attach { request, ..Attach::default() }).expect("attaches");
        client
    }

    #[test]
    fn handles_and_memory_return() {
        const QUERIES: [&str; 6] = [
            "",
            "last_id=0",
            "types=fill",
            "last_id=1&format=ndjson",
            "snapshot=1",
            "book=A&ping=1",
        ];
        let config =
            StreamConfig { window_bytes: 50_000, block_bytes: 10_000, ..Default::default() };
        let stream = Stream::start(config, Arc::new(Source), Arc::new(Source)).expect("starts");
        let (handle, tail) = (stream.handle(), stream.tail());
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let mut rng = fastrand::Rng::with_seed(5);
        let (mut next_id, mut files, mut kib) = (OLD + 1, 0, 0);
        for round in 0..40 {
            let mut clients = Vec::new();
            for i in 0..500 {
                let query = QUERIES[rng.usize(..QUERIES.len())];
                let mut client = connect(&handle, &listener, query);
                match rng.u8(0..4) {
                    0 => drop(client),
                    1 => {
                        let mut byte = [0];
                        client.read_exact(&mut byte).expect("the head");
                        rustix::net::sockopt::set_socket_linger(&client, Some(Duration::ZERO))
                            .expect("a reset");
                        drop(client);
                    }
                    2 => {
                        client.shutdown(Shutdown::Write).expect("half closed");
                        clients.push(client);
                    }
                    _ => clients.push(client),
                }
                if i % 50 == 0 {
                    tail.publish(frames(next_id..next_id + 200).into(), next_id, 200);
                    next_id += 200;
                }
            }
            drop(clients);
            wait_for("the last to be freed", || handle.metrics().connections.get() == 0);
            // The first rounds warm the allocator up.
            if round == 4 {
                (files, kib) = (open_files(), resident_kib());
            }
        }
        assert_eq!(open_files(), files);
        let grown = resident_kib().saturating_sub(kib);
        assert!(grown < 4096, "{grown} KiB more than after 2,500 connections");
        assert_eq!(handle.metrics().attached.get(), 20_000);
        stream.shut_down();
    }
}
