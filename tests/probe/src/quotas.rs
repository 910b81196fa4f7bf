//! quotactl(2) and quotactl_fd(2), as tools for quotas call them.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::AsRawFd;

use nix::errno::Errno;

use crate::answer::{Answer, address, address_mut, call};
use crate::{Check, with};

pub const CHECKS: &[Check] =
    &[with("K17", "quota", "VERB DEVICE|@PATH|- user|group|project ID [KIB]", |args| match quota(args) {
        Ok(answer) => answer,
        Err(errno) => Answer::Refused(errno),
    })];

/// `struct if_dqblk` and, by its last field, `struct if_nextdqblk`; `struct if_dqinfo` and others are shorter or as long as
/// the room behind it.
#[repr(C)]
#[derive(Default)]
struct Block {
    space_hard: u64,
    space_soft: u64,
    space_used: u64,
    inodes: [u64; 3],
    times: [u64; 2],
    valid: u32,
    id: u32,
    room: [u64; 11],
}

fn quota(args: &[String]) -> Result<Answer, Errno> {
    let word = |at: usize| args.get(at).map(String::as_str).unwrap_or_default();
    let number = |at: usize| word(at).parse::<i64>().unwrap_or_default();
    let command = match word(0) {
        "sync" => libc::Q_SYNC,
        "on" => libc::Q_QUOTAON,
        "off" => libc::Q_QUOTAOFF,
        "format" => libc::Q_GETFMT,
        "info" => libc::Q_GETINFO,
        "get" => libc::Q_GETQUOTA,
        "set" => libc::Q_SETQUOTA,
        // Q_GETNEXTQUOTA, Q_XGETQSTAT, and Q_XQUOTARM, which is nobody's.
        "next" => 0x80_0009,
        "state" => 0x5805,
        _ => 0x5806,
    };
    let owner = match word(2) {
        "user" => 0,
        "group" => 1,
        _ => 2,
    };
    let command = i64::from((command as u32) << 8 | owner);
    // QIF_BLIMITS
    let mut block = Block { space_hard: number(4) as u64, valid: 1, ..Block::default() };
    let place = address_mut(&mut block);
    match word(1) {
        "-" => call(libc::SYS_quotactl, &[command, 0, number(3), place])?,
        target => match target.strip_prefix('@') {
            Some(path) => {
                let file = File::open(path).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
                call(libc::SYS_quotactl_fd, &[i64::from(file.as_raw_fd()), command, number(3), place])?
            }
            None => {
                let device = CString::new(target).map_err(|_| Errno::EINVAL)?;
                call(libc::SYS_quotactl, &[command, address(device.as_c_str()), number(3), place])?
            }
        },
    };
    // The supervisor wrote it, or the kernel.
    let block = std::hint::black_box(block);
    Ok(match word(0) {
        "get" => Answer::Text(format!("{} of {}", block.space_used >> 10, block.space_hard)),
        "next" => Answer::Text(format!("{}: {}", block.id, block.space_hard)),
        // Flags of `struct fs_quota_stat`, behind its version.
        "state" => Answer::Text(format!("{:#x}", block.space_hard >> 16 & 0xffff)),
        _ => Answer::Ok,
    })
}
