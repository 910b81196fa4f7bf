//! Whether a guest's first process would notice a signal: the kernel drops those that the first process of a PID
//! namespace neither catches nor blocks. pid_namespaces(7).

use std::fs;

/// rt_sigtimedwait(2) in the tables of x86_64, aarch64, and of the 32-bit programs of both.
const SIGTIMEDWAIT: [&str; 4] = ["128", "137", "177", "421"];

/// Whether process `pid` catches `signal`, blocks it to read it later (signalfd), or waits for signals: as long as it does,
/// the kernel shows what it waits for as not blocked. What cannot be read counts as heard.
pub fn hears(pid: i32, signal: i32) -> bool {
    let waits = || {
        let call = fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
        call.split(' ').next().is_some_and(|number| SIGTIMEDWAIT.contains(&number))
    };
    fs::read_to_string(format!("/proc/{pid}/status")).map_or(true, |status| holds(&status, signal)) || waits()
}

fn holds(status: &str, signal: i32) -> bool {
    let set = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok())
    };
    let heard = set("SigCgt:").zip(set("SigBlk:")).map(|(caught, blocked)| caught | blocked);
    let bit = u32::try_from(signal - 1).ok();
    heard.zip(bit).and_then(|(heard, bit)| heard.checked_shr(bit)).is_none_or(|heard| heard & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caught_or_blocked_is_heard() {
        let status = "Name:\tinit\nSigBlk:\t0000001000000000\nSigIgn:\t0000000000000004\nSigCgt:\t0000000000000002\n";
        assert!(holds(status, 2) && holds(status, 37));
        assert!(!holds(status, 3) && !holds(status, 15));
        assert!(holds("", 15));
    }
}
