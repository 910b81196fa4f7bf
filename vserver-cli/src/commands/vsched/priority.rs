//! `--nice` and `--ionice`: priorities of what runs. The kernel keeps both for each thread.

use std::io::{self, ErrorKind};

use vserver_sys::process;

use crate::commands::members::Members;
use crate::error::CliError;

/// Gives them to every thread of every process.
pub fn set(members: &Members, nice: Option<i32>, ionice: Option<i32>) -> Result<(), CliError> {
    if let Some(level) = nice {
        members.each("set the nice level", |pid| threads(pid, |thread| process::set_nice(thread, level)))?;
    }
    if let Some(priority) = ionice {
        members
            .each("set the I/O priority", |pid| threads(pid, |thread| process::set_io_priority(thread, priority)))?;
    }
    Ok(())
}

fn threads(pid: i32, act: impl Fn(i32) -> io::Result<()>) -> io::Result<()> {
    let entries = match std::fs::read_dir(format!("/proc/{pid}/task")) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        // The list ends early when the process does.
        let Some(thread) = entry.ok().and_then(|entry| entry.file_name().to_str()?.parse().ok()) else { break };
        match act(thread) {
            Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => {}
            result => result?,
        }
    }
    Ok(())
}

/// `CLASS` or `CLASS:LEVEL` as ioprio_set(2) takes it: the class shifted left by 13, and the level, 4 if none is given.
pub fn ionice(text: &str) -> Result<i32, CliError> {
    let (class, level) = text.split_once(':').map_or((text, None), |(class, level)| (class, Some(level)));
    let class = class.parse::<i32>().ok().filter(|class| (1..=3).contains(class));
    let level = level.map_or(Some(4), |level| level.parse::<i32>().ok()).filter(|level| (0..=7).contains(level));
    let wrong = || {
        CliError::Refused(format!(
            "--ionice {}: it is a class, 1 (real time), 2 (best effort) or 3 (idle), and a level of 0 to 7 after a colon",
            text.escape_debug()
        ))
    };
    class.zip(level).map(|(class, level)| class << 13 | level).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::ionice;

    #[test]
    fn classes_and_levels() {
        assert_eq!(ionice("3").unwrap(), 3 << 13 | 4);
        assert_eq!(ionice("2:7").unwrap(), 2 << 13 | 7);
        for bad in ["", "0", "4", "2:8", "2:", "idle", "2:1:1"] {
            assert!(ionice(bad).is_err(), "{bad}");
        }
    }
}
