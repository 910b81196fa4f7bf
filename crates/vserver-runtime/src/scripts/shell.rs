//! The shell that sources scripts which are not executable. It lives from the first such script to the end of the
//! command, so what one script sets the next one sees. What it reports of the known variables is applied.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::{Child, Command};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::unistd::pipe2;

use super::child::{self, Ended};
use crate::interrupt::Interrupts;

const PROGRAM: &str = include_str!("compat.sh");
/// Longest report, bytes: an environment and some arrays.
const MAX_REPORT: usize = 8 << 20;

/// Arrays of the original that a script may read and change. Source: `config-tree.md` §6.
pub const ARRAYS: [&str; 10] = [
    "OPTS_ENV",
    "INITCMD_START",
    "INITCMD_STOP",
    "OPTS_VCONTEXT_CREATE",
    "OPTS_VATTRIBUTE",
    "OPTS_VSPACE",
    "CHBIND_CMD",
    "NICE_CMD",
    "INTERFACES",
    "VSERVER_EXTRA_CMDS",
];

/// What the shell said after a script.
#[derive(Debug, Default)]
pub struct Report {
    /// The known arrays.
    pub arrays: BTreeMap<String, Vec<String>>,
    /// The exported variables: what an executed script sees.
    pub exported: Vec<(OsString, OsString)>,
    /// The script wants the host's scripts to run, too.
    pub dont_skip_defaults: bool,
}

/// A running shell.
#[derive(Debug)]
pub struct Shell {
    child: Child,
    /// `None` only at its end.
    code: Option<File>,
    report: OwnedFd,
}

/// Why a script did not run to its end.
#[derive(Debug)]
pub enum Fault {
    /// The shell has ended with the script.
    Ended(Ended),
    /// The shell could not be used.
    Io(std::io::Error),
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl Shell {
    /// Starts one with this environment.
    pub fn start(configure: impl FnOnce(&mut Command)) -> std::io::Result<Self> {
        // The shell's ends must survive its exec; there is no other thread that could hand them to another program.
        let (their_code, code) = pipe2(OFlag::empty())?;
        let (report, their_report) = pipe2(OFlag::empty())?;
        for ours in [&code, &report] {
            fcntl(ours, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        }
        fcntl(&report, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let mut command = Command::new("bash");
        configure(&mut command);
        command.env_remove("BASH_ENV").args(["--norc", "--noprofile", "-c", PROGRAM, "vserver"]);
        command.arg(their_code.as_raw_fd().to_string()).arg(their_report.as_raw_fd().to_string());
        let child = vserver_sys::command::independent(&mut command).spawn()?;
        Ok(Self { child, code: Some(File::from(code)), report })
    }

    /// Has it evaluate code, without an answer.
    pub fn tell(&mut self, code: &str) -> std::io::Result<()> {
        let pipe = self.code.as_mut().ok_or(std::io::ErrorKind::BrokenPipe)?;
        pipe.write_all(code.as_bytes())?;
        pipe.write_all(&[0])
    }

    /// Sources one script.
    pub fn source(
        &mut self,
        script: &Path,
        arguments: [&str; 2],
        interrupts: Option<&Interrupts>,
    ) -> Result<Report, Fault> {
        let quoted = [script.to_string_lossy().as_ref(), arguments[0], arguments[1]].map(quote).join(" ");
        self.tell(&format!("_vs_source {quoted}\n_vs_report {} >&61", ARRAYS.join(" ")))?;
        let mut text = Vec::new();
        while !text.ends_with(b"\0Z\0") {
            if let Some(ended) = child::wait(&mut self.child, interrupts, Some(&self.report))? {
                return Err(Fault::Ended(ended));
            }
            if self.read(&mut text)? == 0 {
                let status = self.child.wait()?;
                return Err(Fault::Ended(Ended::Status(status)));
            }
        }
        Ok(parse(&text))
    }

    fn read(&mut self, text: &mut Vec<u8>) -> std::io::Result<usize> {
        let mut buffer = [0; 16 << 10];
        let count = File::from(self.report.as_fd().try_clone_to_owned()?).read(&mut buffer)?;
        text.extend_from_slice(&buffer[..count]);
        if text.len() > MAX_REPORT {
            return Err(std::io::Error::other("its shell says more than 8 MiB"));
        }
        Ok(count)
    }
}

impl Drop for Shell {
    /// Lets it end.
    fn drop(&mut self) {
        self.code = None;
        // Its exit trap may take a while; it cannot outlive us.
        child::wait(&mut self.child, None, None).ok();
    }
}

fn parse(text: &[u8]) -> Report {
    let mut report = Report::default();
    let mut array = None;
    for field in text.split(|byte| *byte == 0) {
        let Some((kind, rest)) = field.split_first() else { continue };
        let words = || String::from_utf8_lossy(rest).into_owned();
        match kind {
            b'A' => array = Some(report.arrays.entry(words()).or_default()),
            b'=' => array.iter_mut().for_each(|array| array.push(words())),
            b'E' => {
                let at = rest.iter().position(|byte| *byte == b'=').unwrap_or(rest.len());
                let (name, value) = (rest[..at].to_vec(), rest.get(at + 1..).unwrap_or_default().to_vec());
                report.exported.push((OsString::from_vec(name), OsString::from_vec(value)));
            }
            b'D' => report.dont_skip_defaults = !rest.is_empty(),
            _ => {}
        }
    }
    report
}

/// A word that the shell takes literally.
pub fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\0', "").replace('\'', "'\\''"))
}

/// An assignment of an array.
pub fn assign(name: &str, values: &[String]) -> String {
    let values: Vec<_> = values.iter().map(|value| quote(value)).collect();
    format!("{name}=( {} )", values.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Result<Report, Fault> {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("it's a script");
        std::fs::write(&script, text).unwrap();
        let mut shell = Shell::start(|command| {
            command.env("PATH", "/usr/bin:/bin");
        })
        .unwrap();
        shell.tell("_vs_strict").unwrap();
        shell.tell(&assign("OPTS_ENV", &["PATH=/bin".to_owned(), "A=it's\nb".to_owned()])).unwrap();
        shell.source(&script, ["pre-start", "web1"], None)
    }

    #[test]
    fn changes_come_back() {
        let report = source(
            "OPTS_ENV=( \"${OPTS_ENV[@]}\" \"ARGS=$1 $2\" )\nDONT_SKIP_DEFAULTS=1\nexport SEEN=yes\nname=mine\n",
        )
        .unwrap();
        assert_eq!(report.arrays["OPTS_ENV"], ["PATH=/bin", "A=it's\nb", "ARGS=pre-start web1"]);
        assert!(report.arrays["INITCMD_START"].is_empty());
        assert!(report.dont_skip_defaults);
        assert!(report.exported.contains(&("SEEN".into(), "yes".into())));
    }

    #[test]
    fn a_failing_command_ends_it_with_its_status() {
        let Err(Fault::Ended(Ended::Status(status))) =
            source("x=$(false; echo kept)\ntest \"$x\" = kept\n(exit 7)\necho not reached\n")
        else {
            panic!("it did not fail");
        };
        assert_eq!(status.code(), Some(7));
    }
}
