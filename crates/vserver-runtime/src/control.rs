//! The words between a command and a guest's supervisor: one datagram each way on a unix socket that only root can open.
//!
//! A request is a memfd (an environment may be larger than a datagram) and descriptors beside it.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, connect, recvmsg,
    sendmsg, socket,
};
use serde::{Deserialize, Serialize};
use vserver_sys::fd;

use crate::settings::{Shown, StopOrders};

/// Longest request that is read, bytes: the kernel's limit for arguments and environment is about as large.
const MAX_REQUEST: u64 = 8 << 20;
/// Longest datagram.
const MAX_MESSAGE: usize = 16 << 10;
/// Most descriptors beside one message.
const MAX_FDS: usize = 24;

/// What a supervisor is asked to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Execute a command in the guest. Standard input, output and error follow as descriptors, as far as `passed` says.
    Exec {
        /// Program and arguments.
        argv: Vec<String>,
        /// The whole environment, `NAME=VALUE`.
        env: Vec<String>,
        /// A user of the guest; `None` is root.
        user: Option<String>,
        /// Which of the three standard descriptors are passed; the others are the guest's `/dev/null`.
        passed: [bool; 3],
        /// Behind the standard descriptors: a v2 cgroup directory to be born in.
        birthplace: bool,
        /// Behind that: so many `tasks` files of v1 cgroups to join.
        tasks: usize,
        /// On a new terminal of the guest.
        terminal: bool,
    },
    /// End the guest.
    Stop {
        /// Without giving it time.
        kill: bool,
        /// As the configuration is now; `None` leaves it as it was at start.
        orders: Option<Box<StopOrders>>,
    },
    /// End the guest, without giving it time, when this connection ends.
    Tie,
    /// Hold what follows as descriptors as long as the guest runs: with it wildcard sockets hear several addresses (`vserver_net`).
    Steer {
        /// Behind the first: a bell, and an iterator to be run when it rings.
        gathers: bool,
    },
    /// Show this of the host's network stack, or everything, from now on.
    Show {
        /// What.
        shown: Option<Shown>,
    },
    /// Say who you are.
    Hello,
}

/// What the supervisor answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The command runs. Its pidfd follows as a descriptor, and the terminal's master if one was asked for.
    Started {
        /// Its pid on the host.
        pid: i32,
    },
    /// The command, or the guest (for `stop`), ended with this status.
    Exited {
        /// Exit status.
        code: i32,
    },
    /// The command was ended by this signal.
    Signalled {
        /// Signal number.
        signal: i32,
    },
    /// The guest has ended; `killed` if it had to be.
    Ended {
        /// It did not end by itself in time.
        killed: bool,
    },
    /// The supervisor lives and has begun what was asked.
    Accepted,
    /// It was not done, for this reason.
    Refused {
        /// The whole sentence.
        reason: String,
    },
}

/// Connects to a supervisor's socket. The path may be longer than a socket address holds, so it is reached through its
/// directory's descriptor.
pub fn dial(path: &Path) -> io::Result<OwnedFd> {
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
    connect(socket.as_raw_fd(), &address(path)?.1)?;
    Ok(socket)
}

/// The address of `path` by way of its directory, which must be kept open while the address is used.
pub fn address(path: &Path) -> io::Result<(File, UnixAddr)> {
    let dir = File::open(path.parent().unwrap_or(Path::new("/")))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let address = UnixAddr::new(format!("/proc/self/fd/{}/{name}", dir.as_raw_fd()).as_str())?;
    Ok((dir, address))
}

/// Sends a request and the descriptors that belong to it.
pub fn send_request(socket: BorrowedFd<'_>, request: &Request, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let memory = memfd_create(c"vserver-request", MFdFlags::MFD_CLOEXEC)?;
    let mut file = File::from(memory);
    file.write_all(&serde_json::to_vec(request)?)?;
    let mut all = vec![file.as_fd()];
    all.extend_from_slice(fds);
    send(socket, b"request", &all)
}

/// The next request with its descriptors; `None` when the other side has closed.
pub fn receive_request(socket: BorrowedFd<'_>) -> io::Result<Option<(Request, Vec<OwnedFd>)>> {
    let Some((_, mut fds)) = receive(socket)? else {
        return Ok(None);
    };
    if fds.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a request without content"));
    }
    let mut file = File::from(fds.remove(0));
    file.rewind()?;
    let mut text = Vec::new();
    file.take(MAX_REQUEST).read_to_end(&mut text)?;
    Ok(Some((serde_json::from_slice(&text)?, fds)))
}

/// Sends an answer.
pub fn send_reply(socket: BorrowedFd<'_>, reply: &Reply, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    send(socket, &serde_json::to_vec(reply)?, fds)
}

/// The next answer with its descriptors; `None` when the supervisor is gone.
pub fn receive_reply(socket: BorrowedFd<'_>) -> io::Result<Option<(Reply, Vec<OwnedFd>)>> {
    match receive(socket)? {
        None => Ok(None),
        Some((text, fds)) => Ok(Some((serde_json::from_slice(&text)?, fds))),
    }
}

fn send(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let numbers: Vec<i32> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    let control: &[ControlMessage<'_>] = if numbers.is_empty() { &[] } else { &rights };
    let flags = MsgFlags::MSG_NOSIGNAL;
    sendmsg::<UnixAddr>(socket.as_raw_fd(), &[IoSlice::new(bytes)], control, flags, None)?;
    Ok(())
}

fn receive(socket: BorrowedFd<'_>) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    let mut bytes = vec![0; MAX_MESSAGE];
    let mut space = nix::cmsg_space!([i32; MAX_FDS]);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    let mut fds = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = control {
            for number in numbers {
                fds.push(fd::inherited(number)?);
            }
        }
    }
    let length = message.bytes;
    if length == 0 {
        return Ok(None);
    }
    bytes.truncate(length);
    Ok(Some((bytes, fds)))
}
