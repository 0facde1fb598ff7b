//! What the processors do, by the files below `/proc` and `/sys/fs/cgroup`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::limits;

/// What happened between two looks.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Load {
    /// Processor time of this process since it was started.
    pub cpu: Duration,
    /// Of the turns in which this process might run, those in which it was stopped since its share was used up, 0 to 1. 0 where
    /// nobody holds it to a share.
    pub throttled: f64,
    /// Of all processors, what others than this process took, 0 to 1. What runs with a low priority (nice) takes nothing that
    /// anybody wants.
    pub others: f64,
    /// And what nobody wanted.
    pub idle: f64,
}

/// What the kernel counts, in its own units.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    cpu: Duration,
    idle: u64,
    all: u64,
    turns: u64,
    stopped: u64,
}

/// Looks again and again.
#[derive(Debug)]
pub struct LoadMeter {
    root: PathBuf,
    /// Of the group that the processor is handed out to.
    group: Option<PathBuf>,
    last: Option<Counts>,
}

impl LoadMeter {
    /// Of the machine whose files are below `root`.
    pub fn new(root: &Path) -> Self {
        let group = limits::group(root, "cpu").map(|folder| folder.join("cpu.stat"));
        Self { root: root.to_owned(), group, last: None }
    }

    /// What happened since the last look; nothing at the first one, but for this process's own time.
    pub fn look(&mut self) -> Load {
        let now = self.count();
        let before = self.last.replace(now).unwrap_or(now);
        let part = |some: u64, of: u64| if of == 0 { 0.0 } else { (some as f64 / of as f64).clamp(0.0, 1.0) };
        let all = now.all.saturating_sub(before.all);
        let idle = part(now.idle.saturating_sub(before.idle), all);
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let own = now.cpu.saturating_sub(before.cpu).as_secs_f64() * ticks / (all as f64).max(1.0);
        Load {
            cpu: now.cpu,
            throttled: part(now.stopped.saturating_sub(before.stopped), now.turns.saturating_sub(before.turns)),
            others: if all == 0 { 0.0 } else { (1.0 - idle - own).clamp(0.0, 1.0) },
            idle: if all == 0 { 1.0 } else { idle },
        }
    }

    fn count(&self) -> Counts {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let cpu =
            Duration::new(time.tv_sec.try_into().unwrap_or_default(), time.tv_nsec.try_into().unwrap_or_default());
        let stat = std::fs::read_to_string(self.root.join("proc/stat")).unwrap_or_default();
        // proc(5): user, nice, system, idle, iowait, irq, softirq, steal.
        let line = stat.lines().next().and_then(|line| line.strip_prefix("cpu ")).unwrap_or_default();
        let ticks: Vec<u64> = line.split_whitespace().take(8).filter_map(|field| field.parse().ok()).collect();
        let idle = [1, 3, 4].iter().filter_map(|at| ticks.get(*at)).sum();
        let group = self.group.as_ref().and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
        let field = |name: &str| {
            let line = group.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.trim().parse().ok()).unwrap_or_default()
        };
        Counts { cpu, idle, all: ticks.iter().sum(), turns: field("nr_periods "), stopped: field("nr_throttled ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_counts_become_parts() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let mut nothing = LoadMeter::new(root.path());
        nothing.look();
        let load = nothing.look();
        assert_eq!((load.throttled, load.others, load.idle), (0.0, 0.0, 1.0), "who knows nothing claims no pressure");
        write("proc/self/cgroup", "0::/box\n");
        write("sys/fs/cgroup/box/cpu.stat", "usage_usec 1\nnr_periods 100\nnr_throttled 10\nthrottled_usec 9\n");
        write("proc/stat", "cpu  1000 0 0 1000 0 0 0 0 0 0\ncpu0 1 1 1 1\n");
        let mut meter = LoadMeter::new(root.path());
        assert_eq!(meter.look().throttled, 0.0);
        write("sys/fs/cgroup/box/cpu.stat", "usage_usec 1\nnr_periods 110\nnr_throttled 16\nthrottled_usec 9\n");
        // Of 100,000 ticks 60,000 were of somebody else, 10,000 of somebody with a low priority.
        write("proc/stat", "cpu  51000 10000 10000 31000 0 0 0 0 0 0\ncpu0 1 1 1 1\n");
        let load = meter.look();
        assert!((load.throttled - 0.6).abs() < 1e-9, "{load:?}");
        assert!((load.idle - 0.4).abs() < 1e-9 && (0.59..=0.6).contains(&load.others), "{load:?}");
    }
}
