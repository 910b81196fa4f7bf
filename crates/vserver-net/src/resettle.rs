//! Sockets that are bound already follow a change of the guest's addresses.
//!
//! Programs enter a socket in the table of [`crate::steering`] when it is bound or begins to listen, and are not asked again. So
//! whoever changes the addresses of a guest that runs goes through the sockets of its processes: what stands under an
//! address that is no longer the guest's is taken out, and wildcard sockets are entered for those that are new. So it is
//! also with a guest that has had one address until now, and so no table: what was a wildcard is noted at the sockets.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{SockaddrStorage, getpeername, getsockname};
use vserver_sys::bpf::{socket_enter, table_get, table_keys, table_remove, table_set};
use vserver_sys::{pidfd, socket};

use crate::AddressPolicy;
use crate::policy::{Table, word, words};
use crate::program::parts::{MAPPED, UDP};
use crate::program::{gather, steer};
use crate::steering::{DatagramSteering, Steering};
use crate::wildcards::{Noted, Wildcards};

/// A socket that hears what belongs to no connection.
struct Hearing {
    socket: OwnedFd,
    cookie: u64,
    key: Key,
    /// If it was bound to a wildcard.
    wildcard: Option<Noted>,
}

/// A key of the table of listeners, apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    address: [u32; 4],
    port: u16,
    protocol: i32,
}

/// Lets what the processes `pids` of a guest have bound hear the addresses of `policy`, and nothing else. Call it after
/// [`crate::confine()`] for the same directory. Sockets that no process holds at the moment, because they are on their way from one to
/// another, keep what they had until they are bound anew. Needs CAP_SYS_PTRACE, and kernel 5.9 to enter sockets.
///
/// # Errors
/// What the kernel says: then some of the sockets hear what they heard before.
pub fn resettle(cgroup_v2: BorrowedFd<'_>, policy: &AddressPolicy, pids: &[i32]) -> io::Result<()> {
    let Some(steering) = Steering::of_guest(cgroup_v2)? else { return Ok(()) };
    let Some(wildcards) = Wildcards::of_guest(cgroup_v2)? else { return Ok(()) };
    let table = Table::new(policy);
    steering.follow(&table)?;
    let all = hearing(&wildcards, pids)?;
    let own: BTreeSet<u64> = all.iter().map(|one| one.cookie).collect();
    forget(&steering, &table, &own)?;
    let exact: BTreeSet<Key> = all.iter().filter(|one| one.wildcard.is_none()).map(|one| one.key).collect();
    for (one, noted) in all.iter().filter_map(|one| Some((one, one.wildcard?))) {
        let datagrams = one.key.protocol.cast_unsigned() == UDP;
        if datagrams && noted.port.is_some() {
            // Its answers would come from another port than the one that was asked.
            continue;
        }
        if let (true, Some(own)) = (datagrams, &steering.datagrams) {
            tell(own, one, noted)?;
        }
        for address in addresses_for(noted, &table) {
            let key = Key { address, port: noted.port.unwrap_or(one.key.port), ..one.key };
            // One that is bound to exactly that address is found without the table.
            if !exact.contains(&key) {
                socket_enter(steering.sockets.as_fd(), &key.bytes(), one.socket.as_fd())?;
            }
        }
    }
    Ok(())
}

/// Takes out what sockets of the guest have under addresses that are not the guest's.
fn forget(steering: &Steering, table: &Table, own: &BTreeSet<u64>) -> io::Result<()> {
    let now: BTreeSet<[u32; 4]> = mapped(table).chain(table.own6.iter().copied()).collect();
    for key in table_keys(steering.sockets.as_fd())? {
        let foreign = Key::address_in(&key).is_none_or(|address| !now.contains(&address));
        let cookie = if foreign { table_get(steering.sockets.as_fd(), &key)? } else { None };
        let cookie = cookie.and_then(|bytes| bytes.try_into().ok()).map(u64::from_ne_bytes);
        if cookie.is_some_and(|cookie| own.contains(&cookie)) {
            table_remove(steering.sockets.as_fd(), &key)?;
        }
    }
    Ok(())
}

/// Lets a datagram socket answer from where it was asked, as `program::gather` notes it for those that are bound later.
fn tell(steering: &DatagramSteering, one: &Hearing, noted: Noted) -> io::Result<()> {
    let mut note = [noted.families().to_ne_bytes(), [0; 4]].concat();
    note.extend(one.key.bytes());
    debug_assert_eq!(note.len(), gather::NOTE_LENGTH as usize);
    table_set(steering.bound.as_fd(), &one.cookie.to_ne_bytes(), &note)
}

/// The addresses that a wildcard socket stands for, as `program::steer` enters them.
fn addresses_for(noted: Noted, table: &Table) -> Vec<[u32; 4]> {
    let six = table.own6.iter().copied().filter(|_| noted.six);
    mapped(table).filter(|_| noted.four).chain(six).collect()
}

fn mapped(table: &Table) -> impl Iterator<Item = [u32; 4]> {
    table.own4.iter().map(|ip| [0, 0, MAPPED, *ip])
}

/// Every socket once, whoever shares it.
fn hearing(wildcards: &Wildcards, pids: &[i32]) -> io::Result<Vec<Hearing>> {
    let mut found = BTreeMap::new();
    for &pid in pids {
        match sockets_of(pid) {
            Ok(sockets) => found.extend(sockets),
            // It has ended.
            Err(error) if gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    let all = found.into_values().filter_map(|socket| of_socket(wildcards, socket).transpose());
    all.collect()
}

/// The sockets of a process by the kernel's names for them.
fn sockets_of(pid: i32) -> io::Result<Vec<(String, OwnedFd)>> {
    let process = pidfd::open(pid)?;
    let mut found = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let entry = entry?;
        let Ok(name) = fs::read_link(entry.path()) else { continue };
        let (name, number) = (name.to_string_lossy().into_owned(), entry.file_name().to_string_lossy().parse());
        let (true, Ok(number)) = (name.starts_with("socket:"), number) else { continue };
        match pidfd::take(process.as_fd(), number) {
            Ok(socket) => found.push((name, socket)),
            Err(error) if gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn gone(error: &io::Error) -> bool {
    let gone = [Errno::ESRCH, Errno::ENOENT, Errno::EBADF];
    gone.iter().any(|errno| error.raw_os_error() == Some(*errno as i32))
}

/// What matters of a socket; `None` for one that hears only its own connection, or nothing yet.
fn of_socket(wildcards: &Wildcards, socket: OwnedFd) -> io::Result<Option<Hearing>> {
    let Some(protocol) = socket::hears(socket.as_fd())? else { return Ok(None) };
    let number = socket.as_raw_fd();
    let Ok(bound) = getsockname::<SockaddrStorage>(number) else { return Ok(None) };
    let (address, port) = match (bound.as_sockaddr_in(), bound.as_sockaddr_in6()) {
        (Some(four), _) => ([0, 0, MAPPED, word(four.ip())], four.port()),
        (_, Some(six)) => (words(six.ip()), six.port()),
        _ => return Ok(None),
    };
    if port == 0 || getpeername::<SockaddrStorage>(number).is_ok() {
        return Ok(None);
    }
    let cookie = socket::cookie(socket.as_fd())?;
    let wildcard = wildcards.noted(socket.as_fd())?;
    Ok(Some(Hearing { socket, cookie, key: Key { address, port, protocol }, wildcard }))
}

impl Key {
    /// As the programs build it.
    fn bytes(self) -> [u8; steer::KEY_LENGTH as usize] {
        let words = self.address.into_iter().chain([u32::from(self.port), self.protocol.cast_unsigned()]);
        let mut bytes = [0; steer::KEY_LENGTH as usize];
        for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    fn address_in(bytes: &[u8]) -> Option<[u32; 4]> {
        let words: Vec<u32> =
            bytes.chunks_exact(4).filter_map(|word| word.try_into().ok()).map(u32::from_ne_bytes).collect();
        words.get(..4)?.try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_what_programs_build() {
        let key = Key { address: [0, 0, MAPPED, word(std::net::Ipv4Addr::new(192, 0, 2, 1))], port: 80, protocol: 6 };
        let bytes = key.bytes();
        assert_eq!(bytes[..16], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1]);
        assert_eq!(bytes[16..20], 80_u32.to_ne_bytes());
        assert_eq!(Key::address_in(&bytes), Some(key.address));
        assert_eq!(Key::address_in(&bytes[..12]), None);
    }
}
