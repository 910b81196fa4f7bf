//! Sockets that are made, bound and connected by io_uring(7), not by the calls of those names.

use std::net::{Ipv4Addr, SocketAddrV4};

use nix::errno::Errno;
use nix::sys::socket::{SockaddrIn, getsockname};

use crate::answer::{Answer, address, address_mut, call, number};
use crate::{Check, with};

pub const CHECKS: &[Check] = &[
    with("K13", "ring_socket", "FAMILY TYPE PROTOCOL", |args| {
        socket(number(args, 0, 2), number(args, 1, 1), number(args, 2, 0)).into()
    }),
    with("K13", "ring_bind", "ADDRESS PORT", |args| at(args, BIND)),
    with("K13", "ring_connect", "ADDRESS PORT", |args| at(args, CONNECT)),
];

/// `enum io_uring_op`: since Linux 5.5, 5.19 and 6.11.
const CONNECT: u8 = 16;
const SOCKET: u8 = 45;
const BIND: u8 = 56;

/// `IORING_OFF_SQ_RING`, which holds both rings since Linux 5.4, and `IORING_OFF_SQES`.
const RINGS: i64 = 0;
const ENTRIES: i64 = 0x1000_0000;
const PAGE: i64 = 4096;

/// The words of `struct io_uring_sqe` that these operations use.
#[derive(Clone, Copy)]
struct Wish {
    operation: u8,
    fd: i64,
    offset: i64,
    address: i64,
    length: i64,
}

fn socket(family: i64, kind: i64, protocol: i64) -> Result<i64, Errno> {
    done(Wish { operation: SOCKET, fd: family, offset: kind, address: 0, length: protocol })
}

/// Binds or connects a new TCP socket; the address that it has then.
fn at(args: &[String], operation: u8) -> Answer {
    let wanted = args.first().and_then(|text| text.parse::<Ipv4Addr>().ok()).unwrap_or(Ipv4Addr::UNSPECIFIED);
    let wanted = SockaddrIn::from(SocketAddrV4::new(wanted, number(args, 1, 0) as u16));
    let own = || {
        let fd = socket(2, 1, 0)?;
        done(Wish { operation, fd, offset: 16, address: address(&wanted), length: 0 })?;
        let own: SockaddrIn = getsockname(fd as i32)?;
        Ok(own.ip())
    };
    own().map_or_else(Answer::Refused, |ip: Ipv4Addr| Answer::Text(ip.to_string()))
}

/// What one operation on a ring of its own answers.
fn done(wish: Wish) -> Result<i64, Errno> {
    // `struct io_uring_params`: the offsets of the submission ring begin at word 10, those of the completion ring at 20.
    let mut parameters = [0_u32; 30];
    let ring = call(libc::SYS_io_uring_setup, &[1, address_mut(&mut parameters)])?;
    let map = |offset| {
        let shared = i64::from(libc::MAP_SHARED | libc::MAP_POPULATE);
        let both = i64::from(libc::PROT_READ | libc::PROT_WRITE);
        call(libc::SYS_mmap, &[0, PAGE, both, shared, ring, offset])
    };
    let (rings, entries) = (map(RINGS)?, map(ENTRIES)?);
    let word = |at: u32| (rings + i64::from(at)) as *mut u32;
    let (tail, array, completions) = (word(parameters[11]), word(parameters[16]), word(parameters[25]));
    // SAFETY: both mappings were made just now, are a page long and stay; a ring of one entry and its offsets lie within it
    // (`io_uring_setup(2)`), and the kernel reads what is written here during the next call, no earlier.
    unsafe {
        let entry = entries as *mut u64;
        entry.write(u64::from(wish.operation) | (wish.fd as u64) << 32);
        entry.add(1).write(wish.offset as u64);
        entry.add(2).write(wish.address as u64);
        entry.add(3).write(wish.length as u64 & u64::from(u32::MAX));
        array.write(0);
        tail.write_volatile(1);
    }
    let get_events = 1;
    call(libc::SYS_io_uring_enter, &[ring, 1, 1, get_events])?;
    // SAFETY: as above; the call came back with one completion, whose third word is the result.
    let result = unsafe { completions.add(2).read_volatile() }.cast_signed();
    if result < 0 { Err(Errno::from_raw(-result)) } else { Ok(i64::from(result)) }
}
