//! Which device nodes a guest may use, as data.

use std::ops::BitOr;

use crate::device_bpf::DeviceProgram;
use crate::{Error, GuestCgroup, device_v1};

/// Kind of a device node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// Character device.
    Char,
    /// Block device.
    Block,
}

/// What may be done with a device: any of reading, writing and making a node of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access(pub(crate) u8);

impl Access {
    /// `open` for reading.
    pub const READ: Self = Self(1);
    /// `open` for writing.
    pub const WRITE: Self = Self(2);
    /// `mknod`.
    pub const MAKE: Self = Self(4);
    /// Reading and writing.
    pub const USE: Self = Self(3);
    /// Everything.
    pub const ALL: Self = Self(7);

    /// Whether all of `other` is in it.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Access {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Devices that a guest may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRule {
    /// Kind of the node.
    pub kind: DeviceKind,
    /// Major number; `None` is any.
    pub major: Option<u32>,
    /// Minor number; `None` is any.
    pub minor: Option<u32>,
    /// What may be done.
    pub access: Access,
    /// Why it is allowed.
    pub reason: &'static str,
}

/// The devices that a guest may use; all others are refused with `EPERM`, whatever nodes there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevicePolicy {
    /// What is allowed; rules add up.
    pub allow: Vec<DeviceRule>,
}

const fn char(major: u32, minor: Option<u32>, reason: &'static str) -> DeviceRule {
    DeviceRule { kind: DeviceKind::Char, major: Some(major), minor, access: Access::USE, reason }
}

impl DeviceRule {
    /// `/dev/fuse`, for guests that may mount FUSE file systems.
    pub const FUSE: Self = char(10, Some(229), "fuse: file systems served by programs of the guest");
    /// `/dev/net/tun`, for guests that may make tunnels.
    pub const TUN: Self = char(10, Some(200), "tun: tunnels of the guest's own network");
}

/// The minimum that VServer guests have. No node may be made: `/dev` is filled before the guest starts. Source: threat
/// model §3.5, `Documentation/admin-guide/devices.txt`.
const MINIMUM: [DeviceRule; 8] = [
    char(1, Some(3), "null: swallows and gives nothing"),
    char(1, Some(5), "zero: gives zeros"),
    char(1, Some(7), "full: always out of space, for tests of programs"),
    char(1, Some(8), "random: the kernel's generator"),
    char(1, Some(9), "urandom: the kernel's generator"),
    char(5, Some(0), "tty: the caller's own terminal"),
    char(5, Some(2), "ptmx: makes a pair in the devpts that it was opened from, the guest's own"),
    // The console is a pty, bound over the node: 5:1, the host's console, is not needed.
    char(136, None, "pts: the guest's own terminals"),
];

impl Default for DevicePolicy {
    fn default() -> Self {
        let more_terminals = (137..=143).map(|major| char(major, None, "pts: beyond the first 256 terminals"));
        Self { allow: MINIMUM.into_iter().chain(more_terminals).collect() }
    }
}

impl DevicePolicy {
    /// With one more rule.
    #[must_use]
    pub fn with(mut self, rule: DeviceRule) -> Self {
        self.allow.push(rule);
        self
    }
}

impl GuestCgroup {
    /// Holds the guest to `policy`, replacing an earlier one without a gap. With a v2 hierarchy by a BPF program on
    /// `vserver/<name>` (4.15), which lives as long as the directory; on pure v1 through `devices.allow`.
    ///
    /// # Errors
    /// [`Error::Devices`] if this kernel does not take the program; [`Error::Write`]. The guest must not start then.
    pub fn device_policy(&self, policy: &DevicePolicy) -> Result<(), Error> {
        let failed = |source| Error::Devices { name: self.name.to_string(), source };
        match self.v2_dir() {
            Some(dir) => DeviceProgram::load(policy).and_then(|program| program.attach(&dir)).map_err(failed),
            None => device_v1::apply(self, policy),
        }
    }

    /// The same with a policy that was loaded before.
    ///
    /// # Errors
    /// As [`GuestCgroup::device_policy`].
    pub fn device_program(&self, program: &DeviceProgram) -> Result<(), Error> {
        let failed = |source| Error::Devices { name: self.name.to_string(), source };
        match self.v2_dir() {
            Some(dir) => program.attach(&dir).map_err(failed),
            None => device_v1::apply(self, program.policy()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_makes_nodes_and_no_block_device_is_let_in() {
        for rule in DevicePolicy::default().allow {
            assert!(!rule.access.contains(Access::MAKE), "{rule}");
            assert_eq!(rule.kind, DeviceKind::Char);
            assert!(rule.reason.len() > 5);
        }
    }
}
