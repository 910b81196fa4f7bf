//! What a process of the guest is and has.

use std::fs;

use crate::answer::Answer;
use crate::{Check, with};

// None is part of `all`: they say what is, not what is possible.
pub const CHECKS: &[Check] = &[
    with("X03", "caps", "[PID]", caps),
    with("X07", "env", "[]", |_| Answer::Text(environment())),
    with("X03", "limits", "[]", |_| file("/proc/self/limits")),
    with("X03", "namespaces", "[]", |_| namespaces()),
    with("E09", "mounts", "[]", |_| file("/proc/self/mountinfo")),
];

/// Ids, capability sets, seccomp state, of this process or another.
fn caps(args: &[String]) -> Answer {
    const FIELDS: [&str; 9] =
        ["Uid:", "Gid:", "Groups:", "Cap", "NoNewPrivs:", "Seccomp", "NSpid:", "Umask:", "CoreDumping:"];
    let path = format!("/proc/{}/status", args.first().map_or("self", String::as_str));
    match fs::read_to_string(path) {
        Err(error) => Err::<(), _>(error).into(),
        Ok(status) => {
            let wanted = status.lines().filter(|line| FIELDS.iter().any(|field| line.starts_with(field)));
            Answer::Text(wanted.map(|line| line.replace('\t', " ")).collect::<Vec<_>>().join("\n"))
        }
    }
}

fn environment() -> String {
    let pairs = std::env::vars_os().map(|(name, value)| format!("{}={}", name.display(), value.display()));
    pairs.collect::<Vec<_>>().join("\n")
}

fn file(path: &str) -> Answer {
    match fs::read_to_string(path) {
        Ok(text) => Answer::Text(text.trim_end().to_owned()),
        Err(error) => Err::<(), _>(error).into(),
    }
}

fn namespaces() -> Answer {
    let names = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];
    let lines = names.iter().filter_map(|name| fs::read_link(format!("/proc/self/ns/{name}")).ok());
    Answer::Text(lines.map(|link| link.display().to_string()).collect::<Vec<_>>().join("\n"))
}
