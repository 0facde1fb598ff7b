//! Groups of processes that the kernel holds to a part of the machine (cgroups(7)), of version 2 or the one before.

use std::io;
use std::path::{Path, PathBuf};

/// Where the hierarchies are mounted.
const ROOT: &str = "/sys/fs/cgroup";
/// Length of a turn of the processor in microseconds, as `silverstream.service` has it.
const TURN_US: u64 = 20_000;

/// A group of its own, which goes when it is dropped; whoever is in it has to be gone by then.
#[derive(Debug)]
pub struct Cage {
    folders: Vec<PathBuf>,
    memory_failures: PathBuf,
}

impl Cage {
    /// For so much of one core, in hundredths, and so much memory.
    ///
    /// # Errors
    /// If this user may not make groups.
    pub fn new(name: &str, percent: u64, memory: u64) -> io::Result<Self> {
        let root = Path::new(ROOT);
        let name = format!("silverstream-{name}-{}", std::process::id());
        let quota = TURN_US * percent / 100;
        if root.join("cgroup.controllers").exists() {
            std::fs::write(root.join("cgroup.subtree_control"), "+cpu +memory")?;
            let folder = root.join(name);
            std::fs::create_dir_all(&folder)?;
            let cage = Self { memory_failures: folder.join("memory.events"), folders: vec![folder.clone()] };
            std::fs::write(folder.join("cpu.max"), format!("{quota} {TURN_US}"))?;
            std::fs::write(folder.join("memory.max"), memory.to_string())?;
            return Ok(cage);
        }
        let (cpu, bytes) = (root.join("cpu").join(&name), root.join("memory").join(&name));
        std::fs::create_dir_all(&cpu)?;
        std::fs::create_dir_all(&bytes)?;
        let cage =
            Self { memory_failures: bytes.join("memory.oom_control"), folders: vec![cpu.clone(), bytes.clone()] };
        std::fs::write(cpu.join("cpu.cfs_period_us"), TURN_US.to_string())?;
        std::fs::write(cpu.join("cpu.cfs_quota_us"), quota.to_string())?;
        std::fs::write(bytes.join("memory.limit_in_bytes"), memory.to_string())?;
        Ok(cage)
    }

    /// Files that take process ids.
    pub fn doors(&self) -> Vec<PathBuf> {
        self.folders.iter().map(|folder| folder.join("cgroup.procs")).collect()
    }

    /// Processes that the kernel ended since there was no memory for them.
    pub fn killed(&self) -> u64 {
        let text = std::fs::read_to_string(&self.memory_failures).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.and_then(|count| count.trim().parse().ok()).unwrap_or_default()
    }

    /// Of the turns so far, those in which whoever is inside was stopped, in parts.
    pub fn throttled(&self) -> f64 {
        let text = self.folders.first().and_then(|folder| std::fs::read_to_string(folder.join("cpu.stat")).ok());
        let text = text.unwrap_or_default();
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|count| count.trim().parse::<f64>().ok()).unwrap_or_default()
        };
        field("nr_throttled ") / field("nr_periods ").max(1.0)
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        for folder in &self.folders {
            // A group whose last process has just ended goes a moment later.
            for _ in 0..50 {
                if std::fs::remove_dir(folder).is_ok() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
    }
}
