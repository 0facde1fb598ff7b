//! What the jukebox may take of the machine, out of the board's profile: what systemd is told, and what the kernel holds it
//! to.

use std::path::{Path, PathBuf};

use crate::config::{BoardProfile, CPU_SHARES, LEAST_MEMORY};
use crate::control::LimitsStatus;
use crate::system::finding::Finding;
use crate::types::Bytes;

/// Beyond this many times its resident memory the kernel takes the page cache of the jukebox's own files back from it, and
/// beyond that many times it is ended. In between lies what nobody foresaw.
const HIGH: u64 = 2;
const MAX: u64 = 3;

/// Never more than this of all memory, in hundredths: what `silverstream.service` says for systems without a profile.
const HIGH_PERCENT: u64 = 50;
const MAX_PERCENT: u64 = 70;

/// Name of what systemd's unit takes the properties from.
const VARIABLE: &str = "LIMITS";

/// Where systemd mounts the hierarchy.
pub(super) const CGROUPS: &str = "sys/fs/cgroup";

/// What version 1 calls no limit is more than this.
const NO_LIMIT: u64 = 1 << 60;

/// What systemd is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub memory_high: Bytes,
    pub memory_max: Bytes,
    /// Of one core, in hundredths.
    pub cpu_percent: u32,
}

impl Limits {
    /// Those of a board with so much memory and so many cores.
    pub fn of(board: &BoardProfile, memory: Bytes, cores: usize) -> Self {
        let resident = board.memory.max(LEAST_MEMORY).0;
        let within = |times: u64, percent: u64| Bytes(resident.saturating_mul(times).min(memory.0 / 100 * percent));
        let share = board.cpu_share.clamp(*CPU_SHARES.start(), *CPU_SHARES.end());
        Self {
            memory_high: within(HIGH, HIGH_PERCENT),
            memory_max: within(MAX, MAX_PERCENT),
            cpu_percent: (share * cores as f64 * 100.0).round() as u32,
        }
    }

    /// Those of a board that is this machine.
    pub fn here(board: &BoardProfile) -> Self {
        let info = rustix::system::sysinfo();
        let memory = Bytes(info.totalram as u64 * u64::from(info.mem_unit));
        Self::of(board, memory, cores())
    }

    /// As an environment file for `systemctl set-property`. The processor is handed out in short turns: who has used up
    /// what it may take is back before the sound card's buffer is empty.
    pub fn environment(&self) -> String {
        format!(
            "{VARIABLE}=MemoryHigh={} MemoryMax={} CPUQuota={}% CPUQuotaPeriodSec=20ms\n",
            self.memory_high.0, self.memory_max.0, self.cpu_percent
        )
    }
}

/// Cores that this process may run on, whatever its share of them; one where that is not known.
pub fn cores() -> usize {
    rustix::thread::sched_getaffinity(None).map_or(1, |cores| cores.count() as usize).max(1)
}

/// The folder of the group of processes whose share of `controller` this process has a part in (cgroups(7)): in a hierarchy
/// of its own, as containers and older systems have it, or in that of version 2.
pub fn group(root: &Path, controller: &str) -> Option<PathBuf> {
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let own = groups.lines().find_map(|line| {
        let (controllers, group) = line.split_once(':')?.1.split_once(":/")?;
        controllers.split(',').any(|name| name == controller).then(|| root.join(CGROUPS).join(controllers).join(group))
    });
    own.or_else(|| Some(root.join(CGROUPS).join(groups.lines().find_map(|line| line.strip_prefix("0::/"))?)))
}

/// What the kernel holds this process to, by the files below `root`; nothing where nobody bounds it.
pub fn held(root: &Path) -> LimitsStatus {
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let read = |controller: &str, file: &str| {
        group(root, controller).and_then(|folder| std::fs::read_to_string(folder.join(file)).ok()).unwrap_or_default()
    };
    let cpu = read("cpu", "cpu.max");
    // Time in a turn, and the length of a turn; "max" or -1 for all of it.
    let turn = cpu.split_once(' ').map(|(quota, period)| (number(quota), number(period)));
    let turn =
        turn.unwrap_or_else(|| (number(&read("cpu", "cpu.cfs_quota_us")), number(&read("cpu", "cpu.cfs_period_us"))));
    let cores = turn.0.zip(turn.1).map(|(quota, period)| quota as f64 / period.max(1) as f64);
    let older = || number(&read("memory", "memory.limit_in_bytes")).filter(|bytes| *bytes < NO_LIMIT);
    LimitsStatus {
        memory_high_bytes: number(&read("memory", "memory.high")),
        memory_bytes: number(&read("memory", "memory.max")).or_else(older),
        cores,
    }
}

/// For the doctor; none if nothing is bounded.
pub fn finding(limits: &LimitsStatus) -> Option<Finding> {
    sentence(limits).map(|sentence| Finding::good("limits", format!("the jukebox may take {sentence}")))
}

/// In words; none if nothing is bounded.
pub fn sentence(limits: &LimitsStatus) -> Option<String> {
    let memory = limits.memory_bytes.map(|max| match limits.memory_high_bytes {
        Some(high) => format!("{} of memory, slowed down from {} on", Bytes(max), Bytes(high)),
        None => format!("{} of memory", Bytes(max)),
    });
    let processor = limits.cores.map(|cores| format!("{cores:.1} cores"));
    let parts: Vec<String> = [memory, processor].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(name: &str) -> BoardProfile {
        BoardProfile::load(name).unwrap()
    }

    #[test]
    fn a_profile_bounds_memory_and_processor_and_never_all_of_the_machine() {
        let zero = Limits::of(&board("pi-zero-2-w"), Bytes::mib(416), 4);
        assert_eq!((zero.memory_high, zero.memory_max, zero.cpu_percent), (Bytes::mib(128), Bytes::mib(192), 200));
        assert_eq!(
            zero.environment(),
            "LIMITS=MemoryHigh=134217728 MemoryMax=201326592 CPUQuota=200% CPUQuotaPeriodSec=20ms\n"
        );
        let greedy = BoardProfile { memory: Bytes::gib(9), cpu_share: 1.0, ..board("pi-4") };
        let bound = Limits::of(&greedy, Bytes::mib(1000), 4);
        assert_eq!((bound.memory_high, bound.memory_max, bound.cpu_percent), (Bytes::mib(500), Bytes::mib(700), 400));
        let mistaken = BoardProfile { memory: Bytes(1), cpu_share: f64::NAN, ..board("sim") };
        let least = Limits::of(&mistaken, Bytes::gib(1), 1);
        assert!(least.memory_max >= Bytes::mib(64), "it must still start: {least:?}");
        let slow = BoardProfile { cpu_share: 0.0, ..board("sim") };
        assert_eq!(Limits::of(&slow, Bytes::gib(1), 4).cpu_percent, 40);
    }

    #[test]
    fn what_the_kernel_holds_it_to() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        assert_eq!(sentence(&held(root.path())), None);
        write("proc/self/cgroup", "1:name=systemd:/x\n0::/system.slice/silverstream.service\n");
        write("sys/fs/cgroup/system.slice/silverstream.service/memory.max", "max\n");
        write("sys/fs/cgroup/system.slice/silverstream.service/cpu.max", "max 100000\n");
        assert_eq!(held(root.path()), LimitsStatus::default());
        write("sys/fs/cgroup/system.slice/silverstream.service/memory.high", "134217728\n");
        write("sys/fs/cgroup/system.slice/silverstream.service/memory.max", "201326592\n");
        write("sys/fs/cgroup/system.slice/silverstream.service/cpu.max", "30000 20000\n");
        let of_version_2 = held(root.path());
        write("proc/self/cgroup", "3:memory:/box\n2:cpu:/box\n0::/\n");
        write("sys/fs/cgroup/memory/box/memory.limit_in_bytes", "67108864\n");
        write("sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "-1\n");
        write("sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000\n");
        assert_eq!(sentence(&held(root.path())).unwrap(), "64 MiB of memory");
        write("sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "25000\n");
        write("sys/fs/cgroup/memory/box/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(held(root.path()), LimitsStatus { cores: Some(0.25), ..LimitsStatus::default() });
        let found = sentence(&of_version_2).unwrap();
        assert_eq!(found, "192 MiB of memory, slowed down from 128 MiB on; 1.5 cores");
    }
}
