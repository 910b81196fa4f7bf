//! What a guest may ask the kernel: the policy as reviewed data (`seccomp/policy/*.json`, a reason per entry, rules in the
//! form of OCI's `linux.seccomp`), compiled into filters.
//!
//! An allow-list: a call that the policy does not name is unknown, and ENOSYS. Arguments are compared on their low 32
//! bits only, because the kernel looks at no more of those that the policy names.
//!
//! A filter of the `seccompiler` crate knows two answers, so what it makes of the rules of each call becomes part of one
//! filter with all answers (`seccomp/tree.rs`). What the supervisor answers is a second one; the kernel runs both and takes
//! the most severe answer.
//!
//! Calls by another door — `int 0x80`, x32 — are all ENOSYS, so that `socketcall` cannot go round the family list (K27).

mod compile;
mod numbers;
mod policy;
mod program;
mod tree;

use vserver_sys::process;
use vserver_types::Unenforced;

pub use program::Program;

/// What of the policy is lifted, or answered in another way, for one guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeccompMode {
    /// The guest has a user namespace of its own.
    pub userns: bool,
    /// The guest may make mounts and namespaces of its own, as systemd does. Has no effect without `userns`.
    pub nesting: bool,
    /// The guest has a network namespace of its own.
    pub netns: bool,
    /// It may send and hear frames as they are there: it has `CAP_NET_RAW`. Has no effect without `netns`.
    pub packets: bool,
    /// It may have packet filters there (`netns/firewall`). Has no effect without `netns` and `userns`.
    pub firewall: bool,
    /// It may have SCTP there (`netns/sctp`). Has no effect without `netns`.
    pub sctp: bool,
    /// `secure_mount`: mount and unmount. Has no effect without `userns`.
    pub mounts: bool,
    /// `secure_remount`: change mounts that are there. Has no effect without `userns`.
    pub remounts: bool,
    /// `binary_mount`: its supervisor mounts block devices for it; mounts of its own go with that. Has no effect without `userns`.
    pub disks: bool,
    /// `admin_cloop`: the same for files of its own. Has no effect without `userns`.
    pub images: bool,
    /// `CLONE_NEW*` bits of the namespaces that the guest may make (`umask`, ccapability `namespace`). Has no effect
    /// without `userns`.
    pub spaces: u64,
    /// `set_utsname`: change the host name and the domain name.
    pub utsname: bool,
    /// The guest lacks the capability for that, so its supervisor does it.
    pub names: bool,
    /// `set_rlimit` of a guest that lacks the capability for it: its supervisor raises hard limits.
    pub limits: bool,
    /// `virt_mem`, `virt_load`: sysinfo(2) tells of the guest, and its supervisor answers.
    pub sysinfo: bool,
    /// `quota_ctl` of a guest with a disk of its own: its supervisor answers what concerns quotas of that.
    pub quotas: bool,
    /// `fork_rss`: no process more while the guest has more memory than its soft limit; its supervisor looks.
    pub forks: bool,
    /// The guest is held to addresses of the host's network stack: its supervisor makes its sockets for ping and
    /// UDP-Lite.
    pub ping: bool,
    /// `hide_netif` of such a guest: its supervisor makes its netlink sockets.
    pub hide_netif: bool,
    /// `syslog`: the real kernel log, as far as the kernel itself shows it. Otherwise it is empty.
    pub syslog: bool,
    /// `tiocsti`: typing into an own terminal.
    pub tiocsti: bool,
    /// `igneg_nice`: a wish for a negative nice level succeeds without effect.
    pub igneg_nice: bool,
    /// `igneg_ionice`: a wish for the real-time I/O class succeeds without effect.
    pub igneg_ionice: bool,
}

/// All namespaces that [`SeccompMode::spaces`] speaks of.
pub const ALL_SPACES: u64 = process::NEWNS
    | process::NEWUTS
    | process::NEWIPC
    | process::NEWUSER
    | process::NEWPID
    | process::NEWNET
    | process::NEWCGROUP
    | process::NEWTIME;

impl SeccompMode {
    /// Mounts and namespaces are the guest's own business only if its root is not the host's.
    fn nests(self) -> bool {
        self.userns && self.nesting
    }

    fn may_mount(self) -> bool {
        self.nests() || self.userns && (self.mounts || self.disks || self.images)
    }

    fn may_remount(self) -> bool {
        self.nests() || self.userns && self.remounts
    }

    /// `CLONE_NEW*` bits of the namespaces that the guest may make in the end.
    pub fn allowed_spaces(self) -> u64 {
        match (self.userns, self.nesting) {
            (false, _) => 0,
            (true, true) => ALL_SPACES,
            (true, false) => self.spaces & ALL_SPACES,
        }
    }

    /// Whether the guest needs `CAP_SYS_ADMIN` over its own user namespace for what it may do.
    pub fn administers(self) -> bool {
        self.may_mount() || self.may_remount() || self.allowed_spaces() != 0
    }

    /// What was asked for and is not given.
    pub fn unenforced(self) -> Vec<Unenforced> {
        let asked = [
            (self.nesting, "cflags prolific"),
            (self.mounts, "ccapabilities secure_mount"),
            (self.remounts, "ccapabilities secure_remount"),
            (self.disks, "ccapabilities binary_mount"),
            (self.images, "ccapabilities admin_cloop"),
            (self.spaces & ALL_SPACES != 0, "namespaces (ccapabilities namespace, umask)"),
        ];
        let reason = "without a user namespace the guest's root is the host's: set `userns` to `auto`";
        let refused = asked.into_iter().filter(|(is_asked, _)| *is_asked && !self.userns);
        refused.map(|(_, setting)| Unenforced::none(setting, reason)).collect()
    }
}

/// The policy could not be turned into filters.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The built-in policy contradicts itself.
    #[error("the system call policy is wrong: {fault}")]
    Policy {
        /// What is wrong with which entry.
        fault: String,
    },
    /// A file of the built-in policy does not parse.
    #[error("cannot parse the system call policy")]
    Parse {
        /// Where.
        #[source]
        source: serde_json::Error,
    },
    /// The filter compiler refused.
    #[error("cannot compile the system call policy")]
    Compile {
        /// Why.
        #[source]
        source: seccompiler::BackendError,
    },
    /// The processor is not one that the filter compiler knows.
    #[error("no system call policy for processors of type {architecture}")]
    Architecture {
        /// Its name.
        architecture: &'static str,
    },
}

/// The filter of a mode, and the one that has calls answered by the guest's supervisor, installed after it; `None` if there
/// are none.
pub type Filters = (Program, Option<Program>);

/// Those of `mode`.
pub fn filters(mode: SeccompMode) -> Result<Filters, Error> {
    let policy = policy::Resolved::new(mode)?;
    Ok((compile::judging(&policy)?, compile::asking(&policy)?))
}
