//! Which files of `/proc` and `/sys` tell a guest of itself.

use std::path::Path;

use serde::{Deserialize, Serialize};
use vserver_config::GuestConfig;
use vserver_types::{ContextFlags, Unenforced};

/// What is the guest's own; the rest is the host's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ViewPlan {
    /// Memory and swap (`virt_mem`): meminfo, swaps, sysinfo(2).
    pub memory: bool,
    /// CPUs (`virt_cpu`, `cpuset/virtualized`): stat, cpuinfo, `/sys/devices/system/cpu`.
    pub cpus: bool,
    /// Load (`virt_load`): loadavg, sysinfo(2).
    pub load: bool,
}

impl ViewPlan {
    /// Nothing: there is no server.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the supervisor answers sysinfo(2).
    pub fn answers_sysinfo(&self) -> bool {
        self.memory || self.load
    }

    /// Names below `/proc`.
    pub fn files(&self) -> Vec<&'static str> {
        let sets =
            [(self.memory, &["meminfo", "swaps"][..]), (self.cpus, &["stat", "cpuinfo"]), (self.load, &["loadavg"])];
        sets.into_iter().filter(|(wanted, _)| *wanted).flat_map(|(_, files)| files).copied().collect()
    }
}

/// What of `config` asks for them, with its name.
fn wishes(config: &GuestConfig) -> [(bool, &'static str); 4] {
    [
        (config.cflags.contains(ContextFlags::VIRT_MEM), "cflags virt_mem"),
        (config.cflags.contains(ContextFlags::VIRT_CPU), "cflags virt_cpu"),
        (config.cpuset_virtualized, "cpuset/virtualized"),
        (config.cflags.contains(ContextFlags::VIRT_LOAD), "cflags virt_load"),
    ]
}

/// The guest's own files.
pub fn plan(config: &GuestConfig) -> ViewPlan {
    let [memory, flag, cpuset, load] = wishes(config).map(|(wanted, _)| wanted);
    if is_possible() { ViewPlan { memory, cpus: flag || cpuset, load } } else { ViewPlan::default() }
}

/// What does not hold on this host.
pub fn unapplied(config: &GuestConfig) -> Vec<Unenforced> {
    let reason = "this kernel has no FUSE (no /dev/fuse), so /proc tells of the host; load the module 'fuse'";
    let asked = wishes(config).into_iter().filter(|(wanted, _)| *wanted && !is_possible());
    asked.map(|(_, setting)| Unenforced::none(setting, reason)).collect()
}

fn is_possible() -> bool {
    Path::new("/dev/fuse").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_without_wishes_has_no_server() {
        let none = ViewPlan::default();
        assert!(none.is_empty() && none.files().is_empty() && !none.answers_sysinfo());
        let cpus = ViewPlan { cpus: true, ..none };
        assert_eq!(cpus.files(), ["stat", "cpuinfo"]);
        assert!(!cpus.is_empty() && !cpus.answers_sysinfo());
        let all = ViewPlan { memory: true, load: true, ..cpus };
        assert_eq!(all.files(), ["meminfo", "swaps", "stat", "cpuinfo", "loadavg"]);
    }
}
