//! Somebody at a terminal, which script(1) makes: types when the shell asks, and not before.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use crate::fixture::Ran;

/// How long the shell may take to ask, and the session to end after what was typed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a command line on a terminal, types `input` at the first prompt of a root's shell, and returns the session as text
/// with the status of the command. `input` should end the session.
#[track_caller]
pub fn session(line: &str, input: &str) -> Ran {
    let (ran, asked) = play(line, input, PATIENCE);
    assert!(asked, "the shell did not ask for anything: {}", ran.out);
    ran
}

/// The same with a shell that asks for nothing, because it does not see that it has a terminal.
pub fn session_without_prompt(line: &str, input: &str) -> Ran {
    play(line, input, Duration::ZERO).0
}

/// The session, and whether the shell has asked within `patience`.
fn play(line: &str, input: &str, patience: Duration) -> (Ran, bool) {
    let mut script = Command::new("script");
    script.args(["-qec", line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = script.spawn().unwrap();
    let mut keyboard = child.stdin.take().unwrap();
    let mut screen = child.stdout.take().unwrap();
    let (tell, told) = channel();
    let reader = thread::spawn(move || {
        let (mut text, mut part) = (Vec::new(), [0; 4096]);
        while let Ok(length @ 1..) = screen.read(&mut part) {
            text.extend_from_slice(&part[..length]);
            // A line editor asks the terminal where its cursor is, after its prompt.
            if text.windows(2).any(|two| two == b"# ") {
                // Whoever listens has heard of the first prompt already, or has gone.
                let _ = tell.send(());
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    });
    let asked = told.recv_timeout(patience).is_ok();
    let _ = keyboard.write_all(input.as_bytes());
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() && begun.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(10));
    }
    // End of file and a hang-up for a session that was not ended; a keyboard that goes earlier would be typed as one.
    drop(keyboard);
    let _ = child.kill();
    let status = child.wait().unwrap();
    let mut ran = Ran::from(std::process::Output { status, stdout: Vec::new(), stderr: Vec::new() });
    ran.out = reader.join().unwrap().replace('\r', "");
    (ran, asked)
}
