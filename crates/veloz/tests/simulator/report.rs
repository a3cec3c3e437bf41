//! What a run of the simulator saw, in numbers.

use std::fmt;

/// What a run saw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) steps: u64,
    pub(crate) events: u64,
    pub(crate) delivered: u64,
    pub(crate) answers: u64,
    pub(crate) retried: u64,
    pub(crate) kills: u64,
    pub(crate) power_cuts: u64,
    pub(crate) failures: u64,
    pub(crate) resumes: u64,
    pub(crate) gaps: u64,
    pub(crate) flips: u64,
    /// The most orders in the archive.
    pub(crate) archived: usize,
    /// Of all bytes received, answers, and files at the end.
    pub(crate) digest: u32,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { steps, events, delivered, answers, retried, kills, power_cuts, .. } = self;
        let Report { failures, resumes, gaps, flips, archived, digest, .. } = self;
        write!(
            f,
            "{steps} steps, {events} events stored and {delivered} received, {answers} answers \
             ({retried} to orders sent again), {kills} kills, {power_cuts} power cuts, {failures} failed \
             disks, {resumes} resumes, {gaps} gaps, {flips} flipped bits, {archived} orders \
             in an archive, digest {digest:08x}"
        )
    }
}

impl Report {
    pub(crate) fn add(&mut self, other: &Report) {
        self.steps += other.steps;
        self.events += other.events;
        self.delivered += other.delivered;
        self.answers += other.answers;
        self.retried += other.retried;
        self.kills += other.kills;
        self.power_cuts += other.power_cuts;
        self.failures += other.failures;
        self.resumes += other.resumes;
        self.gaps += other.gaps;
        self.flips += other.flips;
        self.archived += other.archived;
        self.digest ^= other.digest;
    }
}
