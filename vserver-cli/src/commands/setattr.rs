//! `setattr`. Source: util-vserver, `commands.md` §7, `flags.md` §10.

use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;
use vserver_disk::Found;
use vserver_sys::{project, xattr};
use vserver_types::Exit;

use super::file_tools;
use super::showattr::BARRIER as BARRIER_NAME;
use crate::args::{BARRIER, Change, IMMUTABLE, SetattrArgs};
use crate::context::Context;
use crate::error::CliError;

/// Sets and clears attributes of files.
pub fn run(args: &SetattrArgs, change: Change, context: &Context) -> Result<Exit, CliError> {
    if args.files.is_empty() {
        return Err(CliError::usage("setattr", "a file is needed", Exit::Failure));
    }
    // Where an attribute is to be set and unset, unset wins.
    let set = change.set & !change.clear;
    if set & !(BARRIER | IMMUTABLE) != 0 {
        let reason =
            "no stock kernel has iunlink, cow, admin, watch, hide or write; only barrier and immutable can be set";
        context.printer.note(reason);
    }
    let reach = (args.recursive, args.one_filesystem);
    Ok(file_tools::change(&args.files, reach, context, &mut |found| apply(found, set, change.clear)))
}

/// All or nothing of what is to be set. To clear what no kernel has is done already.
fn apply(found: &Found<'_>, set: u32, clear: u32) -> io::Result<()> {
    let refused = |errno: Errno| Err(io::Error::from_raw_os_error(errno as i32));
    if set & !(BARRIER | IMMUTABLE) != 0 {
        return refused(Errno::EOPNOTSUPP);
    }
    if set & BARRIER != 0 && !found.is_dir() {
        return refused(Errno::ENOTDIR);
    }
    let Some(file) = found.file.as_ref() else {
        return if set & IMMUTABLE != 0 { refused(Errno::EOPNOTSUPP) } else { Ok(()) };
    };
    // An immutable directory takes no attribute.
    let immutable = |on: bool| -> io::Result<()> {
        let mut own = project::get(file.as_fd())?;
        let flags = if on { own.flags | project::IMMUTABLE } else { own.flags & !project::IMMUTABLE };
        if flags == own.flags {
            return Ok(());
        }
        own.flags = flags;
        project::set(file.as_fd(), &own)
    };
    if clear & IMMUTABLE != 0 {
        immutable(false).or_else(|error| if super::showattr::is_unknown(&error) { Ok(()) } else { Err(error) })?;
    }
    if set & BARRIER != 0 {
        xattr::set(file.as_fd(), BARRIER_NAME, b"1")?;
    }
    if clear & BARRIER != 0 && found.is_dir() {
        xattr::remove(file.as_fd(), BARRIER_NAME)?;
    }
    if set & IMMUTABLE != 0 { immutable(true) } else { Ok(()) }
}
