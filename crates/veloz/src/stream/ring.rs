//! Many sends with one system call: io_uring, where the kernel permits it.
//!
//! Contract: no send waits, and none outlives the call: what [`Ring::send`] was lent is free when it returns. So the
//! caller sees as many plain sends, each with its own result, and needs no other way to deal with them.

use std::io;

/// What came of each send that was tried, in order, and why the ring is of no more use, if so.
pub(super) type Outcome = (Vec<io::Result<usize>>, io::Result<()>);

#[cfg(target_os = "linux")]
pub(super) use linux::Ring;

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{self, ErrorKind};
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
    use std::os::unix::net::UnixStream;

    use io_uring::{IoUring, opcode, types};
    use veloz_core::limits::STREAM_RING_SENDS;

    use super::Outcome;

    /// A ring of the thread that opened it: another one cannot send by it.
    pub(in crate::stream) struct Ring {
        ring: IoUring,
    }

    impl Ring {
        /// Opens one, and tries it: some kernels and sandboxes have only parts of it.
        ///
        /// # Errors
        /// When the kernel is too old, forbids it or has no memory for it.
        pub(in crate::stream) fn open() -> io::Result<Ring> {
            // Since Linux 6.1: without the locks and the interrupts that several threads would need.
            let lean = IoUring::builder()
                .setup_single_issuer()
                .setup_defer_taskrun()
                .build(STREAM_RING_SENDS);
            let mut ring = Ring { ring: lean.or_else(|_| IoUring::new(STREAM_RING_SENDS))? };
            let (here, _there) = UnixStream::pair()?;
            let (mut results, state) = ring.send(&[(here.as_fd(), b"?")]);
            state?;
            match results.pop() {
                Some(Ok(1)) => Ok(ring),
                Some(Err(error)) => Err(error),
                _ => Err(ErrorKind::Unsupported.into()),
            }
        }

        /// Sends as many of these as the ring holds, each as a `send` that does not wait.
        pub(in crate::stream) fn send(&mut self, sends: &[(BorrowedFd<'_>, &[u8])]) -> Outcome {
            let mut results = Vec::with_capacity(sends.len());
            let mut submission = self.ring.submission();
            for (number, (socket, bytes)) in (0..).zip(sends) {
                let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                let send = opcode::Send::new(types::Fd(socket.as_raw_fd()), bytes.as_ptr(), length)
                    .flags(libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
                    .build()
                    .user_data(number);
                // SAFETY: socket and bytes are borrowed until this function returns. By then the kernel has either
                // told what came of the send, or not taken it; it never does later, since the ring is given up.
                #[expect(unsafe_code, reason = "the kernel reads the bytes by their address")]
                let pushed = unsafe { submission.push(&send) };
                if pushed.is_err() {
                    break;
                }
                // What is never told may have been sent, so it counts as a broken connection.
                results.push(Err(io::Error::from_raw_os_error(libc::EIO)));
            }
            drop(submission);
            let state = self.complete(&mut results);
            (results, state)
        }

        /// Has the kernel do them all. Of a failure only those results are left that the kernel has taken up.
        fn complete(&mut self, results: &mut Vec<io::Result<usize>>) -> io::Result<()> {
            let mut left = results.len();
            while left > 0 {
                let entered = self.ring.submit_and_wait(left);
                for told in self.ring.completion() {
                    left = left.saturating_sub(1);
                    let number = usize::try_from(told.user_data()).unwrap_or(usize::MAX);
                    if let Some(result) = results.get_mut(number) {
                        *result = usize::try_from(told.result())
                            .map_err(|_| io::Error::from_raw_os_error(-told.result()));
                    }
                }
                match entered {
                    Err(error) if error.kind() != ErrorKind::Interrupted => {
                        let untaken = self.ring.submission().len();
                        results.truncate(results.len().saturating_sub(untaken));
                        return Err(error);
                    }
                    _ => {}
                }
            }
            Ok(())
        }
    }
}

/// No other system has it.
#[cfg(not(target_os = "linux"))]
pub(super) enum Ring {}

#[cfg(not(target_os = "linux"))]
impl Ring {
    pub(super) fn open() -> io::Result<Ring> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn send(&mut self, _: &[(std::os::fd::BorrowedFd<'_>, &[u8])]) -> Outcome {
        match *self {}
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{ErrorKind, Read as _, Write as _};
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// One of this thread, where the kernel permits it.
    fn ring() -> Option<Ring> {
        let permitted = io_uring::IoUring::new(1).is_ok();
        let ring = Ring::open();
        assert_eq!(ring.is_ok(), permitted, "{:?}", ring.err());
        ring.ok()
    }

    #[test]
    fn each_send_has_its_own_result() {
        let Some(mut ring) = ring() else { return };
        let (well, mut far) = UnixStream::pair().expect("sockets");
        let (full, _far) = UnixStream::pair().expect("sockets");
        full.set_nonblocking(true).expect("no waiting");
        while (&full).write(&[0; 4096]).is_ok() {}
        let (gone, _) = UnixStream::pair().expect("sockets");
        let large = vec![7; 8 << 20];
        let (part, _other) = UnixStream::pair().expect("sockets");
        for _ in 0..100 {
            let (results, state) = ring.send(&[
                (well.as_fd(), b"one, "),
                (full.as_fd(), b"waits"),
                (gone.as_fd(), b"fails"),
                (well.as_fd(), b"two"),
            ]);
            state.expect("works");
            let kinds: Vec<_> = results.into_iter().map(|r| r.map_err(|e| e.kind())).collect();
            let wanted = [Ok(5), Err(ErrorKind::WouldBlock), Err(ErrorKind::BrokenPipe), Ok(3)];
            assert_eq!(kinds, wanted);
            let mut received = [0; 8];
            far.read_exact(&mut received).expect("comes");
            assert_eq!(&received, b"one, two");
        }
        let (results, _) = ring.send(&[(part.as_fd(), &large)]);
        assert!(
            matches!(results.as_slice(), [Ok(n)] if (1..large.len()).contains(n)),
            "{results:?}"
        );
    }

    #[test]
    fn what_does_not_fit_is_not_tried() {
        let Some(mut ring) = ring() else { return };
        let (here, mut there) = UnixStream::pair().expect("sockets");
        let bytes: Vec<u8> = (0..=255).cycle().take(3000).collect();
        let sends: Vec<_> = bytes.chunks(1).map(|byte| (here.as_fd(), byte)).collect();
        let (results, state) = ring.send(&sends);
        state.expect("works");
        drop(here);
        // A socket holds only so many sends of its own: those that were not taken are told.
        let taken = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(results.len(), 1024);
        let mut received = Vec::new();
        there.read_to_end(&mut received).expect("comes");
        assert_eq!(received, bytes[..taken]);
    }

    /// A ring that fails: this one belongs to another thread.
    #[test]
    fn of_a_ring_that_fails_what_was_not_taken_is_not_tried() {
        let Some(mut ring) = ring() else { return };
        let (here, mut there) = UnixStream::pair().expect("sockets");
        let sent = std::thread::spawn(move || {
            let (results, state) = ring.send(&[(here.as_fd(), b"once")]);
            (results.len(), state.is_ok())
        });
        let (tried, works) = sent.join().expect("no panic");
        let mut received = Vec::new();
        there.read_to_end(&mut received).expect("ends");
        // Kernels before 6.1 know no such owner.
        assert_eq!((tried == 1, received == b"once"), (works, works));
    }
}
