//! Finds the place of an event in a segment that nobody has walked through yet.
//!
//! Contract: what is found is a record, whole and at or before the one of the event. The time it takes does not
//! grow with the log, and hardly with the segment: a few small reads, each of which halves the way at least
//! every second time.
//!
//! Why a record can be told from what is in one: facts and frames are text, and text holds no zero byte. Eight
//! bytes of it are no id that the segment could have, and a checksum would have to match besides.

use std::io;

use memchr::memchr;
use veloz_core::limits::{JOURNAL_INDEX_STRIDE_BYTES, JOURNAL_READ_MAX_BYTES};
use veloz_core::types::EventId;

use super::format::{
    Parsed, RECORD_HEADER_BYTES, len_u64, offset_usize, parse_record, record_events,
    record_first_id, record_len,
};
use super::segment::{Place, Segment};
use super::storage::StorageFile;

/// From that near on the way is walked.
const NEAR_BYTES: u64 = 2 * JOURNAL_INDEX_STRIDE_BYTES;
/// What is read at first to find a record; a longer one takes more.
const LOOK_BYTES: usize = 4 << 10;
/// More looks than it ever takes.
const LOOKS_COUNT: u32 = 64;

/// The highest byte of an id is zero, and a head has its id that far in at the most.
const ZERO_AT: usize = 15;

/// A record: where it begins, and where the next one does.
struct Found {
    place: Place,
    behind: Place,
}

/// A record at or before the one of `id`, and near it. `next_id` is the one that comes after the segment.
pub(super) fn find(
    file: &dyn StorageFile,
    segment: &Segment,
    next_id: EventId,
    id: EventId,
) -> io::Result<Place> {
    let (place, known) = segment.around(id);
    let mut high = known.unwrap_or(Place { offset: segment.end(), first_id: next_id });
    if high.offset.saturating_sub(place.offset) <= NEAR_BYTES {
        return Ok(place);
    }
    let mut low = Found { place, behind: behind(file, place)? };
    for look in 0..LOOKS_COUNT {
        let way = high.offset.saturating_sub(low.behind.offset);
        let guess = share(
            way,
            id.saturating_sub(low.behind.first_id),
            high.first_id.saturating_sub(low.behind.first_id),
        );
        if guess <= NEAR_BYTES || way <= NEAR_BYTES {
            break;
        }
        // One record may be long, and most of the way.
        if id < low.behind.first_id || id < behind(file, low.behind)?.first_id {
            break;
        }
        // Events are about as long as each other, mostly. Where they are not, halves are.
        let step = if look % 2 == 0 { guess - NEAR_BYTES / 2 } else { way / 2 };
        let from = low.behind.offset + step;
        match first_record(file, from, high.offset, low.place.first_id..=high.first_id)? {
            Some(found) if found.place.first_id <= id => {
                segment.note_found(found.place);
                low = found;
            }
            Some(found) => high = found.place,
            None => high.offset = from,
        }
    }
    Ok(low.place)
}

/// What a record says of where it ends: unchecked, as it only tells where to look on.
fn behind(file: &dyn StorageFile, place: Place) -> io::Result<Place> {
    let mut head = [0; RECORD_HEADER_BYTES];
    let read = file.read_at(&mut head, place.offset)?;
    let head = head.get(..read).unwrap_or_default();
    Ok(Place {
        offset: place.offset.saturating_add(len_u64(record_len(head))),
        first_id: place.first_id.saturating_add(record_events(head)),
    })
}

/// `part` of `whole`, of so many bytes.
fn share(bytes: u64, part: u64, whole: u64) -> u64 {
    let scaled = u128::from(bytes) * u128::from(part) / u128::from(whole.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX).min(bytes)
}

/// The first whole record that begins between two offsets, with an id out of `ids`.
fn first_record(
    file: &dyn StorageFile,
    from: u64,
    end: u64,
    ids: std::ops::RangeInclusive<EventId>,
) -> io::Result<Option<Found>> {
    let most = offset_usize(end.saturating_sub(from)).min(JOURNAL_READ_MAX_BYTES);
    let (mut bytes, mut at) = (Vec::new(), 0);
    let mut wanted = LOOK_BYTES;
    loop {
        let held = bytes.len();
        bytes.resize(wanted.min(most), 0);
        let read = match bytes.get_mut(held..) {
            Some(space) => file.read_at(space, from + len_u64(held))?,
            None => 0,
        };
        bytes.truncate(held + read);
        while let Some(rest) = bytes.get(at..).filter(|rest| rest.len() >= RECORD_HEADER_BYTES) {
            let len = record_len(rest);
            if ids.contains(&record_first_id(rest)) && at + len <= most {
                if len > rest.len() && wanted < most {
                    break;
                }
                if let Parsed::Record(raw) = parse_record(rest, len_u64(rest.len())) {
                    let offset = from + len_u64(at);
                    let place = Place { offset, first_id: raw.record.first_id };
                    let behind =
                        Place { offset: offset + len_u64(raw.len), first_id: raw.record.next_id() };
                    return Ok(Some(Found { place, behind }));
                }
            }
            // Text is passed over: it has no zero byte, and a head has one.
            let zero = rest.get(1..).and_then(|rest| memchr(0, rest)).unwrap_or(rest.len());
            at += zero.saturating_sub(ZERO_AT).max(1);
        }
        if wanted >= most || read == 0 {
            return Ok(None);
        }
        wanted *= 4;
    }
}
