//! Programs that make and check file systems.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::error::{Error, Result};

fn path() -> String {
    std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin"
}

/// Whether a program is found.
pub(super) fn is_installed(program: &str) -> bool {
    path().split(':').any(|dir| Path::new(dir).join(program).is_file())
}

/// Runs a program of a Debian package on an image; `good` are the statuses of a success.
pub(super) fn run<S: AsRef<OsStr>>(
    program: &'static str,
    package: &'static str,
    arguments: &[S],
    image: &Path,
    good: &[i32],
) -> Result<()> {
    let mut command = Command::new(program);
    command.args(arguments).arg("--").arg(image).env("PATH", path()).stdin(Stdio::null());
    // An image half made is worse than one that is made a moment longer: the terminal's Ctrl-C is for us, who then remove it.
    let output = command.process_group(0).output();
    let output = output.map_err(|error| match error.kind() {
        ErrorKind::NotFound => Error::Missing { program, package },
        _ => Error::call("run a program on", image)(error),
    })?;
    match output.status.code().is_some_and(|code| good.contains(&code)) {
        true => Ok(()),
        false => Err(Error::Program {
            program,
            path: image.to_owned(),
            status: output.status.to_string(),
            words: last_words(output),
        }),
    }
}

fn last_words(output: Output) -> String {
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().escape_debug().to_string();
    text.chars().rev().take(300).collect::<Vec<_>>().into_iter().rev().collect()
}
