//! The texts, and where they are from.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use vserver_net::{shadow, space};
use vserver_runtime::settings::Shown;
use vserver_sandbox::petition::netlink::network_of;

use super::names::{self, Kind, Name};
use super::owner::Owner;
use super::table;

/// The host's stack, as the guest sees it.
pub struct Stack {
    owner: Owner,
    shown: Option<Shown>,
    names: Vec<Name>,
    /// The host's network namespace, in which we are, and its number.
    own: OwnedFd,
    own_number: u64,
    shadow: Option<Shadow>,
}

struct Shadow {
    space: OwnedFd,
    /// Has something to say when the host's namespace has changed.
    changes: Option<OwnedFd>,
}

impl Stack {
    /// Without `shown` nothing is hidden.
    pub fn new(owner: Owner, shown: Option<Shown>) -> io::Result<Self> {
        let (own, own_number) = (space::own_space()?, network_of(None)?);
        Ok(Self { owner, shown, names: names::here(), own, own_number, shadow: None })
    }

    /// The files.
    pub fn names(&self) -> &[Name] {
        &self.names
    }

    /// The network namespace in which a thread is, unless it is the host's.
    pub fn elsewhere(&self, thread: i32) -> bool {
        // One that has gone waits for no answer.
        network_of(Some(thread)).is_ok_and(|number| number != self.own_number)
    }

    /// The text of a file for a thread: the tables of its own network namespace if it is `elsewhere`.
    pub fn text(&mut self, Name { name, kind }: Name, thread: i32, elsewhere: bool) -> io::Result<Vec<u8>> {
        let all = elsewhere || self.shown.is_none();
        let path =
            if elsewhere { format!("/proc/{thread}/net/{name}") } else { format!("/proc/thread-self/net/{name}") };
        Ok(match kind {
            Kind::Shadow if !all => self.of_shadow(&path)?,
            Kind::Shadow => fs::read(path)?,
            Kind::Inet => table::inet(&read(&path)?, &mut self.owner.judge(all)).into(),
            Kind::Local { inode, uid } => {
                table::local(&read(&path)?, (inode, uid), &mut self.owner.judge(all)).into()
            }
        })
    }

    fn of_shadow(&mut self, path: &str) -> io::Result<Vec<u8>> {
        let Some(shown) = &self.shown else { return Err(io::ErrorKind::NotFound.into()) };
        let shadow = match &mut self.shadow {
            Some(shadow) => shadow,
            none => none.insert(Shadow { space: shadow::make(self.own.as_fd())?, changes: None }),
        };
        if shadow.is_stale() {
            // What changes from now on is noticed.
            shadow.changes = Some(shadow::changes()?);
            let followed = shadow::follow(shadow.space.as_fd(), &shown.addresses, shown.localhost);
            if let Err(error) = followed {
                shadow.changes = None;
                shadow::within(shadow.space.as_fd(), self.own.as_fd(), || Ok(()))?;
                return Err(error);
            }
        }
        shadow::within(shadow.space.as_fd(), self.own.as_fd(), || fs::read(path))
    }
}

impl Shadow {
    fn is_stale(&self) -> bool {
        self.changes.as_ref().is_none_or(|changes| {
            let mut watched = [PollFd::new(changes.as_fd(), PollFlags::POLLIN)];
            poll(&mut watched, PollTimeout::ZERO) != Ok(0)
        })
    }
}

/// Names of sockets may be any bytes.
fn read(path: &str) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}
