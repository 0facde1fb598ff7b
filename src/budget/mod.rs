//! How much the work in the background may take of the machine: DHT nodes, questions for samples, fetching of metadata.
//!
//! [`Controller`] is a pure function of what was measured. Three things move it. *Pressure* lets go of everything that can
//! wait in one step, and what was let go of comes back in many ([`pressure`]). If it was of our own making, since our share of
//! the processor or of the line was used up, or the sound broke off while nobody else used the processor, the step at which
//! it came is not tried again for minutes, and twice as long each time. *Growth* tries more of one thing, or less, looks for a
//! while what that brought for each second of the processor and each byte, and keeps it only if that was enough ([`growth`]).
//! *Memory* that is nearly used up halves the nodes and the workers; where it has room again, they come back ([`memory`]).
//! Whoever asks for a number of nodes gets just that number as far as the machine has room; the rest is tried all the same.

mod controller;
mod growth;
mod memory;
mod pressure;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use controller::{Controller, MANY, SHORTEST};
pub use growth::FIRST;

/// What there is for the background work, and what it is asked to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Most nodes.
    pub nodes: u32,
    /// Somebody asks for just so many nodes; otherwise they are as many as are worth it.
    pub is_forced: bool,
    /// Processor time of the whole process, in cores.
    pub cores: f64,
    /// Resident memory of the whole process, in bytes.
    pub memory: u64,
    /// What the line carries, in bytes a second; music and its peers have most of it.
    pub uplink: u64,
    /// Most torrents whose metadata is fetched at once.
    pub workers: u32,
}

/// What was measured. Totals are since the start of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Measured {
    /// Total: processor time of the process.
    pub cpu: Duration,
    /// Total: sent and received by the crawler.
    pub bytes_out: u64,
    pub bytes_in: u64,
    /// Total: infohashes that others named to us by themselves, that samples showed, and metadata fetched.
    pub heard: u64,
    pub sampled: u64,
    pub fetched: u64,
    /// Total: times that the sound broke off.
    pub underruns: u64,
    /// A song is waited for.
    pub is_awaited: bool,
    /// Infohashes whose metadata is to be fetched.
    pub queued: u64,
    /// Nodes at work, which are fewer than they are to be if the system has no sockets for them.
    pub nodes: u32,
    /// Resident now, in bytes.
    pub memory: u64,
    /// Of the turns since the last measurement in which the process might run, those in which it was stopped since it had used
    /// up its share, 0 to 1.
    pub throttled: f64,
    /// Of the processors, what others than this process have taken since then, and what nobody did, 0 to 1 each.
    pub others: f64,
    pub idle: f64,
    /// How late the measurement itself is.
    pub late: Duration,
}

/// How much to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// DHT nodes at work.
    pub nodes: u32,
    /// Nodes of others that are asked for samples, a second.
    pub samples: u32,
    /// Torrents whose metadata is fetched at once.
    pub workers: u32,
}

/// What is to be done, and why not more or less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    pub work: Work,
    /// What it would be if nothing pressed.
    pub wanted: Work,
    pub reason: Reason,
    /// Why no more is wanted.
    pub enough: Enough,
}

/// Why no more is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enough {
    /// It is not known yet what those bring that there are.
    Untried,
    /// Nobody answers, so nothing can be found out.
    Silence,
    /// More was tried, and did not bring enough for its cost.
    NotWorth,
    /// As many as it takes by itself.
    Most,
    /// The system has no sockets for more.
    Sockets,
    /// There is no room for more: in the memory, in the share of the processor, on the line.
    Memory,
    Share,
    Uplink,
}

/// Why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reason {
    /// As much as is worth it, or as was asked for.
    #[default]
    Settled,
    /// More of something, or less, is tried.
    Trying,
    /// Nothing presses any more.
    Returning,
    /// A song is waited for, or its sound broke off.
    Playback,
    /// With more, the sound broke off.
    Sound,
    /// Other programs use the processor.
    Busy,
    /// The process has used up what it may take of the processor, or its own work keeps it from running in time.
    Share,
    /// The memory is nearly used up.
    Memory,
    /// The crawler has used up its part of the line.
    Uplink,
}

impl Reason {
    /// For programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Trying => "trying",
            Self::Returning => "returning",
            Self::Playback => "playback",
            Self::Sound => "sound",
            Self::Busy => "busy",
            Self::Share => "share",
            Self::Memory => "memory",
            Self::Uplink => "uplink",
        }
    }

    /// In a word or two, for a small screen; none if there is nothing to say.
    pub fn short(self) -> &'static str {
        match self {
            Self::Settled | Self::Trying => "",
            Self::Returning => "returning",
            Self::Playback => "song first",
            Self::Sound => "sound first",
            Self::Busy => "busy",
            Self::Share => "CPU share",
            Self::Memory => "memory",
            Self::Uplink => "uplink",
        }
    }

    fn phrase(self, is_forced: bool, enough: Enough) -> &'static str {
        match self {
            Self::Settled if is_forced => "as asked for",
            Self::Settled => match enough {
                Enough::Untried => "looks what they bring before it tries more",
                Enough::Silence => "nobody answers (`silverstream doctor` looks why)",
                Enough::NotWorth => "more is not worth its cost",
                Enough::Most => "as many as `auto` takes",
                Enough::Sockets => "the system has no sockets for more (the log says why)",
                Enough::Memory => "the memory has no room for more",
                Enough::Uplink => "the line has no room for more",
                Enough::Share => "the share of the processor has no room for more",
            },
            Self::Trying => "finding out what a change brings",
            Self::Returning => "coming back step by step",
            Self::Playback => "the song comes first",
            Self::Sound => "with more the sound broke off",
            Self::Busy => "other programs need the processor",
            Self::Share => "the share of the processor is used up",
            Self::Memory => "the memory is nearly used up",
            Self::Uplink => "the share of the line is used up",
        }
    }
}

impl Decision {
    /// For people; `bounds` as the controller has them.
    pub fn sentence(&self, bounds: &Bounds) -> String {
        let (at_work, why) = (self.work.nodes, self.reason.phrase(bounds.is_forced, self.enough));
        let nodes = |count: u32| if count == 1 { "node" } else { "nodes" };
        match (bounds.is_forced, self.wanted.nodes) {
            (true, asked) if asked != at_work => {
                format!("{asked} {} asked for, {at_work} at work: {why}", nodes(asked))
            }
            (false, wanted) if wanted != at_work => format!("{at_work} of {wanted} {} at work: {why}", nodes(wanted)),
            _ => format!("{at_work} {} at work: {why}", nodes(at_work)),
        }
    }
}
