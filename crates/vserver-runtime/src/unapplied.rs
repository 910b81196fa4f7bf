//! Settings that are understood and that this version does not apply: said at start, never passed over in silence.

use vserver_config::{GuestConfig, Userns, catalog};
use vserver_types::{ContextCaps, ContextFlags, Effect, FlagKind, NetCaps, NetFlags, Unenforced, Verdict};

use crate::{apparmor, quotas, window};

/// All of them, in the order of the configuration's files.
pub fn found(config: &GuestConfig) -> Vec<Unenforced> {
    let mut all = Vec::new();
    let mut add =
        |is_set: bool, setting: &str, reason: &str| all.extend(is_set.then(|| Unenforced::none(setting, reason)));
    let host = nix::sys::utsname::uname().ok();
    let differs = |wish: &Option<String>, own: Option<String>| wish.is_some() && *wish != own;
    let text = |value: &std::ffi::OsStr| value.to_string_lossy().into_owned();
    let uts = &config.uts;
    let fixed = catalog::how("uts/sysname");
    add(differs(&uts.sysname, host.as_ref().map(|h| text(h.sysname()))), "uts/sysname", fixed);
    add(differs(&uts.release, host.as_ref().map(|h| text(h.release()))), "uts/release", fixed);
    add(differs(&uts.version, host.as_ref().map(|h| text(h.version()))), "uts/version", fixed);
    let machine = differs(&uts.machine, host.as_ref().map(|h| text(h.machine()))) && machine_domain(config).is_none();
    add(machine, "uts/machine", fixed);
    let filters = config.network_space.wants_firewall();
    let reason = "without a user namespace of its own the guest's root is the host's: set `userns` to `auto`";
    add(filters && config.userns == Userns::Off, "netns/firewall", reason);
    let reason = "the network namespace is the administrator's (netns/shared): filter there";
    add(filters && !config.network_space.is_own(), "netns/firewall", reason);
    add(lacks_sctp(config), "netns/sctp", "this kernel has no SCTP: load the kernel module sctp");
    let reason = "this host's root lacks CAP_SYS_RESOURCE and cannot make the OOM killer spare a process; give the guest \
                  room in its memory limit";
    add(!can_set_badness(config.badness), "badness", reason);
    let adjusts = config.ccaps.contains(ContextCaps::OOM_ADJUST);
    add(adjusts && !commands_resources(), "ccapabilities oom_adjust", reason);
    for (name, _) in config.sysctl.iter().filter(|(name, _)| !is_the_guests(config, name)) {
        let reason =
            "it is not of the guest's own namespaces: it would change the host; set it there if that is meant";
        all.push(Unenforced::none(format!("sysctl {name}"), reason));
    }
    all.extend(flags(config));
    all.extend(crate::plan::view::unapplied(config));
    all.extend(network_of_the_host(config));
    all.extend(apparmor::unapplied(config));
    all
}

/// The kernel has no SCTP for a guest that may have it. What cannot be asked is not known to be wrong.
fn lacks_sctp(config: &GuestConfig) -> bool {
    let wanted = config.network_space.wants_sctp() && config.network_space.is_own();
    wanted && !vserver_sys::socket::has_sctp().unwrap_or(true)
}

/// What of the default flags a kernel without FUSE cannot do.
fn network_of_the_host(config: &GuestConfig) -> Option<Unenforced> {
    let held = config.shares_the_stack();
    let wanted = held && config.nflags.contains(NetFlags::HIDE_NETIF);
    let reason = "this kernel has no FUSE (no /dev/fuse), so /proc/net tells of the host; load the module 'fuse'";
    (wanted && !window::is_possible()).then(|| Unenforced::partial("nflags hide_netif", reason))
}

/// The execution domain that shows a 32-bit machine, if that is what `uts/machine` asks for and `personality` does not say
/// otherwise: the one field besides the names that a stock kernel can change. personality(2), `PER_LINUX32`.
pub fn machine_domain(config: &GuestConfig) -> Option<u32> {
    const PER_LINUX32: u32 = 0x8;
    let wanted = cfg!(target_arch = "x86_64") && config.uts.machine.as_deref() == Some("i686");
    (wanted && config.personality.is_none_or(|domain| domain & 0xff == PER_LINUX32)).then_some(PER_LINUX32)
}

/// Flags that were asked for beyond what every guest has, as `FILE FLAG`, with their entries in the table of flags.
pub fn flags_of(config: &GuestConfig) -> impl Iterator<Item = (String, &'static Effect)> {
    let words = [
        ("ccapabilities", FlagKind::Ccap, config.ccaps.0 & !ContextCaps::SECURE),
        ("cflags", FlagKind::Cflag, config.cflags.0 & !ContextFlags::START),
        ("ncapabilities", FlagKind::Ncap, config.ncaps.0 & !NetCaps::SECURE),
        ("nflags", FlagKind::Nflag, config.nflags.0 & !NetFlags::KERNEL_DEFAULT),
    ];
    let of = |(file, kind, word): (&'static str, FlagKind, u64)| {
        kind.effects_of(word).map(move |effect| (format!("{file} {}", effect.name), effect))
    };
    words.into_iter().flat_map(of)
}

/// Those that do not hold.
fn flags(config: &GuestConfig) -> Vec<Unenforced> {
    let holds_here = |setting: &str| setting == "nflags hide_netif" && config.network_space.is_own();
    // Whether that holds is known where disks are, `quotas::plan`, and where user namespaces are, `SeccompMode::unenforced`.
    const MOUNTS: [&str; 2] = ["ccapabilities binary_mount", "ccapabilities admin_cloop"];
    let told_elsewhere = |setting: &str| {
        let without = setting == "cflags prolific" && config.userns == Userns::Off;
        without || setting == quotas::SETTING || MOUNTS.contains(&setting)
    };
    let lost = flags_of(config).filter(|(setting, _)| !holds_here(setting) && !told_elsewhere(setting));
    let found = lost.filter_map(|(setting, effect)| match effect.verdict {
        Verdict::Honoured => None,
        Verdict::Partly => Some(Unenforced::partial(setting, effect.how)),
        Verdict::Cannot => Some(Unenforced::none(setting, effect.how)),
    });
    found.collect()
}

/// A bias below nought needs a capability that root in a container may lack.
pub fn can_set_badness(bias: Option<i64>) -> bool {
    bias.is_none_or(|bias| bias >= 0) || commands_resources()
}

/// Whether this process holds CAP_SYS_RESOURCE of the host.
pub fn commands_resources() -> bool {
    const SYS_RESOURCE: u32 = 24;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let held = line.and_then(|line| u64::from_str_radix(line.trim(), 16).ok());
    held.is_none_or(|caps| caps & 1 << SYS_RESOURCE != 0)
}

/// Whether a setting of `/proc/sys` belongs to namespaces of the guest's own, the network's among them if it has one.
pub fn is_the_guests(config: &GuestConfig, name: &str) -> bool {
    is_namespaced(name) || (config.network_space.is_own() && name.starts_with("net/"))
}

/// Whether a setting of `/proc/sys` belongs to the IPC namespace. Those of the network belong to its network stack; those of
/// the UTS namespace are set as names. ipc_namespaces(7).
pub fn is_namespaced(name: &str) -> bool {
    const IPC: [&str; 11] = [
        "auto_msgmni",
        "msgmax",
        "msgmnb",
        "msgmni",
        "msg_next_id",
        "sem",
        "sem_next_id",
        "shmall",
        "shmmax",
        "shmmni",
        "shm_rmid_forced",
    ];
    let kernel = name.strip_prefix("kernel/").is_some_and(|rest| IPC.contains(&rest) || rest == "shm_next_id");
    kernel || name.starts_with("fs/mqueue/")
}
