//! What becomes of each flag and capability on a stock kernel, and which test shows it: one table, from which
//! `docs/flags.md`, the report at start and a test of completeness are made. Source of the meanings: `flags.md` §3–§6, §8.

use std::fmt;

use serde::Serialize;

use crate::{Enforcement, FlagKind};

/// How much of a flag or a setting holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// What it says is so, seen from inside a guest.
    Honoured,
    /// In part, or in some guests only.
    Partly,
    /// Nothing of it; said when a guest starts with it.
    Cannot,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Honoured => "honoured",
            Self::Partly => "partly",
            Self::Cannot => "cannot",
        })
    }
}

impl From<Enforcement> for Verdict {
    fn from(degree: Enforcement) -> Self {
        match degree {
            Enforcement::Full => Self::Honoured,
            Enforcement::Partial => Self::Partly,
            Enforcement::None => Self::Cannot,
        }
    }
}

/// One flag.
#[derive(Clone, Copy, Debug)]
pub struct Effect {
    /// Its first name.
    pub name: &'static str,
    /// How much of it holds.
    pub verdict: Verdict,
    /// By what, or why not.
    pub how: &'static str,
    /// The root test that shows it; empty where nothing holds.
    pub test: &'static str,
}

const fn effect(name: &'static str, verdict: Verdict, how: &'static str, test: &'static str) -> Effect {
    Effect { name, verdict, how, test }
}

use Verdict::{Cannot, Honoured, Partly};

const CCAPS: &[Effect] = &[
    effect(
        "set_utsname",
        Honoured,
        "the guest's root changes its names; where the kernel would want a capability that it lacks, its supervisor sets them; taken away, nobody changes them",
        "flags::set_utsname",
    ),
    effect(
        "set_rlimit",
        Honoured,
        "the guest's root raises the hard limits of its processes, by its supervisor, as far as rlimits/ goes and the host's root may; those without a file in ulimits/ are infinite from the start",
        "each::hard_limits_and_who_raises_them",
    ),
    effect(
        "fs_security",
        Partly,
        "file capabilities can be set inside a user namespace; other security.* attributes cannot",
        "flags::file_capabilities_are_all_of_fs_security",
    ),
    effect("fs_trusted", Cannot, "trusted.* attributes ask for CAP_SYS_ADMIN over the host", ""),
    effect(
        "tiocsti",
        Honoured,
        "system call filter; the host's dev.tty.legacy_tiocsti decides too",
        "flags::tiocsti_types_into_an_own_terminal",
    ),
    effect(
        "raw_icmp",
        Honoured,
        "raw ICMP sockets for the guest's root, made by its supervisor, and ping sockets for everybody as far as the host's net.ipv4.ping_group_range allows; on the host's stack both carry echo requests only and have the guest's source",
        "flags_net::raw_icmp",
    ),
    effect(
        "syslog",
        Partly,
        "without it the log is empty; with it the guest sees what the kernel shows it: all in the classic mode, in a user namespace only if the host's kernel.dmesg_restrict is 0",
        "flags::kernel_log_is_empty_without_syslog",
    ),
    effect(
        "oom_adjust",
        Honoured,
        "processes of the guest lower their own oom_score_adj as far as -1000, whoever they run as; this asks for CAP_SYS_RESOURCE of the host's root at start",
        "standing::oom_adjust",
    ),
    effect(
        "audit_control",
        Partly,
        "audit is answered with \"not there\", which PAM and login tolerate",
        "security::k30_audit",
    ),
    effect(
        "secure_mount",
        Honoured,
        "mounts in the guest's own user and mount namespace, always nodev",
        "flags::secure_mount_and_secure_remount",
    ),
    effect(
        "secure_remount",
        Honoured,
        "the same for mounts that are there; what the host locked stays",
        "flags::secure_mount_and_secure_remount",
    ),
    effect(
        "binary_mount",
        Partly,
        "the guest's root mounts ext4, xfs, vfat and iso9660 of block devices that it may use (vdevmap), by its supervisor, which asks for a user namespace; mounts that secure_mount allows go with it. btrfs and network file systems are the host's to mount (fstab, vmount)",
        "block_mounts::a_device_is_mounted_inside",
    ),
    effect(
        "dev_mount",
        Cannot,
        "what is mounted inside a user namespace is always nodev: let the host mount it (fstab)",
        "",
    ),
    effect(
        "quota_ctl",
        Partly,
        "quotas of users and groups on a disk of the guest's own (--disk, ext4 or xfs), set from inside: its supervisor answers quotactl(2); a file system that guests share has none, and the whole of a guest is the host's to limit (dlimits/, vdlimit)",
        "disk::quotas_of_users_inside",
    ),
    effect("admin_mapper", Cannot, "the device mapper cannot be confined to a guest", ""),
    effect(
        "admin_cloop",
        Partly,
        "the guest's root mounts files of its own as disks (`mount FILE DIR`; ext4, xfs, vfat and iso9660; an ext4 without its journal), by its supervisor, which asks for a user namespace; mounts that secure_mount allows go with it. It never gets a loop device: one that is free is anybody's, the next image of the host's too, so losetup is not for guests",
        "image_mounts::a_file_is_mounted_inside",
    ),
    effect("kthread", Cannot, "kernel threads belong to the host", ""),
    effect(
        "namespace",
        Honoured,
        "CLONE_NEW* by the system call filter, in a user namespace",
        "flags::ccapability_namespace_allows_all",
    ),
];

const CFLAGS: &[Effect] = &[
    effect("lock", Honoured, "always so: nothing leaves a guest", "security::k32_namespaces"),
    effect("nproc", Honoured, "always so: pids.max counts the whole guest", "limits::processes"),
    effect(
        "private",
        Partly,
        "our commands do not enter; the host's root could by other means",
        "flags::private_is_not_entered",
    ),
    effect("fakeinit", Honoured, "always so: PID namespace", "flags::fakeinit_and_hide_mount"),
    effect(
        "hideinfo",
        Honoured,
        "always so: there is nothing to hide",
        "security::k33_proc_hides_what_is_not_listed",
    ),
    effect("ulimit", Honoured, "Linux 2.4 only; changes nothing", "flags::every_ulimit"),
    effect("namespace", Honoured, "always so: mount namespace", "flags::fakeinit_and_hide_mount"),
    effect("sched_hard", Honoured, "cpu.max with burst", "limits::token_bucket_holds_a_quarter"),
    effect(
        "sched_prio",
        Partly,
        "the fill rate is a weight; how full the bucket is does not matter",
        "flags::sched_prio_is_a_weight",
    ),
    effect("sched_pause", Honoured, "cgroup.freeze", "flags::sched_pause_holds_everything"),
    effect(
        "virt_mem",
        Honoured,
        "/proc/meminfo, /proc/swaps and sysinfo(2) show the guest's limits and what it uses, by a server of its own (FUSE); without \
         a limit the total is the host's",
        "own_proc::virt_mem",
    ),
    effect(
        "virt_uptime",
        Honoured,
        "time namespace: /proc/uptime, sysinfo(2), the boot clock, and start times of processes count from the start",
        "flags::virt_uptime",
    ),
    effect(
        "virt_cpu",
        Honoured,
        "/proc/stat, /proc/cpuinfo and /sys/devices/system/cpu show the processors of its cpuset, counted from 0, and the guest's \
         time, spread evenly over them, by a server of its own (FUSE)",
        "own_proc::virt_cpu",
    ),
    effect(
        "virt_load",
        Honoured,
        "/proc/loadavg and sysinfo(2) show the load of the guest's own tasks, by a server of its own (FUSE)",
        "own_proc::virt_load",
    ),
    effect("virt_time", Cannot, "the wall clock is in no namespace", ""),
    effect("hide_mount", Honoured, "always so: the root is pivoted", "flags::fakeinit_and_hide_mount"),
    effect("hide_netif", Cannot, "see nflags", ""),
    effect(
        "hide_vinfo",
        Honoured,
        "always so: there is nothing to hide",
        "security::k33_proc_hides_what_is_not_listed",
    ),
    effect("state_setup", Honoured, "internal: of the start only", "each::state_flags_are_of_the_start_only"),
    effect("state_init", Honoured, "internal: of the start only", "each::state_flags_are_of_the_start_only"),
    effect(
        "state_admin",
        Partly,
        "internal: shown until it is taken off; the host's root may change a guest all the same",
        "each::state_flags_are_of_the_start_only",
    ),
    effect("sc_helper", Honoured, "the supervisor tells vshelper", "helper::action_and_methods"),
    effect(
        "reboot_kill",
        Honoured,
        "always so: reboot(2) ends the PID namespace",
        "security::k01_reboot_ends_the_guest_only",
    ),
    effect(
        "persistent",
        Honoured,
        "a guest whose processes have ended, and a context without a guest, stay until they are stopped; after the end of an own init the guest is begun anew with nobody in it, its scripts included",
        "flags::persistent_survives_its_processes",
    ),
    effect(
        "fork_rss",
        Honoured,
        "while the guest is above rlimits/rss.soft, its page cache apart, fork(2) fails in it with ENOMEM: its supervisor looks each time, 5000 times a second at most",
        "flags::fork_fails_above_the_soft_limit",
    ),
    effect(
        "prolific",
        Partly,
        "the guest's root makes guests by our programs in its own tree, which asks for a user namespace: they share that, the network stack, \
         the addresses and the devices of the guest around them, and have no clocks of their own; their limits are those that cgroup v2 has, \
         not v1",
        "prolific::a_guest_inside_of_a_guest",
    ),
    effect(
        "igneg_nice",
        Partly,
        "a negative level is ignored; going from a higher level to a lower one that is not negative is refused",
        "flags::negative_nice_is_ignored",
    ),
    effect("igneg_ionice", Honoured, "the real-time class is ignored", "flags::realtime_ionice_is_ignored"),
];

const NCAPS: &[Effect] = &[
    effect(
        "tun_create",
        Partly,
        "the guest has /dev/net/tun and may use the devices that are made for it (interfaces/, tunctl --nid); it makes none \
         itself, and what it writes to one enters the host's network stack: filter it there",
        "tun::with_tun_create_the_guest_uses_what_is_its_own",
    ),
    effect("raw_icmp", Honoured, "as the ccapability", "flags_net::ping_has_the_guests_source"),
];

const NFLAGS: &[Effect] = &[
    effect("lock", Honoured, "always so: nothing leaves its network context", "address::foreign_address_is_refused"),
    effect("private", Cannot, "the host's root may always use a guest's addresses", ""),
    effect(
        "single_ip",
        Honoured,
        "a wildcard bind becomes one to the only address; with several a TCP or UDP socket hears all of them",
        "flags_net::single_ip",
    ),
    effect(
        "lback_remap",
        Honoured,
        "bind, connect and send are redirected to the private loopback address",
        "flags_net::without_lback_remap_there_is_no_localhost",
    ),
    effect("lback_allow", Honoured, "127.0.0.1 is the host's", "flags_net::lback_allow_shares_the_hosts"),
    effect(
        "hide_netif",
        Partly,
        "wholly on a network stack of the guest's own; on the host's, what rtnetlink (getifaddrs, ip) and /proc/net \
         tell is the guest's own; /proc/PID/net and SIOCGIFCONF tell of the host",
        "proc_net::only_its_own",
    ),
    effect("hide_lback", Honoured, "the kernel shows the private loopback as 127.0.0.1", "flags_net::hide_lback"),
    effect("state_setup", Honoured, "internal: of the start only", "each::state_flags_are_of_the_start_only"),
    effect(
        "state_admin",
        Partly,
        "internal: shown until it is taken off; the host's root may change a guest all the same",
        "each::state_flags_are_of_the_start_only",
    ),
    effect("sc_helper", Cannot, "there is no helper for networks alone; vshelper gets startup and shutdown", ""),
    effect(
        "persistent",
        Partly,
        "the network context of a guest ends with the guest; one that ncontext made stays",
        "prefix::persistent_context_without_a_guest",
    ),
];

const SPACES: &[Effect] = &[
    effect(
        "fs",
        Honoured,
        "always so: a process may stop sharing its root and working directory",
        "each::namespace_of_umask",
    ),
    effect("newns", Honoured, "system call filter, in a user namespace", "each::namespace_of_umask"),
    effect("newuts", Honoured, "system call filter, in a user namespace", "each::namespace_of_umask"),
    effect("newipc", Honoured, "system call filter, in a user namespace", "each::namespace_of_umask"),
    effect("newuser", Honoured, "system call filter, in a user namespace", "each::namespace_of_umask"),
    effect("newpid", Honoured, "system call filter, in a user namespace", "each::namespace_of_umask"),
    effect("newnet", Honoured, "system call filter, in a user namespace", "each::namespace_of_umask"),
    effect("newcgroup", Honoured, "system call filter, in a user namespace", "each::namespace_of_umask"),
    effect("newtime", Honoured, "system call filter, in a user namespace", "each::namespace_of_umask"),
];

impl FlagKind {
    /// What becomes of the flags of this kind; capabilities and personality flags are the kernel's own and have no entry.
    pub fn effects(self) -> &'static [Effect] {
        match self {
            Self::Ccap => CCAPS,
            Self::Cflag => CFLAGS,
            Self::Ncap => NCAPS,
            Self::Nflag => NFLAGS,
            Self::Space => SPACES,
            Self::Bcap | Self::Personality => &[],
        }
    }

    /// The entries of the flags in `word`.
    pub fn effects_of(self, word: u64) -> impl Iterator<Item = &'static Effect> {
        let bit = move |name: &str| self.names().iter().find(|(known, _)| *known == name).map_or(0, |(_, bit)| *bit);
        self.effects().iter().filter(move |effect| word & bit(effect.name) != 0)
    }
}
