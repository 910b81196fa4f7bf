//! Sockets of the caller's network namespace that are bound to no address of their own, and who holds them.

use std::collections::HashMap;
use std::net::SocketAddr;

use procfs::net::{self, TcpState};
use procfs::process::{FDTarget, all_processes};
use vserver_types::{CgroupBase, GuestName};

use crate::error::Error;
use crate::owner::owner;

/// A socket on `0.0.0.0` or `::`: it hears whatever nobody has bound more exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wildcard {
    /// `tcp`, `tcp6`, `udp` or `udp6`.
    pub protocol: &'static str,
    /// Where it is bound.
    pub address: SocketAddr,
    /// The first process that holds it; `None` if it belongs to the kernel, or its holder has just ended.
    pub pid: Option<i32>,
    /// Name of that process's program, at most 15 bytes.
    pub command: Option<String>,
    /// The guest that it belongs to; `None` is the host.
    pub guest: Option<GuestName>,
}

/// All of them: TCP sockets that listen, UDP sockets of
/// servers. By port, then protocol. Guests are below `bases` ([`crate::owner_in`]).
///
/// # Errors
/// `/proc` cannot be read.
pub fn wildcards(bases: &[CgroupBase]) -> Result<Vec<Wildcard>, Error> {
    let failed = |source| Error::List { source };
    let (mut found, clients) = (Vec::new(), client_ports());
    for (protocol, entries) in [("tcp", net::tcp()), ("tcp6", net::tcp6())] {
        let entries = entries.or_else(if_no_ipv6).map_err(failed)?;
        let listen = entries.into_iter().filter(|entry| entry.state == TcpState::Listen);
        found.extend(listen.map(|entry| (protocol, entry.local_address, entry.inode)));
    }
    for (protocol, entries) in [("udp", net::udp()), ("udp6", net::udp6())] {
        let entries = entries.or_else(if_no_ipv6).map_err(failed)?;
        // A client that has not connected its socket has a port that the kernel has chosen.
        let server = |port: u16| !clients.contains(&port);
        let free = entries.into_iter().filter(|entry| entry.remote_address.port() == 0);
        let free = free.filter(|entry| server(entry.local_address.port()));
        found.extend(free.map(|entry| (protocol, entry.local_address, entry.inode)));
    }
    found.retain(|(_, address, _)| address.ip().is_unspecified());
    found.sort_by_key(|(protocol, address, _)| (address.port(), *protocol));
    let holders = if found.is_empty() { HashMap::new() } else { holders().map_err(failed)? };
    let found = found.into_iter().map(|(protocol, address, inode)| {
        let holder = holders.get(&inode);
        Wildcard {
            protocol,
            address,
            pid: holder.map(|(pid, _)| *pid),
            command: holder.map(|(_, command)| command.clone()),
            guest: holder.and_then(|(pid, _)| owner(*pid, bases).ok().flatten()),
        }
    });
    Ok(found.collect())
}

/// Ports that the kernel gives to those who ask for any; ip(7).
fn client_ports() -> std::ops::RangeInclusive<u16> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut numbers = text.split_whitespace().flat_map(str::parse);
    numbers.next().unwrap_or(32_768)..=numbers.next().unwrap_or(60_999)
}

/// A kernel without IPv6 has no such files.
fn if_no_ipv6<T>(error: procfs::ProcError) -> Result<Vec<T>, procfs::ProcError> {
    match error {
        procfs::ProcError::NotFound(_) => Ok(Vec::new()),
        error => Err(error),
    }
}

/// The first process, by number, of each socket.
fn holders() -> Result<HashMap<u64, (i32, String)>, procfs::ProcError> {
    let mut found: HashMap<u64, (i32, String)> = HashMap::new();
    // What ends meanwhile holds nothing.
    for process in all_processes()?.flatten() {
        let (Ok(fds), Ok(stat)) = (process.fd(), process.stat()) else { continue };
        for fd in fds.flatten() {
            if let FDTarget::Socket(inode) = fd.target {
                let one = found.entry(inode).or_insert_with(|| (stat.pid, stat.comm.clone()));
                if stat.pid < one.0 {
                    *one = (stat.pid, stat.comm.clone());
                }
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    #[test]
    fn a_wildcard_is_found_with_its_process_and_an_exact_socket_is_not() {
        let (wide, exact) = (TcpListener::bind("0.0.0.0:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let datagrams = UdpSocket::bind("0.0.0.0:0").unwrap();
        let found = wildcards(&[]).unwrap();
        let of = |protocol, address: SocketAddr| {
            found.iter().find(|one| one.protocol == protocol && one.address.port() == address.port())
        };
        let mine = Some(std::process::id() as i32);
        assert_eq!(of("tcp", wide.local_addr().unwrap()).unwrap().pid, mine);
        assert_eq!(of("udp", datagrams.local_addr().unwrap()), None, "a client's");
        assert_eq!(of("tcp", exact.local_addr().unwrap()), None);
    }
}
