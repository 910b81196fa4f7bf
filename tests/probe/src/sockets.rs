//! Sockets: what kinds a guest can open, and with which addresses.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener, UnixStream};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, sendto};

use crate::answer::{Answer, call, call_fd, number};
use crate::{Check, check, with};

pub const CHECKS: &[Check] = &[
    with("K19", "socket", "FAMILY TYPE PROTOCOL", |args| {
        socket(number(args, 0, 0), number(args, 1, 0), number(args, 2, 0))
    }),
    with("D16", "many_sockets", "COUNT", many),
    with("D16", "many_unix", "COUNT", many_unix),
    with("D16", "many_accepted", "COUNT", many_accepted),
    check("K19", "af_alg", |_| socket(38, 5, 0)),
    check("K20", "af_vsock", |_| socket(40, 1, 0)),
    check("K21", "af_packet", |_| socket(17, 3, 0)),
    check("K21", "sock_packet", |_| socket(2, 10, 768)),
    check("K22", "af_rxrpc", |_| socket(33, 2, 2)),
    check("K22", "af_key", |_| socket(15, 3, 2)),
    check("K22", "netlink_xfrm", |_| netlink(6)),
    check("K23", "netlink_netfilter", |_| netlink(12)),
    check("K27", "int80_vsock", |_| i386::vsock()),
    check("K27", "int80_getpid", |_| i386::getpid()),
    check("K27", "x32_getpid", |_| call(0x4000_0000 | 39, &[]).into()),
    check("K28", "netlink_uevent", |_| netlink(15)),
    check("K30", "netlink_audit", |_| netlink(9)),
    with("K30", "netlink", "PROTOCOL", |args| netlink(number(args, 0, 0))),
    check("K03", "socket_sweep", |_| sweep()),
    check("N19", "sctp", |_| socket(2, 1, 132)),
    check("N19", "smc", |_| socket(2, 1, 256)),
    check("N19", "mptcp", |_| socket(2, 1, 262)),
    check("N03", "raw_icmp", |_| socket(2, 3, 1)),
    with("N10", "ping_from", "ADDRESS", ping_from),
    with("N10", "raw_send", "ADDRESS TYPE", raw_send),
    with("N10", "header_included", "", |_| header_included()),
    with("E05", "abstract_listen", "NAME [SECONDS]", abstract_listen),
    with("E05", "abstract_connect", "NAME", abstract_connect),
    with("N01", "bind", "ADDRESS PORT [udp]", bind),
    with("N02", "connect", "ADDRESS PORT [udp]", connect),
];

fn socket(family: i64, kind: i64, protocol: i64) -> Answer {
    call_fd(libc::SYS_socket, &[family, kind, protocol])
}

/// So many at a time, of every kind that is counted: how many there were, and why there are no more.
fn many(args: &[String]) -> Answer {
    as_many(args, &[(2, 1, 0), (2, 2, 0), (10, 1, 0), (10, 2, 0)])
}

/// The same of these families, types and protocols in turn.
pub fn as_many(args: &[String], kinds: &[(i64, i64, i64)]) -> Answer {
    let mut fds = Vec::new();
    let made = |(family, kind, protocol): &(i64, i64, i64)| call(libc::SYS_socket, &[*family, *kind, *protocol]);
    let mut made = kinds.iter().cycle().map(made);
    let failure = made.by_ref().take(usize::try_from(number(args, 0, 1)).unwrap_or(1)).find_map(|fd| match fd {
        Ok(fd) => {
            fds.push(fd);
            None
        }
        Err(errno) => Some(errno),
    });
    let answer: Answer = failure.map_or(Ok(()), Err).into();
    let text = format!("{} {answer}", fds.len());
    for fd in fds {
        let _ = call(libc::SYS_close, &[fd]);
    }
    Answer::Text(text)
}

fn many_unix(args: &[String]) -> Answer {
    (0..number(args, 0, 1)).map(|_| UnixStream::pair()).collect::<Result<Vec<_>, _>>().into()
}

/// So many connections that are accepted and kept, with a client that ends at once.
fn many_accepted(args: &[String]) -> Answer {
    let all = || {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut kept = Vec::new();
        for _ in 0..number(args, 0, 1) {
            let client = TcpStream::connect(listener.local_addr()?)?;
            kept.push(listener.accept()?);
            drop(client);
        }
        Ok::<_, std::io::Error>(())
    };
    all().into()
}

fn netlink(protocol: i64) -> Answer {
    socket(16, 3, protocol)
}

/// Every family with every type, which makes a kernel load their modules: the families that opened.
fn sweep() -> Answer {
    let opens = |family: &i64| (1..=6).any(|kind| matches!(socket(*family, kind, 0), Answer::Ok));
    let families: Vec<String> = (0..300).filter(opens).map(|family: i64| family.to_string()).collect();
    Answer::Text(families.join(","))
}

/// Sends one ICMP packet of that type by a raw socket.
fn raw_send(args: &[String]) -> Answer {
    let Some(address) = args.first().and_then(|text| text.parse::<Ipv4Addr>().ok()) else {
        return Answer::Refused(Errno::EINVAL);
    };
    let address = SockaddrIn::from(SocketAddrV4::new(address, 0));
    let mut packet = [0_u8; 16];
    packet[0] = number(args, 1, 8) as u8;
    // The checksum of a packet that is zero but for its first byte.
    packet[2] = !packet[0];
    packet[3] = 0xff;
    raw_icmp().and_then(|raw| sendto(raw.as_raw_fd(), &packet, &address, MsgFlags::empty())).into()
}

/// The source of a ping socket that nobody bound, once its echo request has got an answer.
fn ping_from(args: &[String]) -> Answer {
    let Some(address) = args.first().and_then(|text| text.parse::<Ipv4Addr>().ok()) else {
        return Answer::Refused(Errno::EINVAL);
    };
    let kind = SockType::Datagram;
    let ping = nix::sys::socket::socket(AddressFamily::Inet, kind, SockFlag::empty(), SockProtocol::Icmp);
    let answered = ping.map_err(std::io::Error::from).and_then(|ping| {
        let ping = UdpSocket::from(ping);
        ping.set_read_timeout(Some(Duration::from_secs(5)))?;
        ping.send_to(&[8, 0, 0, 0, 0, 0, 0, 1], (address, 0))?;
        ping.recv_from(&mut [0; 64])?;
        let source = ping.local_addr()?.ip();
        Ok(SocketAddr::new(source, 0))
    });
    named(answered)
}

fn header_included() -> Answer {
    let on: i32 = 1;
    raw_icmp()
        .and_then(|raw| call(libc::SYS_setsockopt, &[raw.as_raw_fd().into(), 0, 3, (&raw const on) as i64, 4]))
        .into()
}

fn raw_icmp() -> nix::Result<std::os::fd::OwnedFd> {
    nix::sys::socket::socket(AddressFamily::Inet, SockType::Raw, SockFlag::empty(), SockProtocol::Icmp)
}

fn abstract_address(args: &[String]) -> std::io::Result<UnixAddress> {
    UnixAddress::from_abstract_name(args.first().map_or("probe", String::as_str))
}

/// Says OK as soon as it listens, and goes on for 30 seconds or as many as asked for.
fn abstract_listen(args: &[String]) -> Answer {
    match abstract_address(args).and_then(|address| UnixListener::bind_addr(&address)) {
        Err(error) => Err::<(), _>(error).into(),
        Ok(listener) => {
            println!("LISTENING");
            let _ = std::io::stdout().flush();
            std::thread::sleep(Duration::from_secs(number(args, 1, 30).unsigned_abs()));
            drop(listener);
            Answer::Ok
        }
    }
}

fn abstract_connect(args: &[String]) -> Answer {
    abstract_address(args).and_then(|address| UnixStream::connect_addr(&address)).into()
}

fn endpoint(args: &[String]) -> Option<(SocketAddr, bool)> {
    let address: IpAddr = args.first()?.parse().ok()?;
    let port = u16::try_from(number(args, 1, 0)).ok()?;
    Some((SocketAddr::new(address, port), args.get(2).is_some_and(|word| word == "udp")))
}

/// The address that the socket then has, if it could be bound.
fn bind(args: &[String]) -> Answer {
    let bound = match endpoint(args) {
        None => return Answer::Refused(Errno::EINVAL),
        Some((address, true)) => UdpSocket::bind(address).and_then(|socket| socket.local_addr()),
        Some((address, false)) => TcpListener::bind(address).and_then(|socket| socket.local_addr()),
    };
    named(bound)
}

/// The source address that the connection then has.
fn connect(args: &[String]) -> Answer {
    let timeout = Duration::from_secs(3);
    let source = match endpoint(args) {
        None => return Answer::Refused(Errno::EINVAL),
        Some((address, true)) => {
            let any: IpAddr = if address.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
            UdpSocket::bind((any, 0)).and_then(|socket| socket.connect(address).and_then(|()| socket.local_addr()))
        }
        Some((address, false)) => TcpStream::connect_timeout(&address, timeout).and_then(|s| s.local_addr()),
    };
    named(source)
}

fn named(address: std::io::Result<SocketAddr>) -> Answer {
    match address {
        Ok(address) => Answer::Text(format!("OK {address}")),
        Err(error) => Err::<(), _>(error).into(),
    }
}

/// The door of 32-bit programs, from a 64-bit one.
#[cfg(target_arch = "x86_64")]
mod i386 {
    use nix::errno::Errno;

    use crate::answer::Answer;
    use crate::processes::answer_of_child;

    const GETPID: u32 = 20;
    const SOCKETCALL: u32 = 102;

    /// In a child, because a kernel without the emulation kills the caller.
    pub fn getpid() -> Answer {
        answer_of_child(|| int80(GETPID, 0, 0))
    }

    /// socketcall(SYS_SOCKET, {AF_VSOCK, SOCK_STREAM, 0}): the family stands in memory, out of a filter's sight.
    pub fn vsock() -> Answer {
        answer_of_child(|| {
            // SAFETY: a new anonymous mapping of one page, below 4 GiB so that a 32-bit call can name it.
            let page = unsafe {
                let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
                libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)
            };
            if page == libc::MAP_FAILED {
                return Err(Errno::last());
            }
            // SAFETY: the page is mapped, writable, aligned and nobody else's.
            unsafe { page.cast::<[u32; 3]>().write([40, 1, 0]) };
            int80(SOCKETCALL, 1, u32::try_from(page as usize).unwrap_or(0))
        })
    }

    fn int80(number: u32, first: u32, second: u32) -> Result<(), Errno> {
        let mut result = i64::from(number);
        // SAFETY: rbx, which the compiler keeps for itself, is exchanged and restored; the call clobbers r8 to r11; the
        // second argument is 0 or a live page of the caller's.
        unsafe {
            std::arch::asm!(
                "xchg rbx, {first:r}",
                "int 0x80",
                "xchg rbx, {first:r}",
                first = inout(reg) u64::from(first) => _,
                inout("rax") result,
                in("rcx") u64::from(second),
                in("rdx") 0_u64,
                out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            );
        }
        // A 32-bit result in a 64-bit register.
        match result as i32 {
            error @ -4095..=-1 => Err(Errno::from_raw(-error)),
            _ => Ok(()),
        }
    }
}

/// Only x86 has it.
#[cfg(not(target_arch = "x86_64"))]
mod i386 {
    use nix::errno::Errno;

    use crate::answer::Answer;

    pub fn getpid() -> Answer {
        Answer::Refused(Errno::ENOSYS)
    }
    pub use getpid as vsock;
}
