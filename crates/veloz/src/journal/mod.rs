//! The log: events stored in segments, read back by position.
//!
//! Everything outside this folder knows only its small face: append a batch of steps, read from an id,
//! the oldest and the newest id. Nothing outside knows about files.
//!
//! - [`Journal`] appends, for the one thread that owns the state; [`Batch`] is what it appends.
//! - [`JournalReader`] reads, for any thread, and offline.
//! - [`Recovery`] is what a start finds: a snapshot, and the steps after it to replay.
//! - [`OrderFiles`] has the closed orders that a snapshot leaves out.
//! - [`DataDir`] makes, locks and stamps the directory.
//! - [`Inspection`] looks at all of it, for the tools of the command line.

mod archive;
mod aside;
mod background;
mod backup;
mod batch;
mod checksum;
mod dir;
mod error;
mod format;
mod inspect;
mod lineage;
mod log;
mod metrics;
mod reader;
mod recovery;
mod repair;
mod retention;
mod room;
mod scan;
mod seek;
mod segment;
mod snapshot;
mod spare;
mod storage;
mod writer;

pub use archive::{Archived, OrderFiles, OrderWriter};
pub use background::Upkeep;
pub use backup::Backup;
pub use batch::Batch;
pub use dir::{DataDir, Stamp, stamp_problem};
pub use error::JournalError;
pub use format::RecordRef;
pub use inspect::{Inspection, Problem, Seen, SegmentInfo, StoredSnapshot};
pub use lineage::{Lineage, LogId};
pub use log::{Bounds, LogError, LogReader, Read};
pub use reader::JournalReader;
pub use recovery::{Recovery, ReplayError, TornTail};
pub use repair::Repair;
pub use retention::RetentionConfig;
pub use room::{Room, Shortage};
pub use snapshot::{Fold, FoldError, Position, Snapshot};
pub use storage::{DirStorage, Identity, Storage, StorageFile};
pub use writer::{Appended, Durability, Journal, JournalConfig, Opened};
