//! A machine that runs: rsync(1) by ssh(1), which carries everything that a file has, and only what has changed the next
//! time.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use super::left_out::{EMPTIED, GONE};
use super::{Import, itself};
use crate::signals::Signals;
use crate::{Error, Progress, child};

/// Read to learn whether the machine is this one: equal only on the same running kernel.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// What a report reads, for rsync: everything else is not fetched for it.
const READ: [&str; 15] = [
    "/etc/***",
    "/usr/",
    "/usr/lib/",
    "/usr/lib/os-release",
    "/usr/lib/systemd/",
    "/usr/lib/systemd/systemd",
    "/usr/lib/systemd/system/***",
    "/usr/sbin/",
    "/usr/bin/",
    "/usr/bin/sh",
    "/bin",
    "/sbin",
    "/lib",
    "init",
    "openrc",
];

/// `ssh://[USER@]HOST[:PORT][/PATH]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// `[user@]host`
    pub host: String,
    /// Port of its ssh server, if not the usual one.
    pub port: Option<u16>,
    /// The directory there that is the root, `/` by default.
    pub path: PathBuf,
}

/// What a machine is fetched into.
pub(super) struct Into<'a> {
    /// The tree.
    pub root: &'a Path,
    /// A directory of ours for what programs say.
    pub logs: &'a Path,
    /// Only what a report reads.
    pub hollow: bool,
    /// Names that stay as they are here.
    pub kept: &'a [&'a str],
}

impl FromStr for Remote {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || Error::BadWord { word: text.to_owned(), what: "machine: write ssh://[USER@]HOST[:PORT][/PATH]" };
        let rest = text.strip_prefix("ssh://").ok_or_else(bad)?;
        let (place, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().map_err(|_| bad())?)),
            _ => (place, None),
        };
        // Neither may be taken for an option, nor for a word of a shell, here or there.
        let plain = |c: char| c.is_ascii_alphanumeric() || "@._-:[]".contains(c);
        let plain_path = |c: char| c.is_alphanumeric() || "/._-+@".contains(c);
        if host.is_empty() || host.starts_with('-') || !host.chars().all(plain) || !path.chars().all(plain_path) {
            return Err(bad());
        }
        Ok(Self { host: host.to_owned(), port, path: PathBuf::from(path) })
    }
}

impl Remote {
    /// Makes the tree what the machine has; what is gone there goes here.
    pub(super) fn fetch(
        &self,
        into: &Into<'_>,
        import: &Import,
        signals: &Signals,
        progress: &mut dyn Progress,
    ) -> Result<(), Error> {
        for (program, package) in [("rsync", "rsync"), ("ssh", "openssh-client")] {
            if !child::installed(program) {
                return Err(Error::Missing { program, package });
            }
        }
        if !import.this_host && self.path == Path::new("/") {
            self.refuse_host(into.logs, signals, progress)?;
        }
        progress.stage(&format!("copying from {}", self.host));
        let mut command = Command::new("rsync");
        command.args(["-aHAXS", "--no-devices", "--numeric-ids", "--delete", "--delete-during"]);
        command.args(["--filter=-x trusted.*", "--filter=-x security.selinux"]);
        if !import.as_is {
            command.args(EMPTIED.iter().map(|(dir, _)| format!("--exclude=/{dir}/*")));
            command.args(GONE.iter().map(|(name, _)| format!("--exclude=/{name}")));
        }
        command.args(into.kept.iter().map(|name| format!("--exclude=/{name}")));
        if into.hollow {
            command.args(READ.iter().map(|name| format!("--include={name}"))).arg("--exclude=*");
        }
        command.arg("-e").arg(self.shell().join(" "));
        let from = self.path.join(&import.below);
        command.arg(format!("{}:{}/", self.host, from.display().to_string().trim_end_matches('/')));
        command.arg(into.root.join(""));
        child::run("rsync", &mut command, &log(into.logs, "rsync"), signals, progress)
    }

    /// The words that run a command there. It may ask for nothing: nobody is there to answer.
    fn shell(&self) -> Vec<String> {
        let mut words: Vec<String> = ["ssh", "-o", "BatchMode=yes"].map(str::to_owned).into();
        if let Some(port) = self.port {
            words.extend(["-p".to_owned(), port.to_string()]);
        }
        words
    }

    fn refuse_host(&self, logs: &Path, signals: &Signals, progress: &mut dyn Progress) -> Result<(), Error> {
        progress.stage(&format!("asking {}", self.host));
        let words = self.shell();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg("--").arg(&self.host).args(["cat", BOOT_ID]);
        let answer = log(logs, "ssh");
        child::run("ssh", &mut command, &answer, signals, progress)?;
        let theirs = std::fs::read_to_string(&answer).map_err(Error::io("read", &answer))?;
        let own = std::fs::read_to_string(BOOT_ID).map_err(Error::io("read", BOOT_ID))?;
        if theirs.lines().any(|line| line == own.trim()) { Err(itself()) } else { Ok(()) }
    }
}

fn log(logs: &Path, name: &str) -> PathBuf {
    logs.join(format!("{name}.log"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_by_their_address() {
        let remote = |text: &str| text.parse::<Remote>().map(|r| (r.host, r.port, r.path.display().to_string()));
        assert_eq!(remote("ssh://old").unwrap(), ("old".into(), None, "/".into()));
        assert_eq!(
            remote("ssh://root@old.example.org:2222/srv/x").unwrap(),
            ("root@old.example.org".into(), Some(2222), "/srv/x".into())
        );
        assert_eq!(remote("ssh://[2001:db8::1]/").unwrap(), ("[2001:db8::1]".into(), None, "/".into()));
        for bad in [
            "ssh://",
            "ssh://-oProxyCommand=x/",
            "ssh://a b/",
            "ssh://a;b/",
            "ssh://a/$(b)",
            "ssh://a:x/",
            "http://a/",
        ] {
            assert!(remote(bad).is_err(), "{bad}");
        }
    }
}
