//! A tool for connections: one side accepts and answers, the other connects, hears and closes.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::Outcome;

/// `ADDRESS:PORT`: answers for ever.
pub const ACCEPT: &str = "--accept";
/// `ADDRESS:PORT SECONDS`: says how many there were in a second.
pub const CONNECT: &str = "--connect";

/// Serves.
pub fn accept(address: &str) -> Outcome {
    let listener = TcpListener::bind(address).map_err(|error| format!("{address}: {error}"))?;
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        let _ = stream.write_all(b".");
        let _ = stream.shutdown(Shutdown::Write);
        // The caller closes first, so that its ports wait, not ours.
        let _ = stream.read(&mut [0; 1]);
    }
    Ok(())
}

/// Measures.
pub fn connect(address: &str, seconds: &str) -> Outcome {
    let failed = |error: std::io::Error| format!("{address}: {error}");
    let time = Duration::from_secs(seconds.parse().map_err(|_| format!("'{seconds}' is no number of seconds"))?);
    let (begin, mut count) = (Instant::now(), 0_u32);
    while begin.elapsed() < time {
        let mut stream = TcpStream::connect(address).map_err(failed)?;
        stream.read_exact(&mut [0; 1]).map_err(failed)?;
        count += 1;
    }
    println!("{}", f64::from(count) / begin.elapsed().as_secs_f64());
    Ok(())
}
