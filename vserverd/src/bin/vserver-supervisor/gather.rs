//! What the keeper of a guest with several addresses does besides waiting: when a datagram socket was bound, it lets the
//! kernel look through all of them, which enters the new one for all addresses of the guest. See `vserver_net`.

use std::io;
use std::os::fd::AsFd;

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

fn wait(watched: &mut [PollFd<'_>], time: PollTimeout) -> io::Result<()> {
    match poll(watched, time) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
