//! Helpers that do one thing and become their command.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

use nix::unistd::{chroot, fchdir};
use vserver_sys::process;
use vserver_types::{Exit, Xid};

use super::{chroot_here, failed, operands, wrong};
use crate::commands::chcontext::become_command;
use crate::context::Context;
use crate::error::CliError;

/// `exec-cd`: the directory is looked for with the working directory as the root, then the real root comes back.
pub fn in_directory(words: &[OsString], context: &Context) -> Result<Exit, CliError> {
    let [dir, command @ ..] = operands(words) else {
        return Err(wrong(context, Exit::BeforeExec));
    };
    let Some(program) = command.first() else {
        return Err(wrong(context, Exit::BeforeExec));
    };
    if !Path::new(program).is_absolute() {
        let name = program.to_string_lossy();
        return Err(CliError::Refused(format!("'{name}' is no full path; exec-cd does not search PATH")));
    }
    let root = File::open("/").map_err(CliError::io("cannot open the root directory"))?;
    chroot_here()?;
    std::env::set_current_dir(dir).map_err(failed("change to", dir))?;
    let inside = File::open(".").map_err(failed("open", dir))?;
    let back = fchdir(&root).and_then(|()| chroot(".")).and_then(|()| fchdir(&inside));
    back.map_err(|errno| CliError::io("cannot return to the root directory")(errno.into()))?;
    Err(become_command(command))
}

/// `exec-remount`: mount points, then the command. The original's test for the feature always said no.
pub fn remount(words: &[OsString], context: &Context) -> Result<Exit, CliError> {
    match words.iter().position(|word| word == "--").map(|dashes| &words[dashes + 1..]) {
        Some(command @ [_, ..]) => Err(become_command(command)),
        _ => Err(wrong(context, Exit::BeforeExec)),
    }
}

/// `sigexec`: a caller that ignores or blocks signals hands that on to what it runs; not through this one.
pub fn with_signals(words: &[OsString], context: &Context) -> Result<Exit, CliError> {
    let command = operands(words);
    if command.is_empty() {
        return Err(wrong(context, Exit::BeforeExec));
    }
    process::default_signals().map_err(CliError::io("cannot reset the signals"))?;
    Err(become_command(command))
}

/// `bash-wrapper`: bash with all words.
pub fn bash(words: &[OsString], _: &Context) -> Result<Exit, CliError> {
    let words: Vec<OsString> = std::iter::once("/bin/bash".into()).chain(words.iter().cloned()).collect();
    Err(become_command(&words))
}

/// `chain-echo`: the text as it is, without a newline.
pub fn echo(words: &[OsString], context: &Context) -> Result<Exit, CliError> {
    let [file, text, command @ ..] = words else {
        return Err(wrong(context, Exit::BeforeExec));
    };
    let open = OpenOptions::new().write(true).create(true).truncate(true).open(file);
    let written = open.and_then(|mut out| out.write_all(std::os::unix::ffi::OsStrExt::as_bytes(text.as_os_str())));
    written.map_err(failed("write to", file))?;
    Err(become_command(command))
}

/// `save_ctxinfo`: the run file, which must not be there yet, and the link to the configuration under the number of the
/// guest's context.
pub fn save_number(words: &[OsString], context: &Context) -> Result<Exit, CliError> {
    let [cfg, command @ ..] = words else {
        return Err(wrong(context, Exit::BeforeExec));
    };
    let file = Path::new(cfg).join("context");
    let text = fs::read_to_string(&file).map_err(CliError::io(format!("cannot read '{}'", file.display())))?;
    let xid: Xid = text.parse().map_err(|error: vserver_types::ParseError| CliError::Refused(error.to_string()))?;
    let run = fs::canonicalize(cfg).map_err(failed("find", cfg))?.join("run");
    let target = fs::read_link(&run).map_or(run.clone(), |target| run.with_file_name("").join(target));
    let made = OpenOptions::new().write(true).create_new(true).open(&target);
    made.and_then(|mut out| writeln!(out, "{xid}"))
        .map_err(CliError::io(format!("cannot make the run file '{}'", target.display())))?;
    let reverse = context.host.run_reverse();
    fs::create_dir_all(&reverse).map_err(CliError::io(format!("cannot make '{}'", reverse.display())))?;
    let link = reverse.join(xid.to_string());
    let _ = fs::remove_file(&link);
    std::os::unix::fs::symlink(cfg, &link)
        .map_err(CliError::io(format!("cannot make the link '{}'", link.display())))?;
    Err(become_command(command))
}
