//! Running other programs, and the few facts about this machine that every verb asks for.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::Outcome;

/// Announces what comes; standard output is for results.
pub fn say(text: &str) {
    eprintln!("== {text}");
}

/// A command line; standard input is empty so that nothing waits for an answer.
pub fn command<S: AsRef<OsStr>>(program: impl AsRef<OsStr>, arguments: &[S]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs a command in the sight of the user.
pub fn run(command: &mut Command) -> Outcome {
    let line = describe(command);
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{line}` failed ({status})")),
        Err(error) => Err(format!("could not run `{line}`: {error}")),
    }
}

/// Runs a command and gives what it printed; failure carries its last words.
pub fn capture(command: &mut Command) -> Result<String, String> {
    let line = describe(command);
    let output = command.output().map_err(|error| format!("could not run `{line}`: {error}"))?;
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(format!("`{line}` failed ({}): {}", output.status, last_words(&output)))
}

/// Whether a command succeeds, silently.
pub fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Bytes that a program printed, as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn last_words(output: &Output) -> String {
    let said = [text(&output.stdout), text(&output.stderr)].concat();
    let lines: Vec<&str> = said.lines().rev().filter(|line| !line.trim().is_empty()).take(6).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// Whether we are root.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

/// Refuses in one sentence unless we are root.
pub fn need_root(verb: &str) -> Outcome {
    if is_root() {
        return Ok(());
    }
    Err(format!("`cargo xtask {verb}` makes namespaces, cgroups and mounts, so it must be run as root"))
}

/// Where a program lies, in `PATH` or the places of root's programs.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let dirs = path.split(':').chain(["/usr/sbin", "/sbin"]).map(Path::new);
    dirs.map(|dir| dir.join(program)).find(|candidate| candidate.is_file())
}

/// The repository.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// Where this tool keeps what is slow to make: the VM's kernel, a Debian tree to measure with. Not below `/var/cache` or
/// `/tmp`: the VM sees those as its own, empty ones.
pub const KEEP: &str = "/var/lib/vserver-xtask";
