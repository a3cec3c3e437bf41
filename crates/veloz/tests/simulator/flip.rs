//! Bits that flip: while the gateway is down, whoever opens the log says so, or gives everything as it was; while
//! it runs, nobody is given what was never written.

use fastrand::Rng;
use veloz::frame::frames;
use veloz::journal::{Journal, LogReader, Read};
use veloz_core::types::EventId;

use crate::disk::Disk;
use crate::gateway::{Settings, as_json, replay};
use crate::plant::Plant;
use crate::truth::{Check, Truth};

const RECORDS_START: usize = 64;

/// A bit of a sealed segment or of the archive that has flipped while the gateway runs, until somebody mends it.
#[derive(Debug, Default)]
pub(crate) struct Rot(Option<(String, usize, Flipped)>);

/// Which bit, and what the byte is since.
#[derive(Debug, Clone, Copy)]
struct Flipped {
    bit: u8,
    byte: u8,
}

impl Rot {
    pub(crate) fn flip(&mut self, disk: &Disk, rng: &mut Rng) {
        let files = disk.image();
        let mut segments: Vec<_> = files.iter().filter(|(n, _)| n.ends_with(".vlz")).collect();
        // The last one is written to.
        segments.pop();
        segments.extend(files.iter().filter(|(name, _)| *name == "orders.archive"));
        if self.0.is_some() || segments.is_empty() {
            return;
        }
        let (name, bytes) = segments.swap_remove(rng.usize(0..segments.len()));
        if bytes.len() > RECORDS_START {
            let at = rng.usize(RECORDS_START..bytes.len());
            let bit = 1 << rng.u8(0..8);
            let Some(byte) = bytes.get(at).map(|byte| byte ^ bit) else { return };
            toggle(disk, name, at, bit);
            self.0 = Some((name.clone(), at, Flipped { bit, byte }));
        }
    }

    /// Puts it right. A segment that was removed meanwhile is gone, the bit with it, and so is what was written over.
    pub(crate) fn mend(&mut self, disk: &Disk) {
        if let Some((name, at, flipped)) = self.0.take() {
            let is_there =
                disk.image().get(&name).and_then(|bytes| bytes.get(at)) == Some(&flipped.byte);
            if is_there {
                toggle(disk, &name, at, flipped.bit);
            }
        }
    }

    /// Whether a message names the file.
    pub(crate) fn is_in(&self, message: &str) -> bool {
        self.0.as_ref().is_some_and(|(name, ..)| message.contains(name))
    }
}

fn toggle(disk: &Disk, name: &str, at: usize, bit: u8) {
    disk.tamper(name, |bytes| {
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= bit;
        }
    });
}

/// What a start makes of a disk.
struct Opened {
    /// The state, when nothing was wrong.
    state: Result<String, String>,
    newest: EventId,
    /// What it says of what it found: a torn tail that it cut, snapshots that it passed over.
    told: Vec<String>,
    /// The frames of the log, as far as it can be read, and why no further.
    log: Vec<u8>,
    stopped: Option<String>,
}

fn open(disk: &Disk, settings: &Settings) -> Opened {
    let opened = Journal::open_without_threads(disk.storage(), settings.journal);
    let ((_journal, reader, recovery), _upkeep) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            let (state, told) = (Err(error.to_string()), Vec::new());
            return Opened { state, newest: 0, told, log: Vec::new(), stopped: None };
        }
    };
    let state = replay(&recovery).map_err(|error| error.to_string());
    let state = state.and_then(|state| as_json(&state));
    let mut told = recovery.passed_over.clone();
    told.extend(recovery.torn.as_ref().map(|torn| format!("{torn:?}")));
    let (mut log, mut next_id, mut stopped) = (Vec::new(), reader.bounds().oldest, None);
    while next_id <= recovery.newest {
        match reader.read(next_id, 1 << 16) {
            Ok(Read::Frames { bytes, next, .. }) => {
                log.extend_from_slice(&bytes);
                next_id = next;
            }
            other => {
                stopped = Some(format!("{other:?}"));
                break;
            }
        }
    }
    Opened { state, newest: recovery.newest, told, log, stopped }
}

/// Flips a bit on a copy of the disk, and looks what a start makes of it.
pub(crate) fn check(disk: &Disk, settings: &Settings, truth: &Truth, rng: &mut Rng) -> Check {
    let before = open(&disk.fork(), settings);
    if before.state.is_err() {
        // The start that follows says what that is.
        return Ok(());
    }
    let disk = disk.fork();
    let files: Vec<_> = disk.image().into_iter().filter(|(_, bytes)| !bytes.is_empty()).collect();
    let Some((name, bytes)) = rng.choice(&files) else { return Ok(()) };
    let (at, bit) = (rng.usize(0..bytes.len()), rng.u8(0..8));
    let where_it_is = format!("bit {bit} of {name} flipped at {at}");
    disk.tamper(name, |bytes| {
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << bit;
        }
        if settings.plant == Plant::CoverUpFlip && name.ends_with(".vlz") {
            cover_up(bytes);
        }
    });
    let after = open(&disk, settings);
    judge(&before, &after, name, truth).map_err(|error| format!("{where_it_is}: {error}"))
}

fn judge(before: &Opened, after: &Opened, name: &str, truth: &Truth) -> Check {
    for frame in frames(&after.log) {
        if frame.id <= truth.newest() {
            truth.confirm(&frame)?;
        }
    }
    let state = match &after.state {
        Err(error) if error.contains(name) => return Ok(()),
        // A file that is taken for none is missed by its neighbours.
        Err(error) if error.contains("/disk/") => return Ok(()),
        Err(error) => return Err(format!("an error that names no file: {error}")),
        Ok(state) => state,
    };
    let new = after.told.iter().any(|told| !before.told.contains(told));
    if let Some(stopped) = &after.stopped {
        return if stopped.contains(name) {
            Ok(())
        } else {
            Err(format!("{stopped} names no file"))
        };
    }
    if after.log != before.log && !new {
        return Err(format!(
            "the log has other events, up to {}, and nobody says so",
            after.newest
        ));
    }
    if Ok(state) != before.state.as_ref() && !new {
        return Err("the state is another one, and nobody says so".to_owned());
    }
    Ok(())
}

/// Planted: gives every record the checksum of what it holds now.
fn cover_up(bytes: &mut [u8]) {
    let mut at = RECORDS_START;
    while let Some(head) = bytes.get(at..at + 8) {
        let len = head.get(4..8).and_then(|len| Some(u32::from_le_bytes(len.try_into().ok()?)));
        let len = usize::try_from(len.unwrap_or_default()).unwrap_or_default();
        let Some(record) = bytes.get_mut(at..at + len).filter(|_| len >= 40) else { return };
        let (sum, rest) = record.split_at_mut(4);
        sum.copy_from_slice(&crc32c::crc32c(rest).to_le_bytes());
        at += len;
    }
}
