//! tun and tap devices: making, using and changing them.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::answer::Answer;
use crate::{Check, with};

/// `include/uapi/linux/if_tun.h`
const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
const TUNSETOWNER: libc::c_ulong = 0x4004_54cc;
const TUN: i32 = 1;
const TAP: i32 = 2;
const NO_PI: i32 = 0x1000;

pub const CHECKS: &[Check] = &[
    with("", "tun_open", "NODE", |arguments| open(arguments).map(drop).into()),
    with("", "tun_attach", "NAME tun|tap", |arguments| attach(arguments).map(drop).into()),
    with("", "tun_receive", "NAME tun|tap", receive),
    with("", "tun_hold", "NAME tun|tap", hold),
    with("", "tun_give", "NAME tun|tap UID", give),
];

fn open(arguments: &[String]) -> std::io::Result<File> {
    let node = arguments.first().map_or("/dev/net/tun", String::as_str);
    OpenOptions::new().read(true).write(true).open(node)
}

/// Makes the device if there is none of this name.
fn attach(arguments: &[String]) -> std::io::Result<File> {
    let node = open(&[])?;
    let kind = if arguments.get(1).is_some_and(|kind| kind == "tap") { TAP } else { TUN };
    let mut request = [0u8; 40];
    for (slot, byte) in request.iter_mut().take(15).zip(arguments.first().map_or("", String::as_str).bytes()) {
        *slot = byte;
    }
    request[16..18].copy_from_slice(&((kind | NO_PI) as u16).to_ne_bytes());
    // SAFETY: TUNSETIFF reads and writes one ifreq of 40 bytes through the pointer, which is live.
    let done = unsafe { libc::ioctl(node.as_raw_fd(), TUNSETIFF, request.as_mut_ptr()) };
    if done < 0 { Err(std::io::Error::last_os_error()) } else { Ok(node) }
}

/// Waits for a UDP packet, up to 10 s, and prints its last bytes as text.
fn receive(arguments: &[String]) -> Answer {
    let mut node = match attach(arguments) {
        Ok(node) => node,
        Err(error) => return Err::<(), _>(error).into(),
    };
    println!("attached");
    let _ = std::io::stdout().flush();
    let mut packet = [0; 2048];
    loop {
        let mut watched = [PollFd::new(node.as_fd(), PollFlags::POLLIN)];
        if poll(&mut watched, PollTimeout::from(10_000u16)) != Ok(1) {
            return Answer::Refused(Errno::ETIMEDOUT);
        }
        let length = match node.read(&mut packet) {
            Ok(length) => length,
            Err(error) => return Err::<(), _>(error).into(),
        };
        // IPv4 without options, then UDP: the text begins after 28 bytes.
        if length > 28 && packet[0] == 0x45 && packet[9] == 17 {
            return Answer::Text(String::from_utf8_lossy(&packet[28..length]).into_owned());
        }
    }
}

/// Stays attached until its standard input ends.
fn hold(arguments: &[String]) -> Answer {
    let held = attach(arguments);
    println!("{}", if held.is_ok() { "attached" } else { "not attached" });
    let _ = std::io::stdout().flush().and_then(|()| std::io::stdin().read_to_end(&mut Vec::new()));
    held.map(drop).into()
}

/// Gives the device to another user.
fn give(arguments: &[String]) -> Answer {
    let uid: u32 = arguments.get(2).and_then(|text| text.parse().ok()).unwrap_or(0);
    let done = attach(arguments).and_then(|node| {
        // SAFETY: TUNSETOWNER takes an integer.
        let done = unsafe { libc::ioctl(node.as_raw_fd(), TUNSETOWNER, libc::c_ulong::from(uid)) };
        if done < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
    });
    done.into()
}
