//! What the guest sees of the host's network stack, if it is to see only what is its own (`hide_netif`): its netlink sockets are
//! made in a shadow of the stack ([`vserver_net::shadow`]), which is made when the first one is asked for, lives as long as this
//! process and sockets in it, and is brought up to date by a child when one is asked for after something has changed on the host.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use vserver_net::{shadow, space};
use vserver_runtime::settings::Shown;
use vserver_sandbox::petition::netlink;
use vserver_sys::process::{self, Forked, SingleThreaded};
use vserver_sys::seccomp::Asked;

/// Most netlink sockets of a guest at a time: the kernel's memory for them, some 3 KB each, is not counted as the guest's.
const MOST: u32 = 4096;
/// They are counted whenever so many were given.
const UNCOUNTED: u32 = 128;

/// All that is known of it.
pub struct Interfaces {
    shown: Option<Shown>,
    shadow: Option<Shadow>,
}

struct Shadow {
    /// The namespace.
    space: OwnedFd,
    /// The host's, in which we are, and its number.
    own: OwnedFd,
    own_number: u64,
    /// Has something to say when that one has changed.
    changes: Option<OwnedFd>,
    /// Given since the last count, and whether there were too many then.
    given: u32,
    full: bool,
}

/// What becomes of a call.
pub enum Way {
    /// The kernel makes the socket: the caller sees the host's stack, or is in one of its own.
    ByKernel,
    /// The shadow shows what it should.
    Ready,
    /// It has to be brought up to date first.
    Stale,
}

impl Interfaces {
    /// Nothing is there before somebody asks.
    pub fn new(shown: Option<Shown>) -> Self {
        Self { shown, shadow: None }
    }

    /// From now on this is shown. True if the shadow has to follow.
    pub fn show(&mut self, shown: Option<Shown>) -> bool {
        let follows = self.shown != shown && shown.is_some();
        self.shown = shown;
        let shadow = self.shadow.as_mut().filter(|_| follows);
        shadow.map(|shadow| shadow.changes = None).is_some()
    }

    /// What is to be done about a call. The first one makes the namespace.
    pub fn way(&mut self, asked: &Asked) -> io::Result<Way> {
        if self.shown.is_none() {
            return Ok(Way::ByKernel);
        }
        let shadow = match &mut self.shadow {
            Some(shadow) => shadow,
            none => none.insert(Shadow::new()?),
        };
        if netlink::network_of(Some(asked.pid))? != shadow.own_number {
            return Ok(Way::ByKernel);
        }
        Ok(if shadow.is_stale() { Way::Stale } else { Way::Ready })
    }

    /// Makes the socket in the shadow as it is.
    pub fn make(&mut self, base: u32, asked: &Asked) -> io::Result<OwnedFd> {
        let Some(shadow) = &mut self.shadow else { return Err(io::ErrorKind::NotFound.into()) };
        let counts = shadow.full || shadow.given >= UNCOUNTED;
        let (made, count) = shadow::within(shadow.space.as_fd(), shadow.own.as_fd(), || {
            let count = if counts { Some(sockets_here()?) } else { None };
            Ok((netlink::make(base, asked), count))
        })?;
        shadow.given = if counts { 0 } else { shadow.given + 1 };
        shadow.full = count.map_or(shadow.full, |count| count > MOST);
        if shadow.full { Err(nix::errno::Errno::ENFILE.into()) } else { made }
    }

    /// Forks a child that brings the shadow up to date, and then does `last` in it. What changes on the host from now on is
    /// noticed.
    pub fn follow(&mut self, token: SingleThreaded, last: impl FnOnce() -> io::Result<()>) -> io::Result<i32> {
        let (Some(shadow), Some(shown)) = (&mut self.shadow, &self.shown) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        shadow.changes = Some(shadow::changes()?);
        match process::fork(token, 0)? {
            Forked::Parent(pid) => Ok(pid),
            Forked::Child => {
                let done = shadow::follow(shadow.space.as_fd(), &shown.addresses, shown.localhost);
                process::exit_now(i32::from(done.and_then(|()| last()).is_err()))
            }
        }
    }

    /// The child could not: the next call tries again.
    pub fn failed(&mut self) {
        self.shadow.iter_mut().for_each(|shadow| shadow.changes = None);
    }
}

impl Shadow {
    fn new() -> io::Result<Self> {
        let own = space::own_space()?;
        let own_number = netlink::network_of(None)?;
        Ok(Self { space: shadow::make(own.as_fd())?, own, own_number, changes: None, given: 0, full: false })
    }

    fn is_stale(&self) -> bool {
        self.changes.as_ref().is_none_or(|changes| {
            let mut watched = [PollFd::new(changes.as_fd(), PollFlags::POLLIN)];
            poll(&mut watched, PollTimeout::ZERO) != Ok(0)
        })
    }
}

/// How many netlink sockets the network namespace has that we are in.
fn sockets_here() -> io::Result<u32> {
    let text = fs::read_to_string("/proc/thread-self/net/protocols")?;
    Ok(count(&text).unwrap_or(0))
}

fn count(protocols: &str) -> Option<u32> {
    let line = protocols.lines().find(|line| line.starts_with("NETLINK "))?;
    line.split_whitespace().nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn netlink_sockets_are_counted() {
        let text = "protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de sh ss gs se re sp bi br ha uh gp em\n\
                    NETLINK   1112     17      -1   NI       0   no   kernel      n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n\n";
        assert_eq!(count(text), Some(17));
        assert_eq!(count(""), None);
    }
}
