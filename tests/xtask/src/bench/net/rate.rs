//! A tool for connections: one side accepts and answers, the other connects, hears and closes.
//!
//! It closes with a reset: otherwise each connection keeps its port for a minute, and the place that is measured more often
//! would search longer for a free one.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use nix::libc::linger;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::socket::{setsockopt, sockopt};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use crate::Outcome;

/// `CPU ADDRESS:PORT`: answers for ever.
pub const ACCEPT: &str = "--accept";
/// `CPU ADDRESS:PORT SECONDS`: says how many there were, in how many seconds, and how many of these it used the processor.
pub const CONNECT: &str = "--connect";

/// Serves.
pub fn accept(cpu: &str, address: &str) -> Outcome {
    stay(cpu)?;
    let listener = TcpListener::bind(address).map_err(|error| format!("{address}: {error}"))?;
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        let _ = stream.write_all(b".");
        let _ = stream.shutdown(Shutdown::Write);
        // The caller closes first.
        let _ = stream.read(&mut [0; 1]);
    }
    Ok(())
}

/// Measures.
pub fn connect(cpu: &str, address: &str, seconds: &str) -> Outcome {
    stay(cpu)?;
    let failed = |error: std::io::Error| format!("{address}: {error}");
    let seconds: f64 = seconds.parse().map_err(|_| format!("'{seconds}' is no number of seconds"))?;
    let (time, begin, mut count) = (Duration::from_secs_f64(seconds), Instant::now(), 0_u32);
    while begin.elapsed() < time {
        let mut stream = TcpStream::connect(address).map_err(failed)?;
        stream.read_exact(&mut [0; 1]).map_err(failed)?;
        let at_once = linger { l_onoff: 1, l_linger: 0 };
        setsockopt(&stream, sockopt::Linger, &at_once).map_err(|errno| format!("{address}: {errno}"))?;
        count += 1;
    }
    let used =
        clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_err(|errno| format!("processor time: {errno}"))?;
    println!("{count} {} {}", begin.elapsed().as_secs_f64(), Duration::from(used).as_secs_f64());
    Ok(())
}

/// On one processor only.
fn stay(cpu: &str) -> Outcome {
    let mut set = CpuSet::new();
    let number = cpu.parse().map_err(|_| format!("'{cpu}' is no number of a processor"))?;
    let stayed = set.set(number).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set));
    stayed.map_err(|errno| format!("processor {cpu}: {errno}"))
}
