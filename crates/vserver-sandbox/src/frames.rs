//! What an entering process tells the supervisor: its pid, or why it could not. Two processes write to one pipe in any
//! order, so each message is a frame, written at once (a pipe keeps writes of up to 4096 bytes whole, pipe(7)).

use std::io::{self, Write};

const PID: u8 = b'P';
const REASON: u8 = b'E';
/// A frame's tag and length.
const HEAD: usize = 3;
/// Longest reason that is sent.
const MAX_REASON: usize = 2048;

/// What all frames of an entry together say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The command's pid on the host.
    pub pid: Option<i32>,
    /// Why it was not executed.
    pub reason: Option<String>,
}

/// Sends the pid.
pub fn tell_pid(mut pipe: impl Write, pid: i32) -> io::Result<()> {
    send(&mut pipe, PID, &pid.to_ne_bytes())
}

/// Sends a reason.
pub fn tell_reason(mut pipe: impl Write, reason: &str) -> io::Result<()> {
    let bytes = reason.as_bytes();
    send(&mut pipe, REASON, &bytes[..bytes.len().min(MAX_REASON)])
}

/// Understands all that came until end of file. What is not a frame is left out.
pub fn understand(mut bytes: &[u8]) -> Told {
    let mut told = Told::default();
    while let [tag, high, low, rest @ ..] = bytes {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (payload, next) = rest.split_at(length.min(rest.len()));
        match *tag {
            PID => told.pid = payload.first_chunk().map(|number| i32::from_ne_bytes(*number)),
            REASON => told.reason = Some(String::from_utf8_lossy(payload).into_owned()),
            _ => {}
        }
        bytes = next;
    }
    told
}

fn send(pipe: &mut impl Write, tag: u8, payload: &[u8]) -> io::Result<()> {
    let length = u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut frame = Vec::with_capacity(HEAD + payload.len());
    frame.extend_from_slice(&[tag, length[0], length[1]]);
    frame.extend_from_slice(payload);
    pipe.write_all(&frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_may_come_in_any_order() {
        let mut bytes = Vec::new();
        tell_reason(&mut bytes, "no such file").unwrap();
        tell_pid(&mut bytes, 4711).unwrap();
        let told = understand(&bytes);
        assert_eq!(told, Told { pid: Some(4711), reason: Some("no such file".to_owned()) });
        assert_eq!(understand(&[]), Told::default());
        assert_eq!(understand(b"P\xff\xffab").pid, None);
    }
}
