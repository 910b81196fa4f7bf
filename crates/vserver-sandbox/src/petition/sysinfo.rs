//! sysinfo(2) of a guest whose memory or load is its own (`virt_mem`, `virt_load`): the server of its own `/proc` says what, and
//! the helper writes that to the caller. Where nobody says anything the kernel answers, and tells of the host.

use nix::errno::Errno;
use nix::sys::uio::pread;
use vserver_sys::seccomp::{Answer, Asked};

use super::Guest;
use super::memory::write;

/// Bytes of `struct sysinfo` on 64-bit machines; calls of other programs are unknown to the policy.
const LENGTH: usize = 112;

/// Answers.
pub(super) fn tell(guest: &Guest<'_>, asked: &Asked) -> Answer {
    let Some(source) = guest.sysinfo else { return Answer::GoOn };
    let mut bytes = [0; LENGTH];
    if pread(source, &mut bytes, 0) != Ok(LENGTH) {
        return Answer::GoOn;
    }
    match write(asked.pid, asked.arguments[0], &bytes) {
        Ok(()) => Answer::Done,
        Err(Errno::EFAULT) => Answer::Failed(Errno::EFAULT as i32),
        Err(_) => Answer::GoOn,
    }
}
