//! `showattr`. Source of the format: util-vserver, `commands.md` §7, `flags.md` §10.

use std::io;
use std::os::fd::AsFd;

use vserver_disk::Found;
use vserver_sys::{project, xattr};
use vserver_types::Exit;

use super::file_tools;
use super::lsxid::Filesystems;
use crate::args::ShowattrArgs;
use crate::context::Context;
use crate::error::CliError;

/// Where the barrier of a directory is recorded.
pub const BARRIER: &std::ffi::CStr = c"trusted.vserver.barrier";

/// Shows the attributes of files.
pub fn run(args: &ShowattrArgs, context: &Context) -> Result<Exit, CliError> {
    let mut filesystems = Filesystems::default();
    file_tools::list(&args.listed, context, "ERR       ", &mut |found| {
        let tagged = filesystems.keep_tags(found)?;
        attributes(found, tagged).map(|letters| format!("{letters} "))
    })
}

/// `a w h m` are of the patched kernel's /proc, `u` and `c` of its file systems: no stock kernel has them.
fn attributes(found: &Found<'_>, tagged: bool) -> io::Result<String> {
    let barrier = match found.file.as_ref().filter(|_| found.is_dir()) {
        Some(directory) => barrier(directory.as_fd())?,
        None => None,
    };
    let immutable = match &found.file {
        Some(file) => match project::get(file.as_fd()) {
            Ok(own) => Some(own.flags & project::IMMUTABLE != 0),
            Err(error) if is_unknown(&error) => None,
            Err(error) => return Err(error),
        },
        None => None,
    };
    let tag = if tagged { Some(vserver_disk::tag_of(found)? != 0) } else { None };
    Ok(format!("----{}-{}-{}", letter('b', barrier), letter('i', immutable), letter('x', tag)))
}

fn letter(name: char, on: Option<bool>) -> char {
    match on {
        None => '-',
        Some(false) => name,
        Some(true) => name.to_ascii_uppercase(),
    }
}

/// `None` where the file system keeps no such attribute.
fn barrier(directory: std::os::fd::BorrowedFd<'_>) -> io::Result<Option<bool>> {
    match xattr::get(directory, BARRIER) {
        Ok(found) => Ok(Some(found.is_some())),
        Err(error) if is_unknown(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Not known to this kind of file.
pub fn is_unknown(error: &io::Error) -> bool {
    use nix::errno::Errno;
    let unknown = [Errno::ENOTTY, Errno::EOPNOTSUPP, Errno::ENOSYS, Errno::EINVAL];
    error.raw_os_error().is_some_and(|number| unknown.contains(&Errno::from_raw(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_a_bare_file_system() {
        assert_eq!([letter('b', None), letter('b', Some(false)), letter('b', Some(true))], ['-', 'b', 'B']);
    }
}
