//! `exec-ulimit`: limits from files, then the command. Source: util-vserver, `config-tree.md` §5.3.2.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use vserver_types::Exit;

use super::{failed, wrong};
use crate::commands::chcontext::become_command;
use crate::context::Context;
use crate::error::CliError;

/// A directory that is missing sets nothing.
pub fn run(words: &[OsString], context: &Context) -> Result<Exit, CliError> {
    let [dir, command @ ..] = words else {
        return Err(wrong(context, Exit::BeforeExec));
    };
    for (name, resource) in LIMITS {
        set(Path::new(dir), name, *resource).map_err(failed(&format!("set the limit {name} of"), dir))?;
    }
    Err(become_command(command))
}

const LIMITS: &[(&str, Resource)] = &[
    ("cpu", Resource::RLIMIT_CPU),
    ("fsize", Resource::RLIMIT_FSIZE),
    ("data", Resource::RLIMIT_DATA),
    ("stack", Resource::RLIMIT_STACK),
    ("core", Resource::RLIMIT_CORE),
    ("rss", Resource::RLIMIT_RSS),
    ("nproc", Resource::RLIMIT_NPROC),
    ("nofile", Resource::RLIMIT_NOFILE),
    ("memlock", Resource::RLIMIT_MEMLOCK),
    ("as", Resource::RLIMIT_AS),
    ("locks", Resource::RLIMIT_LOCKS),
];

/// `NAME` is both limits, `NAME.hard` and `NAME.soft` one; soft never above hard.
fn set(dir: &Path, name: &str, resource: Resource) -> std::io::Result<()> {
    let read = |suffix: &str| -> std::io::Result<Option<u64>> {
        match fs::read_to_string(dir.join(format!("{name}{suffix}"))) {
            Ok(text) => value(text.trim()).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    };
    let (both, hard, soft) = (read("")?, read(".hard")?, read(".soft")?);
    if both.is_none() && hard.is_none() && soft.is_none() {
        return Ok(());
    }
    let (now_soft, now_hard) = getrlimit(resource)?;
    let hard = hard.or(both).unwrap_or(now_hard);
    let soft = soft.or(both).unwrap_or(now_soft).min(hard);
    Ok(setrlimit(resource, soft, hard)?)
}

fn value(text: &str) -> std::io::Result<u64> {
    if text.starts_with("inf") {
        return Ok(u64::MAX);
    }
    text.parse().map_err(|_| std::io::Error::other(format!("'{text}' is not a number or inf")))
}
