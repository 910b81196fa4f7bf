//! What is done for a guest with several addresses: when a datagram socket was bound, the kernel is let look through all of
//! them, which enters the new one for all addresses of the guest. See `vserver_net`. The keeper does it besides waiting;
//! for a guest that got its second address while it runs, the supervisor.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use vserver_runtime::settings::fds;
use vserver_sys::bpf::{Bell, iter_run};
use vserver_sys::{fd, pidfd};

/// How long it is deaf afterwards, in milliseconds: a guest that does nothing but bind costs its host a little of one
/// processor. The first bind after a silence is heard at once.
const PAUSE: u8 = 10;

/// Returns when the process has ended, which its parent has not waited for yet.
pub fn until_the_end_of(supervisor: i32) -> io::Result<()> {
    let supervisor = pidfd::open(supervisor)?;
    let (bell, iterator) = (Bell::listen(fd::inherited(fds::BELL)?)?, fd::inherited(fds::ITERATOR)?);
    let ended = |events: &PollFd<'_>| events.any().unwrap_or(false);
    loop {
        let end = || PollFd::new(supervisor.as_fd(), PollFlags::POLLIN);
        let mut watched = [end(), PollFd::new(bell.as_fd(), PollFlags::POLLIN)];
        wait(&mut watched, PollTimeout::NONE)?;
        if ended(&watched[0]) {
            return Ok(());
        }
        bell.silence();
        iter_run(iterator.as_fd())?;
        wait(&mut [end()], PollTimeout::from(PAUSE))?;
    }
}

/// What the supervisor holds and serves, if it was given it.
pub struct Steering {
    _link: OwnedFd,
    gathering: Option<(Bell, OwnedFd)>,
    /// Deaf until then.
    until: Option<Instant>,
}

impl Steering {
    /// The descriptors of a request.
    pub fn take(fds: Vec<OwnedFd>, gathers: bool) -> io::Result<Self> {
        let mut fds = fds.into_iter();
        let mut next = || fds.next().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput));
        let link = next()?;
        let gathering = if gathers { Some((Bell::listen(next()?)?, next()?)) } else { None };
        Ok(Self { _link: link, gathering, until: None })
    }

    /// For poll, unless it is deaf.
    pub fn bell(&self) -> Option<BorrowedFd<'_>> {
        let (bell, _) = self.gathering.as_ref()?;
        self.until.is_none().then(|| bell.as_fd())
    }

    /// Does what the bell calls for, and returns how long it is going to be deaf. What the kernel cannot do now it is asked for
    /// at the next ring.
    pub fn serve(&mut self) -> Option<Duration> {
        let (bell, iterator) = self.gathering.as_ref()?;
        let now = Instant::now();
        if let Some(left) =
            self.until.map(|until| until.saturating_duration_since(now)).filter(|left| !left.is_zero())
        {
            return Some(left);
        }
        self.until = None;
        let mut watched = [PollFd::new(bell.as_fd(), PollFlags::POLLIN)];
        wait(&mut watched, PollTimeout::ZERO).ok()?;
        if !watched[0].any().unwrap_or(false) {
            return None;
        }
        bell.silence();
        iter_run(iterator.as_fd()).ok();
        let pause = Duration::from_millis(u64::from(PAUSE));
        self.until = Some(now + pause);
        Some(pause)
    }
}

fn wait(watched: &mut [PollFd<'_>], time: PollTimeout) -> io::Result<()> {
    match poll(watched, time) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
