//! A TCP proxy on an address that stays, in front of a server that comes and goes, which cuts its
//! connections after so many bytes of the answer.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How a connection is cut.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cut {
    /// The end of the stream: what was sent arrives.
    Close,
    /// A reset: what is on its way may be lost.
    Reset,
}

struct Shared {
    target: Mutex<SocketAddr>,
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
        let (mut up_from, mut up_to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || {
            std::io::copy(&mut up_from, &mut up_to).unwrap_or_default();
            up_to.shutdown(Shutdown::Write).unwrap_or_default();
        });
        match self.pass(&server, &client) {
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

    /// Passes bytes to the client until either side ends or the fuse burns.
    fn pass(&self, mut server: &TcpStream, mut client: &TcpStream) -> Cut {
        let mut buffer = [0; 4096];
        let mut in_head = self.whole_heads;
        loop {
            let Ok(n @ 1..) = server.read(&mut buffer) else { return Cut::Close };
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
