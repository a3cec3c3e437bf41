//! Frames: they tile the bytes they are found in, and an event survives the way out and back.

use veloz::frame::{frames, write_frame};
use veloz_core::event::Event;

/// See the module.
pub fn check(data: &[u8]) {
    let mut all = frames(data);
    let mut read = 0;
    for frame in all.by_ref() {
        assert_eq!(frame.bytes, &data[read..read + frame.bytes.len()], "a hole");
        read += frame.bytes.len();
        let Ok(event) = Event::decode(frame.kind, frame.data) else { continue };
        let mut written = Vec::new();
        write_frame(&mut written, frame.id, &event);
        let mut again = frames(&written);
        let back = again.next().expect("what is written is a frame");
        assert_eq!((back.id, back.kind), (frame.id, frame.kind));
        assert_eq!(back.bytes, written, "and nothing else");
        assert_eq!(Event::decode(back.kind, back.data).expect("decodes"), event);
    }
    assert_eq!(all.rest(), &data[read..]);
}
