//! A process's AppArmor label: it changes when the process executes its program, and stays with all that it starts.
//! Source: apparmor(7), aa_change_onexec(2).

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{read, write};

use crate::error::{Error, Result, Step};

/// AppArmor's own directory (Linux 5.8), and what it shares with other modules.
const PLACES: [&str; 2] = ["attr/apparmor", "attr"];

/// Longer labels are cut.
const ROOM: usize = 4096;

/// The caller gets this label with the next program that it, or a child that it forks before, executes. The kernel keeps it
/// across changes of user and of namespaces. Only a process itself can ask for it, and nobody inside of a policy namespace
/// for one outside.
pub fn at_exec(label: &str, host_proc: BorrowedFd<'_>) -> Result<()> {
    let file = open(host_proc, OFlag::O_WRONLY)?;
    write(file.as_fd(), format!("exec {label}").as_bytes())
        .step(|| format!("ask for the AppArmor label '{label}'"))?;
    let file = open(host_proc, OFlag::O_RDONLY)?;
    let mut text = [0; ROOM];
    let length = read(file.as_fd(), &mut text).step(|| "read the AppArmor label".to_owned())?;
    compare(label, &String::from_utf8_lossy(&text[..length]))
}

fn open(host_proc: BorrowedFd<'_>, flags: OFlag) -> Result<OwnedFd> {
    let attempt = |place: &str| {
        openat(host_proc, format!("self/{place}/exec").as_str(), flags | OFlag::O_CLOEXEC, Mode::empty())
    };
    let opened = match attempt(PLACES[0]) {
        Err(Errno::ENOENT) => attempt(PLACES[1]),
        opened => opened,
    };
    opened.step(|| "open /proc/self/attr/exec".to_owned())
}

/// Whether process `pid`, which has executed its program, is in the policy namespace of `label`, out of which nothing leads.
/// A profile may have changed to another one meanwhile, and a process that has ended says nothing.
pub fn verify(pid: i32, label: &str) -> Result<()> {
    let Some(own) = parts(label).find(|part| part.starts_with(':')) else { return Ok(()) };
    let read = |place: &str| fs::read_to_string(format!("/proc/{pid}/{place}/current"));
    match read(PLACES[0]).or_else(|_| read(PLACES[1])) {
        Ok(found) => compare(own, &found),
        Err(_) => Ok(()),
    }
}

/// Every part of `wanted` is in what the kernel says.
fn compare(wanted: &str, found: &str) -> Result<()> {
    let has = |part: &str| parts(found).any(|one| one == part);
    if parts(wanted).all(has) {
        return Ok(());
    }
    Err(Error::ReadBack { what: "the AppArmor label", wanted: wanted.to_owned(), found: found.trim().to_owned() })
}

/// `PROFILE//&:NAMESPACE:PROFILE (MODE)`.
fn parts(label: &str) -> impl Iterator<Item = &str> {
    let label = label.trim_end_matches(['\n', '\0']);
    let modes = ["enforce", "complain", "kill", "unconfined", "mixed", "user"];
    let bare = label.rsplit_once(" (").filter(|(_, mode)| modes.contains(&mode.trim_end_matches(')')));
    bare.map_or(label, |(bare, _)| bare).split("//&")
}

#[cfg(test)]
mod tests {
    use super::{compare, parts};

    #[test]
    fn parts_of_what_kernels_say() {
        let all = |label| parts(label).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(all("unconfined\n"), ["unconfined"]);
        assert_eq!(all(":vserver-web1:unconfined\n"), [":vserver-web1:unconfined"]);
        assert_eq!(all("held//&:vserver-web1:unconfined (enforce)\n"), ["held", ":vserver-web1:unconfined"]);
        assert_eq!(all("a (b)//&:n:unconfined (mixed)\0"), ["a (b)", ":n:unconfined"]);
        assert_eq!(all("a (b)"), ["a (b)"]);
    }

    #[test]
    fn every_part_must_be_there() {
        assert!(compare("held//&:n:unconfined", "held//&:n:unconfined (enforce)\n").is_ok());
        assert!(compare(":n:unconfined", "unconfined//&:n:unconfined\n").is_ok());
        assert!(compare(":n:unconfined", "unconfined\n").is_err());
        assert!(compare("held//&:n:unconfined", ":n:unconfined\n").is_err());
    }
}
