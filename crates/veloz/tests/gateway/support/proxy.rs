//! A TCP proxy on an address that stays, in front of a server that comes and goes, which cuts its
//! connections after so many bytes of the answer.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// How a connection is cut.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cut {
    /// The end of the stream: what was sent arrives.
    Close,
    /// A reset: what is on its way may be lost.
    Reset,
}

/// How the network between both sides is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Network {
    Up,
    /// Nothing passes, either way, and nobody is told; what was sent arrives when it is up again.
    Held,
    /// The same, and no connection of before or of now ever passes anything again.
    Dead,
}

/// What concerns all connections, and those that there are.
struct Wire {
    network: Network,
    /// Connections of an earlier one are dead, or end at once with a reset.
    generation: u64,
    reset_before: u64,
    /// Both sides of each connection, so that a read of them can be ended.
    open: Vec<(u64, TcpStream, TcpStream)>,
    /// How many there were.
    accepted: u64,
}

struct Shared {
    target: Mutex<SocketAddr>,
    wire: Mutex<Wire>,
    changed: Condvar,
    /// What may still pass towards the client before the cut, and how it is cut then.
    fuse: Mutex<Option<(usize, Cut)>>,
    cuts: AtomicU64,
    /// Cut in bodies only, never in a response's head.
    whole_heads: bool,
}

/// The proxy; it stops accepting when the test's process ends.
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    pub(crate) fn start(target: SocketAddr, whole_heads: bool) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared {
            target: Mutex::new(target),
            wire: Mutex::new(Wire {
                network: Network::Up,
                generation: 0,
                reset_before: 0,
                open: Vec::new(),
                accepted: 0,
            }),
            changed: Condvar::new(),
            fuse: Mutex::new(None),
            cuts: AtomicU64::new(0),
            whole_heads,
        });
        let accepted = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&accepted);
                std::thread::spawn(move || shared.serve(client));
            }
        });
        Proxy { address, shared }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where new connections go.
    pub(crate) fn set_target(&self, target: SocketAddr) {
        *self.shared.target.lock().expect("not poisoned") = target;
    }

    /// Cuts once, when so many more bytes have passed; `cuts` tells that it has.
    pub(crate) fn cut_after(&self, bytes: usize, cut: Cut) {
        *self.shared.fuse.lock().expect("not poisoned") = Some((bytes, cut));
    }

    /// Nothing passes any more, either way, and nobody is told, until `release` or `revive`.
    pub(crate) fn hold(&self) {
        self.wire(|wire| wire.network = Network::Held);
    }

    /// What was held passes now.
    pub(crate) fn release(&self) {
        self.wire(|wire| wire.network = Network::Up);
    }

    /// As `hold`, for good: after `revive` only new connections pass anything.
    pub(crate) fn black_hole(&self) {
        self.wire(|wire| wire.network = Network::Dead);
    }

    /// New connections pass again.
    pub(crate) fn revive(&self) {
        self.wire(|wire| {
            wire.network = Network::Up;
            wire.generation += 1;
        });
    }

    /// Ends every connection with a reset.
    pub(crate) fn reset_all(&self) {
        self.wire(|wire| {
            wire.generation += 1;
            wire.reset_before = wire.generation;
            for (_, client, server) in wire.open.drain(..) {
                // They may have ended already.
                let _ = (client.shutdown(Shutdown::Read), server.shutdown(Shutdown::Both));
            }
        });
    }

    fn wire(&self, change: impl FnOnce(&mut Wire)) {
        change(&mut self.shared.wire.lock().expect("not poisoned"));
        self.shared.changed.notify_all();
    }

    pub(crate) fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn serve(self: Arc<Self>, client: TcpStream) {
        let target = *self.target.lock().expect("not poisoned");
        let Ok(server) = TcpStream::connect_timeout(&target, Duration::from_secs(5)) else {
            return;
        };
        let (up_from, up_to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let (id, generation) = self.enter(&client, &server);
        let up = Arc::clone(&self);
        std::thread::spawn(move || {
            up.pass_up(&up_from, &up_to, generation);
            up_to.shutdown(Shutdown::Write).unwrap_or_default();
        });
        let cut = self.pass(&server, &client, generation);
        self.leave(id);
        match cut {
            Cut::Close => client.shutdown(Shutdown::Both),
            Cut::Reset => {
                // With no time to linger the last handle's close is a reset; the other thread lets go
                // of its handle when its read ends.
                rustix::net::sockopt::set_socket_linger(&client, Some(Duration::ZERO)).unwrap();
                client.shutdown(Shutdown::Read)
            }
        }
        .unwrap_or_default();
        server.shutdown(Shutdown::Both).unwrap_or_default();
    }

    /// Notes a connection; tells its number and its generation.
    fn enter(&self, client: &TcpStream, server: &TcpStream) -> (u64, u64) {
        let mut wire = self.wire.lock().expect("not poisoned");
        wire.accepted += 1;
        let (id, generation) = (wire.accepted, wire.generation);
        wire.open.push((id, client.try_clone().unwrap(), server.try_clone().unwrap()));
        (id, generation)
    }

    /// Lets go of a connection: its last handle's close is what the other side sees.
    fn leave(&self, id: u64) {
        self.wire.lock().expect("not poisoned").open.retain(|(open, ..)| *open != id);
    }

    /// Waits until a connection of this generation may pass something; tells how it ends instead.
    fn may_pass(&self, generation: u64) -> Result<(), Cut> {
        let mut wire = self.wire.lock().expect("not poisoned");
        loop {
            if generation < wire.reset_before {
                return Err(Cut::Reset);
            }
            if wire.network == Network::Up && generation == wire.generation {
                return Ok(());
            }
            wire = self.changed.wait(wire).expect("not poisoned");
        }
    }

    /// Passes bytes to the server until either side ends.
    fn pass_up(&self, mut client: &TcpStream, mut server: &TcpStream, generation: u64) {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = client.read(&mut buffer) {
            if self.may_pass(generation).is_err() || server.write_all(&buffer[..n]).is_err() {
                return;
            }
        }
    }

    /// Passes bytes to the client until either side ends or the fuse burns.
    fn pass(&self, mut server: &TcpStream, mut client: &TcpStream, generation: u64) -> Cut {
        let mut buffer = [0; 4096];
        let mut in_head = self.whole_heads;
        loop {
            let read = server.read(&mut buffer);
            if let Err(cut) = self.may_pass(generation) {
                return cut;
            }
            let Ok(n @ 1..) = read else { return Cut::Close };
            let mut head = 0;
            if in_head {
                let end = memchr::memmem::find(&buffer[..n], b"\r\n\r\n");
                in_head = end.is_none();
                head = end.map_or(n, |end| end + 4);
            }
            let (body, cut) = self.burn(n - head);
            if client.write_all(&buffer[..head + body]).is_err() {
                return Cut::Close;
            }
            if let Some(cut) = cut {
                self.cuts.fetch_add(1, Ordering::SeqCst);
                return cut;
            }
        }
    }

    /// How many of `n` bytes may pass, and whether the connection ends after them.
    fn burn(&self, n: usize) -> (usize, Option<Cut>) {
        let mut fuse = self.fuse.lock().expect("not poisoned");
        match fuse.take() {
            Some((left, cut)) if left <= n => (left, Some(cut)),
            Some((left, cut)) => {
                *fuse = Some((left - n, cut));
                (n, None)
            }
            None => (n, None),
        }
    }
}
