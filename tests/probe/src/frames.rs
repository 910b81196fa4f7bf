//! Frames as they are: what a guest with CAP_NET_RAW can say, and what arrives elsewhere. packet(7).

use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::answer::Answer;
use crate::{Check, with};

pub const CHECKS: &[Check] = &[
    with("", "frames", "DEVICE HEX…", |args| send_all(args).into()),
    with("", "hear", "DEVICE HEX", |args| match hear(args) {
        Ok(heard) => Answer::Text(heard.join("\n")),
        Err(errno) => Answer::Refused(errno),
    }),
];

/// `ETH_P_ALL` on the wire.
const ALL: u16 = 0x0003_u16.to_be();
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends each of them; what becomes of them is to be heard elsewhere.
fn send_all(args: &[String]) -> Result<(), Errno> {
    let (device, frames) = args.split_first().ok_or(Errno::EINVAL)?;
    let socket = socket_on(device)?;
    for frame in frames {
        let bytes = bytes(frame)?;
        // SAFETY: the buffer lives through the call, which only reads that many bytes of it.
        let sent = unsafe { libc::send(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
        match Errno::result(sent) {
            // A filter on the device itself has dropped it.
            Ok(_) | Err(Errno::ENOBUFS) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Says `ready`, then collects what arrives until a frame does that begins like the last argument.
fn hear(args: &[String]) -> Result<Vec<String>, Errno> {
    let [device, last] = args else { return Err(Errno::EINVAL) };
    let socket = socket_on(device)?;
    let patience = libc::timeval { tv_sec: 1, tv_usec: 0 };
    // SAFETY: the option's value is a `timeval` that lives through the call, and its size is given.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVTIMEO,
            (&raw const patience).cast(),
            size_of::<libc::timeval>() as libc::socklen_t,
        )
    };
    Errno::result(set)?;
    println!("ready");
    let _ = std::io::stdout().flush();
    let (mut heard, end, mut buffer) = (Vec::new(), Instant::now() + PATIENCE, [0_u8; 2048]);
    while Instant::now() < end {
        // SAFETY: the buffer lives through the call, which writes at most its length.
        let length = unsafe { libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        let Ok(length) = usize::try_from(length) else { continue };
        let frame: String = buffer[..length].iter().map(|byte| format!("{byte:02x}")).collect();
        if frame.starts_with(last) {
            return Ok(heard);
        }
        heard.push(frame);
    }
    Err(Errno::ETIMEDOUT)
}

fn socket_on(device: &str) -> Result<OwnedFd, Errno> {
    let name = std::ffi::CString::new(device).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the name is a string with its zero and lives through the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 {
        return Err(Errno::ENODEV);
    }
    // SAFETY: only numbers are passed.
    let socket = Errno::result(unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, i32::from(ALL)) })?;
    // SAFETY: a new descriptor that nobody else owns.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: all bits zero is a valid address of this kind.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    (address.sll_family, address.sll_protocol, address.sll_ifindex) =
        (libc::AF_PACKET as u16, ALL, i32::try_from(index).map_err(|_| Errno::EINVAL)?);
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the address lives through the call, and its size is given.
    Errno::result(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) })?;
    Ok(socket)
}

fn bytes(hex: &str) -> Result<Vec<u8>, Errno> {
    let digits = hex.as_bytes().chunks(2).map(|two| std::str::from_utf8(two).unwrap_or("?"));
    digits.map(|two| u8::from_str_radix(two, 16).map_err(|_| Errno::EINVAL)).collect()
}
