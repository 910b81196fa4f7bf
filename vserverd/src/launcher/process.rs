//! The launcher itself: forks a child for each order and buries it.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::socket::{MsgFlags, recv, send};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::setsid;
use vserver_api::{Code, Refusal};
use vserver_runtime::Host;
use vserver_sys::process::{self, Forked, SingleThreaded};

use super::{MAX_MESSAGE, Order, Outcome, Report, work};

/// How often ended children are looked for while there are any, ms. Their outcomes do not wait for it.
const ROUNDS: u16 = 200;

/// Serves orders until the daemon's end of `socket` is closed, whatever closed it. Children that are at work then go on:
/// half a start would help nobody.
pub fn run(host: &Host, socket: &OwnedFd, token: SingleThreaded) -> ! {
    // Ctrl-C at the daemon's terminal is for the daemon: here it would undo starts. A forked child can always do this.
    setsid().ok();
    // A name for `ps`; it serves no other purpose.
    prctl::set_name(c"vserverd-launch").ok();
    let mut children = HashMap::new();
    loop {
        let timeout = if children.is_empty() { PollTimeout::NONE } else { ROUNDS.into() };
        let mut watched = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        let polled = poll(&mut watched, timeout);
        bury(socket, &mut children);
        match polled {
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(_) => process::exit_now(1),
        }
        match next_order(socket) {
            Some(Order { id, task }) => match process::fork(token, 0) {
                Ok(Forked::Parent(pid)) => {
                    children.insert(pid, id);
                }
                Ok(Forked::Child) => {
                    let told = tell(socket, id, work::run(host, &task));
                    process::exit_now(if told { 0 } else { 1 });
                }
                Err(error) => {
                    tell(socket, id, failure(format!("the launcher cannot fork: {error}")));
                }
            },
            None => process::exit_now(0),
        }
    }
}

fn next_order(socket: &OwnedFd) -> Option<Order> {
    let mut buffer = vec![0; MAX_MESSAGE];
    let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()).ok()?;
    serde_json::from_slice(buffer.get(..length)?).ok()
}

/// Sends an outcome. The daemon may be gone, and then nobody wants it.
fn tell(socket: &OwnedFd, id: u64, outcome: Outcome) -> bool {
    let Ok(bytes) = serde_json::to_vec(&Report { id, outcome }) else {
        return false;
    };
    send(socket.as_raw_fd(), &bytes, MsgFlags::MSG_NOSIGNAL).is_ok()
}

/// Takes notice of ended children; one that could not tell its outcome has failed.
fn bury(socket: &OwnedFd, children: &mut HashMap<i32, u64>) {
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        let (pid, how) = match status {
            WaitStatus::Exited(pid, 0) => (pid, None),
            WaitStatus::Exited(pid, code) => (pid, Some(format!("ended with status {code}"))),
            WaitStatus::Signaled(pid, signal, _) => (pid, Some(format!("was ended by {signal}"))),
            _ => return,
        };
        if let (Some(id), Some(how)) = (children.remove(&pid.as_raw()), how) {
            tell(socket, id, failure(format!("the process that was doing it {how}; see the guest's status")));
        }
    }
}

fn failure(reason: String) -> Outcome {
    Outcome::Refused(Refusal::new(Code::Internal, reason))
}
