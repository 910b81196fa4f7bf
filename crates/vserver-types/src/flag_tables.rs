//! The names of flags: one table per kind of word. Source: util-vserver, `flags.md` §2–§6, §8, §9.
//!
//! Order matters for printing: the first entry of a bit is the name that is printed, the others are aliases.

/// A name and the bits that it stands for.
pub(crate) type Entry = (&'static str, u64);

const fn bit(number: u32) -> u64 {
    1 << number
}

/// `bcapabilities`; 34–40 are unknown to the original, which takes them as `^34`. Source: `include/uapi/linux/capability.h`.
pub(crate) const BCAPS: &[Entry] = &[
    ("chown", bit(0)),
    ("dac_override", bit(1)),
    ("dac_read_search", bit(2)),
    ("fowner", bit(3)),
    ("fsetid", bit(4)),
    ("kill", bit(5)),
    ("setgid", bit(6)),
    ("setuid", bit(7)),
    ("setpcap", bit(8)),
    ("linux_immutable", bit(9)),
    ("net_bind_service", bit(10)),
    ("net_broadcast", bit(11)),
    ("net_admin", bit(12)),
    ("net_raw", bit(13)),
    ("ipc_lock", bit(14)),
    ("ipc_owner", bit(15)),
    ("sys_module", bit(16)),
    ("sys_rawio", bit(17)),
    ("sys_chroot", bit(18)),
    ("sys_ptrace", bit(19)),
    ("sys_pacct", bit(20)),
    ("sys_admin", bit(21)),
    ("sys_boot", bit(22)),
    ("sys_nice", bit(23)),
    ("sys_resource", bit(24)),
    ("sys_time", bit(25)),
    ("sys_tty_config", bit(26)),
    ("mknod", bit(27)),
    ("lease", bit(28)),
    ("audit_write", bit(29)),
    ("audit_control", bit(30)),
    ("setfcap", bit(31)),
    ("mac_override", bit(32)),
    ("mac_admin", bit(33)),
    ("syslog", bit(34)),
    ("wake_alarm", bit(35)),
    ("block_suspend", bit(36)),
    ("audit_read", bit(37)),
    ("perfmon", bit(38)),
    ("bpf", bit(39)),
    ("checkpoint_restore", bit(40)),
];

/// `ccapabilities`
pub(crate) const CCAPS: &[Entry] = &[
    ("set_utsname", bit(0)),
    ("set_rlimit", bit(1)),
    ("fs_security", bit(2)),
    ("fs_trusted", bit(3)),
    ("tiocsti", bit(4)),
    ("raw_icmp", bit(8)),
    ("syslog", bit(12)),
    ("oom_adjust", bit(13)),
    ("audit_control", bit(14)),
    ("secure_mount", bit(16)),
    ("secure_remount", bit(17)),
    ("binary_mount", bit(18)),
    ("dev_mount", bit(19)),
    ("quota_ctl", bit(20)),
    ("admin_mapper", bit(21)),
    ("admin_cloop", bit(22)),
    ("kthread", bit(24)),
    ("namespace", bit(25)),
    ("utsname", bit(0)),
    ("rlimit", bit(1)),
    ("icmp", bit(8)),
    ("ping", bit(8)),
    ("mount", bit(16)),
    ("remount", bit(17)),
];

/// `cflags`. `sched` is 2.4's; it is taken and changes nothing. `default` and `secure` are pseudo flags of several bits.
pub(crate) const CFLAGS: &[Entry] = &[
    ("lock", bit(0)),
    ("nproc", bit(2)),
    ("private", bit(3)),
    ("fakeinit", bit(4)),
    ("hideinfo", bit(5)),
    ("ulimit", bit(6)),
    ("namespace", bit(7)),
    ("sched_hard", bit(8)),
    ("sched_prio", bit(9)),
    ("sched_pause", bit(10)),
    ("virt_mem", bit(16)),
    ("virt_uptime", bit(17)),
    ("virt_cpu", bit(18)),
    ("virt_load", bit(19)),
    ("virt_time", bit(20)),
    ("hide_mount", bit(24)),
    ("hide_netif", bit(25)),
    ("hide_vinfo", bit(26)),
    ("state_setup", bit(32)),
    ("state_init", bit(33)),
    ("state_admin", bit(34)),
    ("sc_helper", bit(36)),
    ("reboot_kill", bit(37)),
    ("persistent", bit(38)),
    ("fork_rss", bit(48)),
    ("prolific", bit(49)),
    ("igneg_nice", bit(52)),
    ("igneg_ionice", bit(53)),
    ("default", bit(17) | bit(36)),
    ("secure", bit(25)),
    ("info_lock", bit(0)),
    ("info_nproc", bit(2)),
    ("info_private", bit(3)),
    ("info_init", bit(4)),
    ("info_hideinfo", bit(5)),
    ("info_ulimit", bit(6)),
    ("info_namespace", bit(7)),
    ("info_nspace", bit(7)),
    ("sched", 0),
];

/// `ncapabilities`
pub(crate) const NCAPS: &[Entry] = &[("tun_create", bit(0)), ("raw_icmp", bit(8))];

/// `nflags`
pub(crate) const NFLAGS: &[Entry] = &[
    ("lock", bit(0)),
    ("private", bit(3)),
    ("single_ip", bit(8)),
    ("lback_remap", bit(9)),
    ("lback_allow", bit(10)),
    ("hide_netif", bit(25)),
    ("hide_lback", bit(26)),
    ("state_setup", bit(32)),
    ("state_admin", bit(34)),
    ("sc_helper", bit(36)),
    ("persistent", bit(38)),
    ("info_lock", bit(0)),
    ("info_private", bit(3)),
    ("remap_lback", bit(9)),
];

/// `umask`: namespaces; the values are those of clone(2), `fs` is `CLONE_FS`.
pub(crate) const SPACES: &[Entry] = &[
    ("fs", 0x0000_0200),
    ("newns", 0x0002_0000),
    ("newuts", 0x0400_0000),
    ("newipc", 0x0800_0000),
    ("newuser", 0x1000_0000),
    ("newpid", 0x2000_0000),
    ("newnet", 0x4000_0000),
    ("newcgroup", 0x0200_0000),
    ("newtime", 0x0000_0080),
];

/// Flags of `personality`. Source: `include/uapi/linux/personality.h`.
pub(crate) const PERSONALITY: &[Entry] = &[
    ("mmap_page_zero", 0x010_0000),
    ("addr_limit_32bit", 0x080_0000),
    ("short_inode", 0x100_0000),
    ("whole_seconds", 0x200_0000),
    ("sticky_timeouts", 0x400_0000),
    ("addr_limit_3gb", 0x800_0000),
    ("uname26", 0x002_0000),
    ("addr_no_randomize", 0x004_0000),
    ("read_implies_exec", 0x040_0000),
    ("addr_compat_layout", 0x020_0000),
    ("fdpic_funcptrs", 0x008_0000),
];
