//! What a program does with a loop device before it mounts a file, loop(4).

use std::fs::File;
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::errno::Errno;

use crate::answer::{Answer, address, call, number};
use crate::{Check, with};

pub const CHECKS: &[Check] = &[
    with("E10", "loop_give", "FILE [SECONDS]", |args| match give(args) {
        Ok(place) => Answer::Text(place),
        Err(error) => Err::<(), _>(error).into(),
    }),
    with("E10", "loop_race", "FILE", |args| match race(&args[0]) {
        Ok(answer) => answer,
        Err(error) => Err::<(), _>(error).into(),
    }),
];

/// `LOOP_CONFIGURE`, `include/uapi/linux/loop.h`
const CONFIGURE: i64 = 0x4C0A;
/// `LOOP_CTL_GET_FREE`
const GET_FREE: i64 = 0x4C82;
/// `LO_FLAGS_AUTOCLEAR`
const AUTOCLEAR: u8 = 4;
/// Where `info.lo_flags` is in `struct loop_config`.
const FLAGS: usize = 60;

/// A free one gets a file, and keeps it for some time.
fn give(args: &[String]) -> std::io::Result<String> {
    let control = File::open("/dev/loop-control")?;
    let free = call(libc::SYS_ioctl, &[control.as_raw_fd().into(), GET_FREE])?;
    let path = format!("/dev/loop{free}");
    let place = File::options().read(true).write(true).open(&path)?;
    configure(&place, &File::open(&args[0])?)?;
    std::thread::sleep(Duration::from_secs(number(args, 1, 0).unsigned_abs()));
    Ok(path)
}

fn configure(place: &File, file: &File) -> Result<i64, Errno> {
    let mut config = [0_u8; 304];
    config[..4].copy_from_slice(&file.as_raw_fd().to_ne_bytes());
    config[FLAGS] = AUTOCLEAR;
    call(libc::SYS_ioctl, &[place.as_raw_fd().into(), CONFIGURE, address(&config)])
}

/// Many at once give a file to one that they have opened while it was free: held if one of them alone could.
fn race(file: &str) -> std::io::Result<Answer> {
    let file = File::open(file)?;
    let opened = || File::options().read(true).write(true).open("/dev/loop0");
    let places: Vec<File> = (0..6).map(|_| opened()).collect::<Result<_, _>>()?;
    let answers: Vec<_> = std::thread::scope(|scope| {
        let begun: Vec<_> = places.iter().map(|place| scope.spawn(|| configure(place, &file))).collect();
        begun.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    let done = answers.iter().filter(|answer| answer.is_ok()).count();
    let busy = answers.iter().filter(|answer| **answer == Err(Errno::EBUSY)).count();
    let held = (done, busy) == (1, places.len() - 1);
    Ok(Answer::held_or(if held { Vec::new() } else { vec![format!("{answers:?}")] }))
}
