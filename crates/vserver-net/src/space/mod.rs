//! Network namespaces: made, entered for the time of one piece of work, and furnished with links and routes.

mod bridge;
mod link;
mod route;

pub use bridge::{
    VLANS, can_filter_vlans, filters_vlans, is_a_port, let_all_vlans_pass, make_bridge, ports_of, put_in_vlans,
};
pub use link::{
    Child, Link, Mode, can_make, give_pair, has_kind, mac_of, move_to, mtu_of, plug, put_child, set_up,
    set_up_as_a_wire,
};
pub use route::add_route;

use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use nix::sched::{CloneFlags, setns, unshare};

/// A new network namespace that belongs to the caller's user namespace; it lives as long as somebody holds it.
/// network_namespaces(7). The caller stays where it is.
pub fn new_space() -> io::Result<OwnedFd> {
    on_a_thread(|| {
        unshare(CloneFlags::CLONE_NEWNET)?;
        own_space()
    })
}

/// The network namespace of the calling thread.
pub fn own_space() -> io::Result<OwnedFd> {
    File::open("/proc/thread-self/ns/net").map(OwnedFd::from)
}

/// Does `work` in the namespace `space`, on a thread of its own: the caller stays where it is, whatever happens.
///
/// # Errors
/// The kernel does not let the caller in: `EPERM` without CAP_SYS_ADMIN over it.
pub fn within<T: Send>(space: BorrowedFd<'_>, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    on_a_thread(|| {
        setns(space, CloneFlags::CLONE_NEWNET)?;
        Ok(work())
    })
}

fn on_a_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    let done = std::thread::scope(|scope| scope.spawn(work).join());
    done.unwrap_or_else(|_| Err(io::Error::other("the thread that works in the network namespace panicked")))
}
