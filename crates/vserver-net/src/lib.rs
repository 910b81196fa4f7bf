//! Addresses of guests: who may use which, and which device carries them.
//!
//! A guest shares the host's network stack, so it pays for no virtual link, no bridge and no translation. What makes
//! the stack look like its own are programs that the kernel runs for the sockets of its cgroup ([`confine()`]):
//!
//! | a guest does | it gets |
//! |---|---|
//! | bind `0.0.0.0` | its first address; a TCP or UDP socket there hears the others as well |
//! | bind or reach `127.0.0.1` | itself, through a private loopback address ([`private_loopback`]) that it never sees |
//! | bind another's address | `EADDRNOTAVAIL` |
//! | reach another's loopback, or the host's | `ECONNREFUSED` |
//! | connect or send without bind | its first address as source |
//! | bind a low port in a user namespace | the port, if the policy says so |
//! | forge a source, listen without bind | packets that are dropped |
//! | bind `::` | its IPv4 address if the socket is dual-stack, else its IPv6 address, else a socket that hears nothing; a TCP or UDP socket there hears the others as well |
//! | bind or reach `::1` | `EADDRNOTAVAIL`, `ECONNREFUSED` (without IPv6 address `ENETUNREACH`): programs try 127.0.0.1 next |
//!
//! The kernel is asked at `socket`, `bind`, `connect`, `sendmsg` and at each packet; see the files of `program/`. The
//! rules belong to the guest's directory in the cgroup v2 hierarchy. Without such a hierarchy a guest must not start.
//!
//! Addresses are put on the host's devices by [`add_address`] and taken off by [`remove_address`], through rtnetlink.

mod confine;
mod device;
mod error;
pub mod guard;
mod meter;
mod policy;
mod program;
mod resettle;
pub mod shadow;
mod sockets;
pub mod space;
mod steering;
mod wildcards;

pub use confine::{Confined, Place, Programs, confine};
pub use device::{
    Added, AddressPlan, Broadcast, Standing, TUN_NODE, TunPlan, add_address, add_tun, add_vlan, addresses_on_host,
    change_tun, has_device, remove_address, remove_device, settle, tuns_of_nobody,
};
pub use error::{Error, module};
pub use meter::Meter;
pub use policy::{AddressPolicy, Localhost, private_loopback};
pub use resettle::resettle;
pub use sockets::{SocketCount, Sockets};
pub use steering::{Gathering, Held, Steer};
