//! What the processors do, by the files below `/proc` and `/sys/fs/cgroup`.
//!
//! As a service we see of `/proc` only what belongs to processes (systemd's `ProcSubset=pid`). Then the group that all processes
//! are in tells what the machine does, and a clock how much it could have done.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity};

use super::limits;

/// What happened between two looks.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Load {
    /// Processor time of this process since it was started.
    pub cpu: Duration,
    /// Of the turns in which this process might run, those in which it was stopped since its share was used up, 0 to 1. 0 where
    /// nobody holds it to a share.
    pub throttled: f64,
    /// Of the processors that this process may run on, what others than it took, 0 to 1; as a service, of all that there are.
    /// What runs with a low priority (nice) takes nothing that anybody wants.
    pub others: f64,
    /// And what nobody wanted.
    pub idle: f64,
}

/// What the kernel counts.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    cpu: Duration,
    /// Time of the processors that nobody wanted, and all of it.
    idle: Duration,
    all: Duration,
    turns: u64,
    stopped: u64,
}

/// Looks again and again.
#[derive(Debug)]
pub struct LoadMeter {
    root: PathBuf,
    /// Of the group that the processor is handed out to.
    group: Option<PathBuf>,
    since: Instant,
    last: Option<Counts>,
}

impl LoadMeter {
    /// Of the machine whose files are below `root`.
    pub fn new(root: &Path) -> Self {
        let group = limits::group(root, "cpu").map(|folder| folder.join("cpu.stat"));
        Self { root: root.to_owned(), group, since: Instant::now(), last: None }
    }

    /// What happened since the last look; nothing at the first one, but for this process's own time.
    pub fn look(&mut self) -> Load {
        self.look_at(self.since.elapsed())
    }

    /// The same, that time after the start of a clock.
    fn look_at(&mut self, time: Duration) -> Load {
        let now = self.count(time);
        let before = self.last.replace(now).unwrap_or(now);
        let part = |some: f64, of: f64| if of <= 0.0 { 0.0 } else { (some / of).clamp(0.0, 1.0) };
        let passed = |now: Duration, before: Duration| now.saturating_sub(before).as_secs_f64();
        let all = passed(now.all, before.all);
        let (idle, own) = (part(passed(now.idle, before.idle), all), part(passed(now.cpu, before.cpu), all));
        let turns = |now: u64, before: u64| now.saturating_sub(before) as f64;
        Load {
            cpu: now.cpu,
            throttled: part(turns(now.stopped, before.stopped), turns(now.turns, before.turns)),
            others: if all > 0.0 { (1.0 - idle - own).clamp(0.0, 1.0) } else { 0.0 },
            idle: if all > 0.0 { idle } else { 1.0 },
        }
    }

    fn count(&self, time: Duration) -> Counts {
        let own = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let cpu = Duration::new(own.tv_sec.try_into().unwrap_or_default(), own.tv_nsec.try_into().unwrap_or_default());
        let (idle, all) = self.of_machine().or_else(|| self.of_all_groups(time)).unwrap_or_default();
        let group = self.group.as_ref().and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
        let (turns, stopped) = (field(&group, "nr_periods "), field(&group, "nr_throttled "));
        Counts { cpu, idle, all, turns: turns.unwrap_or_default(), stopped: stopped.unwrap_or_default() }
    }

    /// What nobody wanted, and all, of the processors that this process may run on, since the machine was started (proc(5)):
    /// what is done on others takes nothing from it.
    fn of_machine(&self) -> Option<(Duration, Duration)> {
        let stat = std::fs::read_to_string(self.root.join("proc/stat")).ok()?;
        let ours = sched_getaffinity(None).ok()?;
        let (mut idle, mut all) = (0, 0);
        for line in stat.lines() {
            // The sum of all processors, "cpu", has no number.
            let Some((number, ticks)) = line.strip_prefix("cpu").and_then(|line| line.split_once(' ')) else {
                continue;
            };
            if !number.parse().is_ok_and(|cpu: usize| cpu < CpuSet::MAX_CPU && ours.is_set(cpu)) {
                continue;
            }
            // user, nice, system, idle, iowait, irq, softirq, steal.
            let ticks: Vec<u64> = ticks.split_whitespace().take(8).flat_map(str::parse).collect();
            idle += [1, 3, 4].iter().filter_map(|at| ticks.get(*at)).sum::<u64>();
            all += ticks.iter().sum::<u64>();
        }
        let time = |ticks: u64| Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64);
        (all > 0).then(|| (time(idle), time(all)))
    }

    /// The same since the start of the clock, as cgroup v2 counts it. Older kernels do not tell what had a low priority.
    fn of_all_groups(&self, time: Duration) -> Option<(Duration, Duration)> {
        let stat = std::fs::read_to_string(self.root.join(limits::CGROUPS).join("cpu.stat")).ok()?;
        let taken = field(&stat, "usage_usec ")?.saturating_sub(field(&stat, "nice_usec ").unwrap_or_default());
        // Only differences count, so it may be as if all of it had been idle before the clock was started.
        let all = time.saturating_mul(u32::try_from(self.processors()).unwrap_or(1)) + BEFORE;
        Some((all.saturating_sub(Duration::from_micros(taken)), all))
    }

    /// How many there are, whoever may run on them: those that are on, such as `0-3,6`.
    fn processors(&self) -> usize {
        let on = std::fs::read_to_string(self.root.join("sys/devices/system/cpu/online")).unwrap_or_default();
        let of = |range: &str| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Some(last.parse::<usize>().ok()?.checked_sub(first.parse().ok()?)?.saturating_add(1))
        };
        let all = on.trim().split(',').map(of).sum::<Option<usize>>();
        all.unwrap_or_else(limits::cores).clamp(1, CpuSet::MAX_CPU)
    }
}

/// More processor time than a machine spends: a thousand years.
const BEFORE: Duration = Duration::from_secs(1000 * 365 * 24 * 3600);

fn field(stat: &str, name: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `/proc/stat` with that for the first processor that this process may run on, and as much as `busy` for another one, and
    /// for all of them.
    fn stat(ticks: &str, busy: u64) -> String {
        let ours = sched_getaffinity(None).unwrap();
        let cpu = (0..CpuSet::MAX_CPU).find(|cpu| ours.is_set(*cpu)).unwrap();
        let other = (0..CpuSet::MAX_CPU).find(|cpu| !ours.is_set(*cpu)).unwrap();
        format!("cpu  {busy} 9 9 9 9 9 9 9 0 0\ncpu{cpu} {ticks}\ncpu{other} {busy} 0 0 0 0 0 0 0 0 0\nintr 8 9\n")
    }

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
        write("proc/stat", &stat("1000 0 0 1000 0 0 0 0 0 0", 1_000));
        let mut meter = LoadMeter::new(root.path());
        assert_eq!(meter.look().throttled, 0.0);
        write("sys/fs/cgroup/box/cpu.stat", "usage_usec 1\nnr_periods 110\nnr_throttled 16\nthrottled_usec 9\n");
        // Of 100,000 ticks 60,000 were of somebody else, 10,000 of somebody with a low priority.
        write("proc/stat", &stat("51000 10000 10000 31000 0 0 0 0 0 0", 900_000));
        let load = meter.look();
        assert!((load.throttled - 0.6).abs() < 1e-9, "{load:?}");
        assert!((load.idle - 0.4).abs() < 1e-9 && (0.59..=0.6).contains(&load.others), "{load:?}");
    }

    #[test]
    fn a_service_sees_what_others_take_without_the_machines_proc() {
        let root = tempfile::tempdir().unwrap();
        let write = |text: &str| {
            std::fs::create_dir_all(root.path().join(limits::CGROUPS)).unwrap();
            std::fs::write(root.path().join(limits::CGROUPS).join("cpu.stat"), text).unwrap();
        };
        write("usage_usec 5000000000\nuser_usec 1\nsystem_usec 1\n");
        // In 1000 s of each processor others took three quarters of all.
        std::fs::create_dir_all(root.path().join("sys/devices/system/cpu")).unwrap();
        std::fs::write(root.path().join("sys/devices/system/cpu/online"), "0-1,4\n").unwrap();
        let mut meter = LoadMeter::new(root.path());
        meter.look_at(Duration::from_secs(1));
        // Three, whatever this machine has.
        let cores = 3_u64;
        write(&format!("usage_usec {}\nuser_usec 1\nsystem_usec 1\n", 5_000_000_000 + cores * 750_000_000));
        let load = meter.look_at(Duration::from_secs(1001));
        assert!((load.idle - 0.25).abs() < 1e-6 && (0.74..=0.75).contains(&load.others), "{load:?}");
        write(&format!("usage_usec {}\nnice_usec 7\n", 5_000_000_007 + cores * 750_000_000));
        assert!((meter.look_at(Duration::from_secs(2001)).idle - 1.0).abs() < 1e-6, "with a low priority");
    }
}
