//! The words of a context that `vattribute` and `nattribute` show and change, and what of them makes a start.

use serde::{Deserialize, Serialize};
use vserver_config::GuestConfig;
use vserver_sandbox::policy::caps::bounding_set;
use vserver_sandbox::seccomp::{ALL_SPACES, SeccompMode};
use vserver_types::{CapSet, Capability, ContextCaps, ContextFlags, NetCaps, NetFlags, Unenforced};

/// `fs` of the umask: a process may always stop sharing its root and working directory.
const SPACE_FS: u64 = 0x200;

/// The words of a running context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attributes {
    /// Its capability bounding set.
    pub bcaps: CapSet,
    /// Context capabilities.
    pub ccaps: ContextCaps,
    /// Context flags.
    pub cflags: ContextFlags,
    /// Namespaces that it may make: `CLONE_*`.
    pub umask: u64,
    /// Network capabilities.
    pub ncaps: NetCaps,
    /// Network flags.
    pub nflags: NetFlags,
}

impl Attributes {
    /// Those of a guest that begins with the bounding set `bcaps` under the policy `mode`.
    pub fn of(config: &GuestConfig, bcaps: CapSet, mode: SeccompMode) -> Self {
        // The making of the context is over when anybody sees this. Source: `flags.md` §4, §12.
        let made = config.cflags.0 & !(ContextFlags::STATE_SETUP | ContextFlags::STATE_INIT);
        Self {
            bcaps,
            ccaps: config.ccaps,
            cflags: ContextFlags(made | ContextFlags::STATE_ADMIN),
            umask: mode.allowed_spaces() | SPACE_FS,
            ncaps: config.ncaps,
            nflags: NetFlags(config.nflags.0 & !NetFlags::STATE_SETUP),
        }
    }
}

/// What a guest's flags change in the system call policy.
pub fn call_policy(config: &GuestConfig, userns: bool, systemd: bool) -> SeccompMode {
    let (ccaps, cflags) = (config.ccaps, config.cflags);
    let all = ccaps.contains(ContextCaps::NAMESPACE);
    let held = config.shares_the_stack();
    SeccompMode {
        userns,
        nesting: userns && systemd || cflags.contains(ContextFlags::PROLIFIC),
        netns: config.network_space.is_own(),
        firewall: config.network_space.wants_firewall(),
        sctp: config.network_space.wants_sctp(),
        packets: userns && CapSet::SECURE.edited(config.bcaps).contains(Capability::NET_RAW),
        mounts: ccaps.contains(ContextCaps::SECURE_MOUNT),
        disks: ccaps.contains(ContextCaps::BINARY_MOUNT),
        images: ccaps.contains(ContextCaps::ADMIN_CLOOP),
        remounts: ccaps.contains(ContextCaps::SECURE_REMOUNT),
        spaces: if all { ALL_SPACES } else { config.umask.value & ALL_SPACES },
        utsname: ccaps.contains(ContextCaps::SET_UTSNAME),
        // Known when the capabilities are.
        names: false,
        limits: false,
        sysinfo: false,
        quotas: false,
        forks: cflags.contains(ContextFlags::FORK_RSS),
        ping: held,
        hide_netif: held && config.nflags.contains(NetFlags::HIDE_NETIF),
        syslog: ccaps.contains(ContextCaps::SYSLOG),
        tiocsti: ccaps.contains(ContextCaps::TIOCSTI),
        igneg_nice: cflags.contains(ContextFlags::IGNEG_NICE),
        igneg_ionice: cflags.contains(ContextFlags::IGNEG_IONICE),
    }
}

/// The bounding set, and what of `bcapabilities` does not hold. Those over the network have their effect on a stack of the
/// guest's own, which its user namespace owns.
pub fn capabilities(config: &GuestConfig, userns: bool, mode: SeccompMode) -> (CapSet, Vec<Unenforced>) {
    let (caps, mut refused) = bounding_set(userns, mode.administers(), capability_edit(config, userns));
    if config.network_space.is_own() {
        refused.retain(|one| !matches!(one.setting.as_str(), "bcapabilities NET_ADMIN" | "bcapabilities NET_RAW"));
    }
    (caps, refused)
}

/// The value and mask word of `bcapabilities`, with what other settings need and the guest does not itself refuse: the real log
/// only where the guest's root is the host's uid 0, as the kernel would not honour it in a user namespace; packet filters
/// only where it is not.
fn capability_edit(config: &GuestConfig, userns: bool) -> (u64, u64) {
    let real_log = !userns && config.ccaps.contains(ContextCaps::SYSLOG);
    let filters = userns && config.network_space.is_own() && config.network_space.wants_firewall();
    let implied = u64::from(real_log) << Capability::SYSLOG.0 | u64::from(filters) << Capability::NET_ADMIN.0;
    let implied = implied & !config.bcaps.mask;
    (config.bcaps.value | implied, config.bcaps.mask | implied)
}
