//! What looks at a log from outside while its owner writes, rolls segments, and lets retention rewrite
//! and remove them: it sees a log that is whole, at every moment.

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::path::Path;
    use std::process::Command;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::time::Duration;

    use veloz::journal::{
        Backup, Batch, Durability, Inspection, Journal, JournalConfig, RetentionConfig, Seen,
    };
    use veloz_core::types::EventId;

    use crate::{NewestId, add_step, replayed};

    const LOOKS: usize = 8;
    /// Segments that may be begun while one look is under way: fewer than it tries.
    const ROLLS: u64 = 4;

    fn config(durability: Durability) -> JournalConfig {
        // Market events go at once, and the log holds some sixteen segments.
        let retention = RetentionConfig {
            bytes: 1 << 20,
            market_age: Duration::ZERO,
            order_age: Duration::from_secs(3600),
        };
        JournalConfig { durability, segment_bytes: 64 << 10, retention, ..JournalConfig::default() }
    }

    /// Appends until told to stop, as fast as it can, but begins no more segments than it may.
    fn write(dir: &Path, durability: Durability, rolls: &AtomicU64, stop: &AtomicBool) {
        let (mut journal, _, _) = Journal::open(dir, config(durability)).expect("opens");
        journal.fold_by(NewestId::as_text("{\"at\":#}"));
        let (mut next_id, mut n, mut batch, mut rolled) = (1, 0, Batch::new(), 0);
        while !stop.load(Ordering::Acquire) {
            if rolled >= rolls.load(Ordering::Acquire) {
                std::thread::yield_now();
                continue;
            }
            batch.clear();
            for _ in 0..40 {
                add_step(&mut batch, &mut next_id, n);
                n += 1;
            }
            if journal.append(&mut batch, 1).expect("appends").rolled {
                rolled += 1;
            }
        }
    }

    /// The newest event of a look that found nothing wrong.
    #[track_caller]
    fn look(dir: &Path) -> EventId {
        let log = Inspection::open(dir).expect("opens");
        assert_eq!(log.snapshot_problems(), []);
        let mut newest = 0;
        log.walk(0, &mut |seen| {
            match seen {
                Seen::Record { end, .. } => newest = end.next_id - 1,
                Seen::Problem(problem) => panic!("{problem:?}"),
                Seen::Segment(..) | Seen::Torn(_) => {}
            }
            ControlFlow::Continue(())
        })
        .expect("walks");
        let oldest = log.snapshots().last().expect("a snapshot");
        assert!(
            oldest.snapshot.at <= newest,
            "the log reaches up to its snapshots: {} {newest}",
            oldest.snapshot.at
        );
        newest
    }

    fn check(durability: Durability) {
        let home = tempfile::tempdir().expect("a directory");
        let dir = home.path().join("log");
        std::fs::create_dir(&dir).expect("made");
        let (rolls, stop) = (AtomicU64::new(5), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| write(&dir, durability, &rolls, &stop));
            let looks = std::panic::catch_unwind(|| {
                crate::wait_until(|| {
                    Inspection::open(&dir).is_ok_and(|log| !log.snapshots().is_empty())
                });
                let mut newest = 0;
                for round in 0..LOOKS {
                    rolls.fetch_add(ROLLS, Ordering::AcqRel);
                    let seen = look(&dir);
                    assert!(seen >= newest, "{newest} was there, {seen} is");
                    newest = seen;
                    rolls.fetch_add(ROLLS, Ordering::AcqRel);
                    let to = home.path().join(format!("copy-{round}"));
                    let backup = Backup::copy(&dir, &to, &mut |_| {}).expect("copies");
                    let copied = look(backup.path());
                    assert!(copied >= newest, "{newest} was there, the copy ends at {copied}");
                    backup.finish().expect("takes its place");
                    let (journal, _, recovery) =
                        Journal::open(&to, config(durability)).expect("a start on the copy");
                    assert_eq!((recovery.newest, &recovery.torn), (copied, &None));
                    let steps = replayed(&recovery);
                    let last = steps.last().map(|step| step.first_id + u64::from(step.events) - 1);
                    let snapshot = recovery.snapshot.as_ref().map(|snapshot| snapshot.at);
                    assert_eq!(last.or(snapshot), Some(copied));
                    drop((journal, recovery));
                    std::fs::remove_dir_all(&to).expect("removed");
                }
            });
            stop.store(true, Ordering::Release);
            if let Err(panic) = looks {
                std::panic::resume_unwind(panic);
            }
        });
        look(&dir);
    }

    /// It would be a part of the log's directory, and of the next backup of it.
    #[test]
    fn a_backup_into_the_log_itself_is_refused() {
        let home = tempfile::tempdir().expect("a directory");
        let dir = home.path().join("log");
        std::fs::create_dir(&dir).expect("made");
        drop(Journal::open(&dir, config(Durability::Disk)).expect("opens"));
        std::os::unix::fs::symlink(&dir, home.path().join("link")).expect("made");
        let places = ["log/copy", "link/copy", "link/../log/copy"];
        for to in places.map(|place| home.path().join(place)) {
            let error = Backup::copy(&dir, &to, &mut |_| {}).expect_err("it is refused");
            assert!(error.to_string().contains("a copy of"), "{error}");
        }
        assert!(
            std::fs::read_dir(&dir).expect("reads").all(|file| {
                !file.expect("reads").file_name().to_string_lossy().contains("copy")
            })
        );
        Backup::copy(&dir, &home.path().join("log-copy"), &mut |_| {}).expect("copies");
    }

    #[test]
    fn a_log_is_whole_while_it_is_written() {
        check(Durability::Process);
    }

    #[test]
    fn a_log_is_whole_while_it_is_written_to_the_disk() {
        check(Durability::Disk);
    }

    /// What `veloz events` tells of a log whose market events are gone, of these types.
    fn gaps_told(dir: &Path, types: &str) -> Vec<String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_veloz"));
        let output = command.args(["--json", "events"]).arg(dir).args(["--types", types]).output();
        let output = output.expect("it starts");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.lines().count() > 1, "{types}: {output:?}");
        said.lines().filter(|line| line.contains("gap")).map(str::to_owned).collect()
    }

    #[test]
    fn what_was_compacted_is_told_to_whoever_asks_for_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut journal = Journal::open(dir.path(), config(Durability::Process)).expect("opens").0;
        journal.fold_by(NewestId::as_text("{\"at\":#}"));
        let (mut next_id, mut batch) = (1, Batch::new());
        for n in 0..4000 {
            batch.clear();
            add_step(&mut batch, &mut next_id, n);
            if journal.append(&mut batch, 1).expect("appends").rolled {
                journal.wait_for_background();
            }
        }
        journal.tend(1);
        journal.wait_for_background();
        drop(journal);
        assert_eq!(gaps_told(dir.path(), "error"), [""; 0]);
        for types in ["market", "error,market"] {
            let told = gaps_told(dir.path(), types);
            let first = told.first().expect("it is told");
            assert!(first.contains("\"reason\":\"compacted\""), "{types}: {first}");
        }
    }
}
