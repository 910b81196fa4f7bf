//! What rtnetlink tells and lets a guest do. rtnetlink(7).

use std::collections::BTreeSet;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nameindex;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, socket,
};

use crate::answer::{Answer, call, number};
use crate::{Check, check, with};

pub const CHECKS: &[Check] = &[
    with("N09", "shown", "", |_| shown()),
    with("N09", "watch_addresses", "COUNT", watch),
    check("N09", "sock_diag", |_| diag()),
    check("N12", "rtnetlink_newaddr", |_| ask(20, &[2, 8, 0, 0, 1, 0, 0, 0, 8, 0, 2, 0, 10, 9, 8, 7])),
    check("N12", "rtnetlink_setlink", |_| ask(19, &[0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0])),
    check("N12", "rtnetlink_newlink", |_| ask(16, &[0; 16])),
    check("N09", "namespace_of_netlink", |_| namespace_of()),
    with("N09", "flood_netlink", "COUNT", flood),
    with("N09", "hold_netlink", "COUNT", hold),
];

fn open(groups: u32) -> Result<OwnedFd, Errno> {
    let made = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    bind(made.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
    Ok(made)
}

/// Devices with their numbers, and addresses with their devices, as the C library finds them.
fn shown() -> Answer {
    let (Ok(devices), Ok(addresses)) = (if_nameindex(), getifaddrs()) else {
        return Answer::Text("unknown".to_owned());
    };
    let devices = devices.iter().map(|one| format!("{}:{}", one.index(), one.name().to_string_lossy()));
    let addresses = addresses.filter_map(|one| {
        let address = one.address?;
        let ip = match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
            (Some(four), _) => four.ip().to_string(),
            (_, Some(six)) => six.ip().to_string(),
            _ => return None,
        };
        Some(format!("{ip}@{}", one.interface_name))
    });
    // Each once, and in order.
    let all: BTreeSet<String> = devices.chain(addresses).collect();
    Answer::Text(all.into_iter().collect::<Vec<_>>().join(" "))
}

/// Says `ready`, then what it hears of IPv4 addresses, a line each, so many, on one socket.
fn watch(args: &[String]) -> Answer {
    const IPV4_ADDRESSES: u32 = 0x10;
    let heard = match open(IPV4_ADDRESSES) {
        Ok(heard) => heard,
        Err(errno) => return Answer::Refused(errno),
    };
    println!("ready");
    let end = Instant::now() + Duration::from_secs(60);
    for _ in 0..number(args, 0, 1) {
        let left = end.saturating_duration_since(Instant::now());
        let time = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut watched = [PollFd::new(std::os::fd::AsFd::as_fd(&heard), PollFlags::POLLIN)];
        let mut buffer = [0; 8192];
        if poll(&mut watched, time) != Ok(1) {
            return Answer::Text("silence".to_owned());
        }
        let length = recv(heard.as_raw_fd(), &mut buffer, MsgFlags::empty()).unwrap_or(0);
        let address = buffer[..length].get(28..32).unwrap_or_default();
        println!("{} {address:?}", if buffer[4] == 20 { "new" } else { "gone" });
    }
    Answer::Ok
}

/// One request with the kernel's answer to it.
fn ask(kind: u16, body: &[u8]) -> Answer {
    const REQUEST_ACK_CREATE: u16 = 0x405;
    let mut message = Vec::new();
    message.extend((16 + body.len() as u32).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(REQUEST_ACK_CREATE.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    let asked = || {
        let kernel = open(0)?;
        send(kernel.as_raw_fd(), &message, MsgFlags::empty())?;
        let mut answer = [0; 4096];
        recv(kernel.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        match i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]) {
            0 => Ok(()),
            errno => Err(Errno::from_raw(-errno)),
        }
    };
    asked().into()
}

fn diag() -> Answer {
    const SOCK_DIAG: i64 = 4;
    call(libc::SYS_socket, &[16, 3, SOCK_DIAG]).into()
}

/// The namespace that a socket was made in, as a descriptor.
fn namespace_of() -> Answer {
    const SIOCGSKNS: i64 = 0x894c;
    match open(0) {
        Ok(made) => call(libc::SYS_ioctl, &[i64::from(made.as_raw_fd()), SIOCGSKNS]).into(),
        Err(errno) => Answer::Refused(errno),
    }
}

/// So many, one after the other: how many of them were refused.
fn flood(args: &[String]) -> Answer {
    let refused = (0..number(args, 0, 1)).filter(|_| open(0).is_err()).count();
    Answer::Text(format!("{refused} refused"))
}

/// So many at a time: how many there were, and why there are no more.
fn hold(args: &[String]) -> Answer {
    let mut all = Vec::new();
    for _ in 0..number(args, 0, 1) {
        match open(0) {
            Ok(made) => all.push(made),
            Err(errno) => return Answer::Text(format!("{} {errno:?}", all.len())),
        }
    }
    Answer::Text(format!("{} OK", all.len()))
}
