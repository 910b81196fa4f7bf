//! What this program does inside a guest: it is static, so a test copies it there.

use std::io::{self, Read, Write};
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::{Command, ExitCode};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, SockaddrIn6, bind, listen, setsockopt, socket, sockopt,
};

/// First argument: map and touch so many bytes, then run a program, if one is named.
pub const ALLOCATE: &str = "--allocate";

/// First argument: fetch `/` by HTTP from an address and port.
pub const GET: &str = "--get";

/// First argument: ask the daemon at a socket for its list.
pub const ASK: &str = "--ask";

/// First argument: send every datagram to an address and port back, for a minute.
pub const ECHO: &str = "--echo";

/// The same over UDP-Lite.
pub const ECHO_LITE: &str = "--echo-lite";

/// First argument: listen at this port of `::`, for IPv6 alone, and accept for a minute.
pub const LISTEN6: &str = "--listen6";

/// Only argument: be a first process that listens to SIGINT after a second.
pub const LATE_INIT: &str = "--late-init";

/// Says where the socket is bound, then serves.
pub fn echo(address: &str) -> ExitCode {
    send_back(&UdpSocket::bind(address).unwrap())
}

/// The same over UDP-Lite.
pub fn echo_lite(address: &str) -> ExitCode {
    send_back(&udplite(address.parse().unwrap()).unwrap())
}

/// A socket of UDP-Lite that is bound.
pub fn udplite(address: SocketAddr) -> io::Result<UdpSocket> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = vserver_sys::socket::udplite(family as i32, SockFlag::SOCK_CLOEXEC.bits())?;
    match address {
        SocketAddr::V4(four) => bind(socket.as_raw_fd(), &SockaddrIn::from(four))?,
        SocketAddr::V6(six) => bind(socket.as_raw_fd(), &SockaddrIn6::from(six))?,
    }
    Ok(socket.into())
}

fn send_back(socket: &UdpSocket) -> ExitCode {
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    println!("{}", socket.local_addr().unwrap());
    let mut buffer = [0; 2048];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        socket.send_to(&buffer[..length], from).ok();
    }
    ExitCode::SUCCESS
}

/// As servers with a socket for each family do.
pub fn listen6(port: &str) -> ExitCode {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Inet6, SockType::Stream, flags, None).unwrap();
    setsockopt(&socket, sockopt::Ipv6V6Only, &true).unwrap();
    let all = SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port.parse().unwrap(), 0, 0);
    bind(socket.as_raw_fd(), &SockaddrIn6::from(all)).unwrap();
    listen(&socket, Backlog::new(8).unwrap()).unwrap();
    let patience = std::time::Instant::now() + Duration::from_secs(60);
    let listener = TcpListener::from(socket);
    listener.set_nonblocking(true).unwrap();
    while std::time::Instant::now() < patience {
        drop(listener.accept());
        std::thread::sleep(Duration::from_millis(20));
    }
    ExitCode::SUCCESS
}

/// Deaf for a second; then it waits for SIGINT, writes down that it came, and ends.
pub fn late_init() -> ExitCode {
    std::thread::sleep(Duration::from_secs(1));
    let interrupt: SigSet = [Signal::SIGINT].into_iter().collect();
    interrupt.thread_block().unwrap();
    interrupt.wait().unwrap();
    std::fs::write("/var/log/asked", "asked").unwrap();
    ExitCode::SUCCESS
}

/// Asks, and says what was answered.
pub fn ask(socket: &str) -> ExitCode {
    match vserver_api::Client::new(socket).list() {
        Ok(guests) => println!("{guests:?}"),
        Err(error) => {
            eprintln!("{error} ({error:?})");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Fetches a page; a static busybox' own wget stumbles over the missing resolver.
pub fn get(address: &str) -> ExitCode {
    match fetch(address) {
        Ok(page) => println!("{page}"),
        Err(error) => {
            eprintln!("{address}: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// The page with its headers.
pub fn fetch(address: &str) -> io::Result<String> {
    let address = address.parse().map_err(io::Error::other)?;
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(3))?;
    stream.set_read_timeout(Some(Duration::from_secs(3)))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    Ok(page)
}

/// Allocates and touches, and has it while the program runs; says the kernel's own words on failure.
pub fn allocate(bytes: &str, program: Option<&str>) -> ExitCode {
    let bytes: usize = bytes.parse().unwrap();
    let mut memory: Vec<u8> = Vec::new();
    if memory.try_reserve_exact(bytes).is_err() {
        eprintln!("{}", std::io::Error::last_os_error());
        return ExitCode::FAILURE;
    }
    memory.resize(bytes, 1);
    println!("allocated {}", memory.iter().rev().step_by(4096).count() * 4096);
    match program.map(|program| Command::new(program).status()) {
        Some(Err(error)) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
