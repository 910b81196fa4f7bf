//! `chxid`. Source: util-vserver, `commands.md` §7.

use std::io;
use std::os::fd::AsFd;

use vserver_disk::{Found, set_tag};
use vserver_sys::project;
use vserver_types::Exit;

use super::file_tools;
use super::lsxid::Filesystems;
use crate::args::ChxidArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::resolve;

/// Gives files to a guest.
pub fn run(args: &ChxidArgs, context: &Context) -> Result<Exit, CliError> {
    let Some(word) = args.xid.as_deref().filter(|_| !args.files.is_empty()) else {
        let fault = if args.xid.is_none() { "-c is needed: whose the files are to be" } else { "a file is needed" };
        return Err(CliError::usage("chxid", fault, Exit::Failure));
    };
    let tag = resolve::tag_word(context, word)?;
    let mut filesystems = Filesystems::default();
    let reach = (args.recursive, args.one_filesystem);
    Ok(file_tools::change(&args.files, reach, context, &mut |found| {
        if args.skip_unified && is_unified(found) {
            return Ok(());
        }
        if !filesystems.keep_tags(found)? {
            return Err(io::Error::from_raw_os_error(nix::errno::Errno::EOPNOTSUPP as i32));
        }
        set_tag(found, tag)
    }))
}

/// As far as a stock kernel shows it: immutable, and with several names.
fn is_unified(found: &Found<'_>) -> bool {
    let immutable = found.file.as_ref().and_then(|file| project::get(file.as_fd()).ok());
    let immutable = immutable.is_some_and(|own| own.flags & project::IMMUTABLE != 0);
    !found.is_dir() && found.stat.st_nlink > 1 && immutable
}
