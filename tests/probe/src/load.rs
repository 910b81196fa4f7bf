//! Memory and processor time, and the terminal.

use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::answer::{Answer, address, address_mut, call, number};
use crate::{Check, check, with};

pub const CHECKS: &[Check] = &[
    with("D02", "alloc", "MIB [SECONDS]", alloc),
    with("D02", "alloc_as", "MIB", alloc_as),
    with("D06", "burn", "SECONDS", burn),
    with("D03", "forks", "NUMBER", forks),
    check("X08", "tiocsti", |_| tiocsti(0x5412)),
    check("X08", "tiocsti_bit32", |_| tiocsti(0x5412 | 1 << 32)),
    check("X08", "tioclinux", |_| tiocsti(0x541c)),
];

fn mebibytes(args: &[String]) -> usize {
    usize::try_from(number(args, 0, 1)).unwrap_or(1) << 20
}

/// Takes memory, writes to every page of it, and keeps it for a while.
fn alloc(args: &[String]) -> Answer {
    let size = mebibytes(args);
    let mut memory: Vec<u8> = Vec::new();
    if memory.try_reserve_exact(size).is_err() {
        return Answer::Refused(Errno::ENOMEM);
    }
    memory.resize(size, 1);
    std::thread::sleep(Duration::from_secs(number(args, 1, 0).unsigned_abs()));
    std::hint::black_box(&memory);
    Answer::Ok
}

/// Address space only: no page is touched.
fn alloc_as(args: &[String]) -> Answer {
    // SAFETY: malloc may be called at any time, and what it returns is freed once and never used.
    let memory = unsafe { libc::malloc(mebibytes(args)) };
    if memory.is_null() {
        return Answer::Refused(Errno::last());
    }
    // SAFETY: see above.
    unsafe { libc::free(std::hint::black_box(memory)) };
    Answer::Ok
}

/// Keeps one processor busy, and says how many milliseconds of it there were.
fn burn(args: &[String]) -> Answer {
    let end = Instant::now() + Duration::from_secs(number(args, 0, 1).unsigned_abs());
    let before = cpu_milliseconds();
    let mut spin = 0_u64;
    while Instant::now() < end {
        for _ in 0..10_000 {
            spin = std::hint::black_box(spin.wrapping_mul(31).wrapping_add(7));
        }
    }
    Answer::Text((cpu_milliseconds() - before).to_string())
}

fn cpu_milliseconds() -> i64 {
    let mut time = [0_i64; 2];
    let _ = call(libc::SYS_clock_gettime, &[i64::from(libc::CLOCK_PROCESS_CPUTIME_ID), address_mut(&mut time)]);
    time[0] * 1000 + time[1] / 1_000_000
}

/// How many children there were before the first refusal; all end before it returns.
fn forks(args: &[String]) -> Answer {
    let mut children = Vec::new();
    let mut refusal = None;
    for _ in 0..number(args, 0, 1) {
        // SAFETY: this program has one thread, and the child only sleeps.
        match unsafe { nix::unistd::fork() } {
            Ok(nix::unistd::ForkResult::Child) => loop {
                let _ = call(libc::SYS_rt_sigsuspend, &[0, 8]);
            },
            Ok(nix::unistd::ForkResult::Parent { child }) => children.push(child),
            Err(errno) => {
                refusal = Some(errno);
                break;
            }
        }
    }
    for child in &children {
        let _ = nix::sys::signal::kill(*child, nix::sys::signal::Signal::SIGKILL);
        let _ = nix::sys::wait::waitpid(*child, None);
    }
    Answer::Text(format!("{} {}", children.len(), refusal.map_or("OK".to_owned(), |errno| format!("{errno:?}"))))
}

/// Types a NUL into the terminal of the caller.
fn tiocsti(request: i64) -> Answer {
    let character = [0_u8; 2];
    call(libc::SYS_ioctl, &[0, request, address(&character)]).into()
}
