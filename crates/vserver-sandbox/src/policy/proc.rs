//! The content of a guest's `/proc`: everything is hidden unless it is listed here, so that a file which a newer kernel
//! adds is hidden by default (the principle of VServer's `vprocunhide`).
//!
//! Entries outside the process directories exist once for all procfs instances, the host's included: a chmod by a
//! guest whose uid 0 is the host's would change them for everybody (CVE-2004-2408 is of this kind). In the classic
//! mode each of them is therefore read-only by a mount; in a user namespace the guest's root does not own them.

/// What is done with one top-level entry of `/proc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// Left as it is.
    Plain,
    /// Visible, and made read-only by a mount of its own.
    ReadOnly,
    /// Covered by an empty object.
    Masked,
}

/// A visible entry and why it is visible.
#[derive(Clone, Copy, Debug)]
pub struct Visible {
    /// Its name.
    pub name: &'static str,
    /// What needs it, and what it tells.
    pub reason: &'static str,
}

const fn visible(name: &'static str, reason: &'static str) -> Visible {
    Visible { name, reason }
}

/// Entries of `/proc` that a guest sees, besides the processes. `cpuinfo`, `meminfo`, `stat`, `loadavg` and `uptime` tell
/// of the whole host where no namespace answers; ps, top, free and every language's run time start with them.
pub const VISIBLE: &[Visible] = &[
    visible("consoles", "getty; names only"),
    visible("cpuinfo", "the processor's features; tells of the host's processor"),
    visible("crypto", "what ciphers the kernel has; needed by fips checks"),
    visible("devices", "major numbers of drivers; mount and udev rules"),
    visible("filesystems", "mount(8) without a type"),
    visible("loadavg", "uptime, w, batch daemons; tells the host's load"),
    visible("meminfo", "free, malloc tuning; tells the host's memory"),
    visible("misc", "minor numbers of misc devices; fuse"),
    visible("stat", "ps, top, processor count; the boot time follows the guest's time namespace"),
    visible("sys", "kernel parameters to read; read-only but for those below"),
    visible("sysvipc", "ipcs; of the guest's own IPC namespace"),
    visible("tty", "drivers and line disciplines; ps names terminals with it"),
    visible("uptime", "uptime; the first field follows the guest's time namespace"),
    visible("version", "uname -a in a file"),
];

/// Known entries that stay hidden, and what they would tell or do. Whatever is in neither list is hidden too: this one
/// is for the reader, and for the test that both lists are apart.
pub const HIDDEN: &[Visible] = &[
    visible("acpi", "host hardware; writable on old kernels"),
    visible("asound", "host hardware"),
    visible("buddyinfo", "host memory layout"),
    visible("bus", "host hardware; raw configuration space"),
    visible("cgroups", "how many control groups the host has"),
    visible("cmdline", "the host's boot parameters, root device among them"),
    visible("config.gz", "which weaknesses the kernel was built with"),
    visible("diskstats", "the host's disks and how busy they are"),
    visible("dma", "host hardware"),
    visible("driver", "host hardware; writable entries"),
    visible("dynamic_debug", "switches kernel messages"),
    visible("execdomains", "of no use"),
    visible("fb", "host hardware"),
    visible("fs", "state of the host's file systems, by device name"),
    visible("interrupts", "keystroke timing of the host"),
    visible("iomem", "physical addresses"),
    visible("ioports", "host hardware"),
    visible("irq", "writable affinity of interrupts"),
    visible("kallsyms", "kernel addresses"),
    visible("kcore", "the kernel's memory"),
    visible("key-users", "key counts of every uid of the host"),
    visible("keys", "key descriptions; not in a namespace"),
    visible("kmsg", "the kernel's log"),
    visible("kpagecgroup", "which guest owns a page"),
    visible("kpagecount", "physical memory"),
    visible("kpageflags", "physical memory"),
    visible("latency_stats", "what processes of the host wait for"),
    visible("locks", "process and inode numbers of all lock holders"),
    visible("mdstat", "the host's disks"),
    visible("modules", "loaded modules and addresses"),
    visible("mtrr", "writable memory types"),
    visible("pagetypeinfo", "host memory layout"),
    visible("partitions", "the host's disks"),
    visible("pressure", "the host's load; triggers cost kernel time"),
    visible("sched_debug", "names of all processes of the host"),
    visible("schedstat", "the host's load"),
    visible("scsi", "host hardware; writable, adds and removes disks"),
    visible("slabinfo", "sizes of all caches; other guests' names through them"),
    visible("softirqs", "network timing of the host"),
    visible("swaps", "the host's swap devices"),
    visible("sysrq-trigger", "reboots, kills, dumps"),
    visible("timer_list", "kernel addresses, all timers of the host"),
    visible("timer_stats", "timers of the host by process name"),
    visible("vmallocinfo", "kernel addresses"),
    visible("vmstat", "the host's paging activity"),
    visible("zoneinfo", "host memory layout"),
];

/// Parameters of namespaces that every guest has of its own: the host name (uts) and System V and POSIX IPC (ipc).
const OWN_PARAMETERS: &[&str] = &[
    "sys/kernel/hostname",
    "sys/kernel/domainname",
    "sys/kernel/msgmax",
    "sys/kernel/msgmnb",
    "sys/kernel/msgmni",
    "sys/kernel/sem",
    "sys/kernel/shm_rmid_forced",
    "sys/kernel/shmall",
    "sys/kernel/shmmax",
    "sys/kernel/shmmni",
    "sys/fs/mqueue",
];

/// Whether `name` is a link into the caller's own process directory, so that nothing global hangs on it.
pub fn leads_to_processes(name: &str) -> bool {
    matches!(name, "self" | "thread-self" | "mounts" | "net")
}

/// What to do with the top-level entry `name`; `classic`: the guest's root is the host's uid 0.
pub fn treatment(name: &str, classic: bool) -> Treatment {
    if leads_to_processes(name) || (!name.is_empty() && name.bytes().all(|b| b.is_ascii_digit())) {
        return Treatment::Plain;
    }
    match VISIBLE.iter().find(|entry| entry.name == name) {
        None => Treatment::Masked,
        // Most of it can be written by uid 0 without any capability.
        Some(entry) if entry.name == "sys" => Treatment::ReadOnly,
        Some(_) if classic => Treatment::ReadOnly,
        Some(_) => Treatment::Plain,
    }
}

/// Paths below `/proc`, without it, that stay writable inside the read-only `sys`. The same in both modes; with a user
/// namespace the kernel lets the guest's root write the IPC parameters only, and sethostname(2) sets the name.
pub fn writable(_classic: bool) -> impl Iterator<Item = &'static str> {
    OWN_PARAMETERS.iter().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k33_hidden_and_unknown_entries_are_masked() {
        for classic in [true, false] {
            for entry in HIDDEN {
                assert_eq!(treatment(entry.name, classic), Treatment::Masked, "{}", entry.name);
            }
            assert_eq!(treatment("something-of-linux-9", classic), Treatment::Masked);
            assert_eq!(treatment("", classic), Treatment::Masked);
        }
    }

    #[test]
    fn k36_no_visible_global_entry_is_writable_in_the_classic_mode() {
        for entry in VISIBLE {
            assert_eq!(treatment(entry.name, true), Treatment::ReadOnly, "{}", entry.name);
        }
        assert_eq!(treatment("uptime", false), Treatment::Plain);
        assert_eq!(treatment("sys", false), Treatment::ReadOnly);
    }

    #[test]
    fn processes_are_left_alone() {
        for name in ["1", "32768", "self", "thread-self", "mounts", "net"] {
            assert_eq!(treatment(name, true), Treatment::Plain, "{name}");
        }
        assert_eq!(treatment("1x", true), Treatment::Masked);
    }

    #[test]
    fn lists_are_sorted_apart_and_give_reasons() {
        for list in [VISIBLE, HIDDEN] {
            assert!(list.windows(2).all(|pair| pair[0].name < pair[1].name));
            assert!(list.iter().all(|entry| !entry.reason.is_empty()));
        }
        assert!(VISIBLE.iter().all(|v| HIDDEN.iter().all(|h| h.name != v.name)));
    }

    #[test]
    fn k07_the_escape_classics_are_not_writable() {
        for path in writable(true) {
            for classic in ["core_pattern", "modprobe", "uevent_helper", "hotplug", "poweroff_cmd", "sysrq", "binfmt"]
            {
                assert!(!path.contains(classic), "{path}");
            }
        }
    }
}
