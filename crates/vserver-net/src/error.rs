//! What can go wrong.

use std::io;

use vserver_sys::bpf::{AssembleError, AttachType};

/// A failure of this crate; the source says why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The policy is too large for a program.
    #[error("making the address program for {}", place.name())]
    Generate {
        /// Where the program belongs.
        place: AttachType,
        /// Why.
        source: AssembleError,
    },
    /// The kernel refused a program that the guest must not run without.
    #[error("loading the address program for {}", place.name())]
    Load {
        /// Where the program belongs.
        place: AttachType,
        /// What the kernel or its verifier said.
        source: io::Error,
    },
    /// The kernel refused to attach a program.
    #[error("attaching the address program for {} to the guest's cgroup", place.name())]
    Attach {
        /// Where the program belongs.
        place: AttachType,
        /// Why.
        source: io::Error,
    },
    /// There is no such device.
    #[error("no network device {dev:?}")]
    NoSuchDevice {
        /// Its name.
        dev: String,
    },
    /// The kernel has no VLAN devices, or the parent takes none.
    #[error(
        "the VLAN device {dev:?} cannot be made: load the kernel module 8021q, and see that its parent takes VLANs"
    )]
    NoVlans {
        /// Its name.
        dev: String,
    },
    /// There is no way to tun devices.
    #[error("the tun device {dev:?} cannot be made: load the kernel module tun, and see that its node is there")]
    NoTun {
        /// Its name.
        dev: String,
        /// Why.
        source: io::Error,
    },
    /// The name of a new device is taken.
    #[error("there is a network device {dev:?} already")]
    DeviceExists {
        /// Its name.
        dev: String,
    },
    /// The kernel does not make such links.
    #[error("this kernel makes no {kind} devices: load the kernel module {}", module(kind))]
    NoSuchKind {
        /// What it calls them.
        kind: &'static str,
    },
    /// The kernel has no filters for devices.
    #[error(
        "no filter can be put on the device {dev:?}: load the kernel modules sch_ingress and cls_bpf, or write 'off' to \
         antispoof in its directory"
    )]
    NoFilters {
        /// Its name.
        dev: String,
    },
    /// A request to the kernel's network configuration failed.
    #[error("{request}")]
    Netlink {
        /// What was asked for.
        request: String,
        /// Why.
        source: io::Error,
    },
}

/// The module of a kind of link.
pub fn module(kind: &str) -> &str {
    if kind == "vlan" { "8021q" } else { kind }
}
