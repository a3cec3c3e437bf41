//! The loop: one seed, one thread, and everything that may go wrong in between.

use std::sync::Arc;

use fastrand::Rng;
use veloz::journal::{Journal, JournalReader, LogReader};
use veloz::market::SourceMessage;
use veloz::stream::filter::Kinds;
use veloz_core::event::EventKind;
use veloz_core::limits::{JOURNAL_SYNC_INTERVAL_MS, SERVICE_IDLE_MS};
use veloz_core::types::TsNs;

use crate::disk::{Disk, Faults};
use crate::flip::{self, Rot};
use crate::gateway::{Gateway, Settings, as_json, engine_config, replay, settings};
use crate::log::{check_page, confirm, extend, is_whole};
use crate::market;
use crate::plant::Plant;
use crate::readers::{self, Reader};
use crate::report::Report;
use crate::traders::Traders;
use crate::truth::{Check, Truth};

const STEPS: u64 = 700;
const READERS: usize = 6;

/// How a life ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Kill,
    Power,
}

pub(crate) struct World {
    seed: u64,
    rng: Rng,
    settings: Settings,
    disk: Disk,
    gateway: Option<Gateway>,
    truth: Truth,
    readers: Vec<Reader>,
    traders: Traders,
    rot: Rot,
    position: u64,
    now_ms: u64,
    /// What the wall clock is off.
    skew_ns: i64,
    sync_ms: u64,
    idle_ms: u64,
    /// Whether the disk has been well since the service last looked at it.
    looked_calm: bool,
    /// How a death in the middle of a call is meant.
    end: End,
    report: Report,
    /// What the log holds was looked at since the last start.
    confirmed: bool,
    traced: bool,
}

/// Runs a seed to its end.
pub(crate) fn run(seed: u64, plant: Plant) -> Result<Report, String> {
    let mut world = World::new(seed, plant);
    for step in 0..STEPS {
        world.trace(step);
        world.step().map_err(|error| format!("step {step}: {error}"))?;
        world.report.steps += 1;
    }
    world.finish().map_err(|error| format!("at the end: {error}"))
}

impl World {
    fn new(seed: u64, plant: Plant) -> World {
        let mut rng = Rng::with_seed(seed);
        let settings = settings(&mut rng, plant);
        let readers = (0..READERS).map(|name| Reader::new(name, &mut rng)).collect();
        let disk = Disk::new(rng.u64(..));
        disk.set_faults(calm(plant));
        World {
            seed,
            disk,
            gateway: None,
            truth: Truth::default(),
            readers,
            traders: Traders::at_venue(!settings.latency.is_zero()),
            rot: Rot::default(),
            position: 0,
            now_ms: 0,
            skew_ns: 0,
            sync_ms: 0,
            idle_ms: 0,
            looked_calm: false,
            end: End::Kill,
            report: Report::default(),
            confirmed: false,
            traced: std::env::var_os("SIM_TRACE").is_some(),
            settings,
            rng,
        }
    }

    /// Tells what goes on, where somebody wants to know.
    fn trace(&self, step: u64) {
        if self.traced {
            let (truth, faults) = (&self.truth, self.disk.faults());
            let up = self.gateway.as_ref().is_some_and(Gateway::is_running);
            eprintln!(
                "step {step}: up {up}, newest {}, durable {}, kept {}, kills {}, cuts {}, {faults:?}",
                truth.newest(),
                truth.durable,
                truth.kept,
                self.report.kills,
                self.report.power_cuts
            );
        }
    }

    fn wall_ns(&self) -> TsNs {
        let ms = i64::try_from(self.now_ms).expect("short");
        1_700_000_000_000_000_000 + ms * 1_000_000 + self.skew_ns
    }

    fn step(&mut self) -> Check {
        self.pass_time();
        if self.gateway.is_none() {
            if self.rng.u8(0..3) == 0 {
                self.flip_bits()?;
            }
            self.start()?;
            return Ok(());
        }
        match self.rng.u8(0..100) {
            0..22 => self.trade(),
            22..40 => self.serve()?,
            40..48 => self.feed(),
            48..62 => self.stream(),
            62..67 => self.read_log(),
            67 => self.page()?,
            68..86 => self.read_stream()?,
            86..91 => self.connect(),
            91 => self.vanish(),
            92..95 => self.upkeep(),
            95 => self.check_replay()?,
            96 | 97 => self.break_something(),
            98 if self.rng.bool() => self.rot.flip(&self.disk, &mut self.rng),
            98 => self.skip_time(),
            _ => self.end_a_life()?,
        }
        self.after_step()
    }

    /// What may follow from any step: the process died in it, or the operator has had enough.
    fn after_step(&mut self) -> Check {
        if self.disk.is_dead() {
            return self.die(self.end);
        }
        let failed = self.gateway.as_ref().is_some_and(|gateway| !gateway.is_running());
        if failed && self.rng.u8(0..12) == 0 {
            self.report.failures += 1;
            self.disk.kill();
            return self.die(End::Kill);
        }
        Ok(())
    }

    fn pass_time(&mut self) {
        if self.rng.bool() {
            self.now_ms += self.rng.u64(0..60);
        }
        let now = self.wall_ns();
        if let Some(gateway) = &mut self.gateway {
            if self.now_ms >= self.sync_ms {
                self.sync_ms = self.now_ms + JOURNAL_SYNC_INTERVAL_MS;
                let newest = self.truth.newest();
                if gateway.upkeep.sync().is_ok() && !self.disk.is_dead() {
                    self.truth.durable = self.truth.durable.max(newest);
                }
            }
            if self.now_ms >= self.idle_ms {
                self.idle_ms = self.now_ms + SERVICE_IDLE_MS;
                gateway.look_after_itself(now);
                self.looked_calm = self.disk.faults().is_calm();
            }
        }
    }

    fn skip_time(&mut self) {
        match self.rng.u8(0..4) {
            0 => self.skew_ns -= self.rng.i64(0..6_000_000_000),
            1 => self.skew_ns += self.rng.i64(0..6_000_000_000),
            _ => self.now_ms += self.rng.u64(0..9_000),
        }
    }

    fn trade(&mut self) {
        let now = self.wall_ns();
        if let Some(gateway) = &self.gateway {
            for _ in 0..self.rng.u8(1..4) {
                self.traders.act(gateway, self.position, now, &mut self.rng);
            }
        }
    }

    fn feed(&mut self) {
        let now = self.wall_ns();
        let Some(gateway) = &self.gateway else { return };
        let data = (0..self.rng.u64(1..6)).map(|_| {
            self.position += 1;
            market::message(self.seed, self.position, now)
        });
        let message = match self.rng.u8(0..40) {
            0 => SourceMessage::Fault { code: "market_source_error", detail: "for a test".into() },
            _ => SourceMessage::Data(data.collect()),
        };
        // A full queue: the source says it to nobody, as one that is killed.
        let _ = gateway.market_out.try_send(message);
    }

    fn serve(&mut self) -> Check {
        let now = self.wall_ns();
        let Some(gateway) = &mut self.gateway else { return Ok(()) };
        gateway.serve(now)?;
        let reader = Arc::clone(&gateway.reader);
        let running = gateway.is_running();
        let troubles = gateway.health().problems.len();
        if !running && troubles == 0 && !self.disk.is_dead() {
            return Err("the service has stopped, and health says that all is well".to_owned());
        }
        self.disk.look(|| extend(&mut self.truth, &reader))?;
        if self.settings.syncs_first() {
            self.truth.durable = self.truth.newest();
        }
        self.hear()
    }

    /// The clients hear what was answered, to be called before the disk is looked at again: an answer is judged
    /// by what the service knew when it gave it.
    fn hear(&mut self) -> Check {
        let running = self.gateway.as_ref().is_some_and(Gateway::is_running);
        let has_room = self.looked_calm && self.disk.faults().is_calm();
        if self.disk.is_dead() { Ok(()) } else { self.traders.hear(&self.truth, running, has_room) }
    }

    fn stream(&mut self) {
        if let Some(gateway) = &mut self.gateway {
            gateway.stream(self.now_ms);
        }
    }

    fn read_log(&mut self) {
        if let Some(gateway) = &mut self.gateway {
            gateway.read(|reads| self.rng.usize(0..reads));
        }
    }

    fn page(&mut self) -> Check {
        let Some(gateway) = &self.gateway else { return Ok(()) };
        let fills = Kinds::NONE.with(EventKind::Fill).with(EventKind::OrderUpdate);
        let kinds = if self.rng.bool() { Kinds::ALL } else { fills };
        let after = self.rng.u64(0..=self.truth.newest());
        check_page(&self.truth, &gateway.reader, after, kinds)
    }

    fn read_stream(&mut self) -> Check {
        let Some(gateway) = &mut self.gateway else { return Ok(()) };
        let at = self.rng.usize(0..self.readers.len());
        let most = [1, 7, 300, 5000, usize::MAX];
        let most = *self.rng.choice(&most).expect("one");
        let Some(reader) = self.readers.get_mut(at) else { return Ok(()) };
        let result = self.disk.look(|| reader.read(gateway, &self.truth, most));
        result.map(drop)
    }

    fn connect(&mut self) {
        let Some(gateway) = &mut self.gateway else { return };
        if let Some(reader) = self.readers.iter_mut().find(|reader| !reader.is_connected()) {
            reader.connect(gateway, &self.truth, &mut self.rng);
        }
    }

    fn vanish(&mut self) {
        let Some(gateway) = &mut self.gateway else { return };
        let at = self.rng.usize(0..self.readers.len());
        if let Some(reader) = self.readers.get_mut(at) {
            reader.vanish(gateway);
        }
    }

    fn upkeep(&mut self) {
        if let Some(gateway) = &mut self.gateway {
            gateway.upkeep.work();
        }
    }

    fn break_something(&mut self) {
        let mut faults = calm(self.settings.plant);
        match self.rng.u8(0..9) {
            0..4 => {
                faults.dies_after = Some(self.rng.u64(0..25));
                self.end = if self.rng.bool() { End::Kill } else { End::Power };
            }
            4 => faults.write_fails = 1000,
            5 => faults.sync_fails = 1000,
            6 => faults.read_fails = 400,
            7 => faults.name_fails = 700,
            _ => faults.capacity = Some(self.disk.bytes() + self.rng.usize(0..4000)),
        }
        self.disk.set_faults(faults);
        self.looked_calm = false;
    }

    /// Ends a life in one of three ways.
    fn end_a_life(&mut self) -> Check {
        if self.rng.u8(0..3) == 0 {
            return self.stop();
        }
        let end = if self.rng.bool() { End::Kill } else { End::Power };
        self.disk.kill();
        self.die(end)
    }

    /// Stops the gateway in good order, unless it dies in that.
    fn stop(&mut self) -> Check {
        let now = self.wall_ns();
        let Some(gateway) = self.gateway.take() else { return Ok(()) };
        let (reader, was_running) = (Arc::clone(&gateway.reader), gateway.is_running());
        gateway.stop(now);
        self.disk.look(|| extend(&mut self.truth, &reader))?;
        if self.disk.is_dead() {
            return self.die(self.end);
        }
        if was_running && self.disk.faults().is_calm() {
            self.truth.durable = self.truth.newest();
        }
        self.cut_off(Some(&reader))
    }

    /// The process is gone, and perhaps the power too.
    fn die(&mut self, end: End) -> Check {
        let reader = self.gateway.as_ref().map(|gateway| Arc::clone(&gateway.reader));
        self.cut_off(reader.as_ref())?;
        self.gateway = None;
        match end {
            End::Kill => self.report.kills += 1,
            End::Power => {
                self.report.power_cuts += 1;
                self.disk.cut_power();
                self.truth.kept = self.truth.kept.min(self.truth.durable);
            }
        }
        Ok(())
    }

    /// The clients notice that the gateway is gone.
    fn cut_off(&mut self, reader: Option<&Arc<JournalReader>>) -> Check {
        let log = reader.map(|reader| &**reader as &dyn LogReader);
        let world = readers::World { truth: &self.truth, log, failed: true };
        for reader in &mut self.readers {
            self.disk.look(|| reader.cut(&world, &mut self.rng))?;
        }
        self.traders.cut(self.settings.plant == Plant::InventAnswer);
        if std::mem::take(&mut self.confirmed) {
            self.truth.kept = self.truth.newest();
        }
        Ok(())
    }

    /// Starts the gateway, whatever is broken now: the operator mends it when that fails.
    fn start(&mut self) -> Check {
        let now = self.wall_ns();
        if self.rng.bool() {
            self.disk.set_faults(calm(self.settings.plant));
        }
        self.looked_calm = false;
        match Gateway::start(&self.disk, &self.settings, now) {
            Ok(gateway) => {
                self.gateway = Some(gateway);
                if self.disk.is_dead() {
                    return self.die(self.end);
                }
                self.after_start()
            }
            Err(_) if self.disk.is_dead() => self.die(self.end),
            Err(_) if !self.disk.faults().is_calm() => {
                self.disk.kill();
                self.disk.set_faults(calm(self.settings.plant));
                Ok(())
            }
            // It says what is damaged; the operator puts a copy in its place.
            Err(error) if self.rot.is_in(&error.to_string()) => {
                self.disk.kill();
                self.rot.mend(&self.disk);
                Ok(())
            }
            Err(error) => Err(format!("it does not start: {error}")),
        }
    }

    /// What was seen is there, and is what it was.
    fn after_start(&mut self) -> Check {
        let now = self.wall_ns();
        self.rot.mend(&self.disk);
        let Some(gateway) = &mut self.gateway else { return Ok(()) };
        let reader = Arc::clone(&gateway.reader);
        self.disk.look(|| {
            let newest = reader.bounds().newest;
            if newest < self.truth.kept {
                let kept = self.truth.kept;
                return Err(format!("the log ends at {newest}, and {kept} had to be kept"));
            }
            if newest < self.truth.newest() {
                self.truth.cut(newest);
                self.traders.lost(newest);
                self.readers.iter_mut().for_each(|reader| reader.lost(newest));
            }
            confirm(&self.truth, &reader)?;
            extend(&mut self.truth, &reader)
        })?;
        // A start syncs what it found.
        self.truth.durable = self.truth.newest();
        self.confirmed = true;
        let state = gateway.state(now);
        if self.disk.is_dead() || !gateway.is_running() {
            return Ok(());
        }
        // What was on its way to the venue or back may have arrived.
        self.disk.look(|| extend(&mut self.truth, &reader))?;
        let state = state.ok_or("a service that has just started cannot be asked")?;
        self.report.archived = self.report.archived.max(state.archived_count());
        self.disk.look(|| self.traders.check_kept(&state))?;
        // The source says some of it again.
        let known = state.last_position().unwrap_or_default();
        self.position = known.saturating_sub(self.rng.u64(0..5));
        self.truth.check_money(&engine_config().instruments)
    }

    /// The state is what the log leads to: from the newest snapshot, and from the first event on.
    fn check_replay(&mut self) -> Check {
        self.rot.mend(&self.disk);
        self.serve()?;
        let now = self.wall_ns();
        let Some(gateway) = &mut self.gateway else { return Ok(()) };
        if self.disk.is_dead() || !gateway.is_running() {
            return Ok(());
        }
        let Some(state) = gateway.state(now) else { return Ok(()) };
        if self.disk.is_dead() || !gateway.is_running() {
            return Ok(());
        }
        let reader = Arc::clone(&gateway.reader);
        self.disk.look(|| extend(&mut self.truth, &reader))?;
        self.hear()?;
        let state = self.disk.look(|| as_json(&state))?;
        let whole = self.disk.look(|| is_whole(&reader));
        for from_scratch in [false, true] {
            let disk = self.disk.fork();
            if from_scratch {
                if !whole {
                    break;
                }
                for name in disk.image().into_keys().filter(|name| name.ends_with(".snap")) {
                    disk.remove(&name);
                }
            }
            let config = self.settings.journal;
            let (opened, _upkeep) = Journal::open_without_threads(disk.storage(), config)
                .map_err(|error| format!("a copy does not open: {error}"))?;
            let replayed = replay(&opened.2).map_err(|error| error.to_string())?;
            let replayed = as_json(&replayed)?;
            if replayed != state {
                let how = if from_scratch { "from scratch" } else { "from the snapshot" };
                return Err(format!("replayed {how}, the state is {replayed}, and was {state}"));
            }
        }
        self.truth.check_money(&engine_config().instruments)
    }

    fn flip_bits(&mut self) -> Check {
        self.rot.mend(&self.disk);
        for _ in 0..3 {
            self.report.flips += 1;
            flip::check(&self.disk, &self.settings, &self.truth, &mut self.rng)?;
        }
        Ok(())
    }

    /// All faults end; everyone gets everything.
    fn finish(mut self) -> Result<Report, String> {
        self.disk.set_faults(calm(self.settings.plant));
        self.rot.mend(&self.disk);
        self.settle()?;
        self.check_replay()?;
        let log = self.gateway.as_ref().map(|gateway| &*gateway.reader as &dyn LogReader);
        let world = readers::World { truth: &self.truth, log, failed: false };
        self.disk.look(|| self.readers.iter().try_for_each(|reader| reader.check_level(&world)))?;
        if self.traders.waits() > 0 {
            return Err(format!("{} requests are never answered", self.traders.waits()));
        }
        self.stop()?;
        self.start()?;
        self.stop()?;
        let mut digest = self.traders.digest;
        for reader in &self.readers {
            digest = crc32c::crc32c_append(digest, &reader.digest.to_le_bytes());
            self.report.delivered += reader.events;
            self.report.resumes += reader.resumes;
            self.report.gaps += reader.gaps;
        }
        for (name, bytes) in self.disk.image() {
            digest = crc32c::crc32c_append(digest, name.as_bytes());
            digest = crc32c::crc32c_append(digest, &bytes);
        }
        self.report.digest = digest;
        self.report.events = self.truth.newest();
        self.report.answers = self.traders.answers;
        self.report.retried = self.traders.retried;
        Ok(self.report)
    }

    /// Lets everything run until nothing moves any more.
    fn settle(&mut self) -> Check {
        let mut idle = 0;
        for _ in 0..5_000 {
            // What failed before may be noticed only now.
            if self.gateway.as_ref().is_some_and(|gateway| !gateway.is_running()) {
                self.disk.kill();
                self.die(End::Kill)?;
            }
            if self.gateway.is_none() {
                self.start()?;
            }
            self.pass_time();
            self.now_ms += 30;
            self.serve()?;
            self.stream();
            self.connect();
            let mut moved = false;
            while self.gateway.as_ref().is_some_and(Gateway::has_reads) {
                self.read_log();
                moved = true;
            }
            for reader in &mut self.readers {
                let Some(gateway) = &mut self.gateway else { return Ok(()) };
                reader.hurry();
                let read = self.disk.look(|| reader.read(gateway, &self.truth, usize::MAX));
                moved |= read?;
            }
            moved |= self.traders.waits() > 0;
            idle = if moved { 0 } else { idle + 1 };
            let all = self.readers.iter().all(Reader::is_connected);
            if idle > 20 && all {
                return Ok(());
            }
        }
        Err("it never comes to rest".to_owned())
    }
}

/// No faults but the planted ones.
fn calm(plant: Plant) -> Faults {
    Faults {
        syncs_lie: plant == Plant::SkipSync,
        cuts_lie: plant == Plant::SealWithoutSync,
        archive_syncs_lie: plant == Plant::ArchiveWithoutSync,
        writes_lie: if plant == Plant::PublishBeforeAppend { 20 } else { 0 },
        ..Faults::default()
    }
}
