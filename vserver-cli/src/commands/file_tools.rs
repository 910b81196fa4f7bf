//! What the four programs for attributes of files share.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use vserver_disk::{Depth, Found, Reach, walk};
use vserver_types::Exit;

use crate::args::Listed;
use crate::context::Context;
use crate::error::CliError;

/// A line of text for everything that `listed` means, in the order of the original: a directory before its entries.
/// `show` gives the columns before the name; where something could not be looked at, `bad` stands there. Exit status 1 if
/// anything was bad.
pub fn list(
    listed: &Listed,
    context: &Context,
    bad: &str,
    show: &mut dyn FnMut(&Found<'_>) -> io::Result<String>,
) -> Result<Exit, CliError> {
    let depth = match (listed.directory, listed.recursive) {
        (_, true) => Depth::All,
        (true, false) => Depth::Itself,
        (false, false) => Depth::Entries,
    };
    let reach = Reach { depth, hidden: listed.all, one_filesystem: listed.one_filesystem };
    let here = [PathBuf::from(".")];
    let files = if listed.files.is_empty() { &here[..] } else { &listed.files };
    let (mut exit, mut failed) = (Exit::Success, None);
    for file in files {
        walk(file, reach, &mut |met| {
            let (path, columns) = match met {
                Ok(found) => (found.path, show(&found)),
                Err((path, error)) => (path, Err(error)),
            };
            let columns = columns.unwrap_or_else(|_| {
                exit = Exit::Failure;
                bad.to_owned()
            });
            failed = write(context, &columns, path).err();
            if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }
    failed.map_or(Ok(exit), Err)
}

fn write(context: &Context, columns: &str, path: &Path) -> Result<(), CliError> {
    let name = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str());
    context.printer.bytes(&[columns.as_bytes(), name, b"\n"].concat())
}

/// Does the same to all files, with `recursive` to all below them. What fails is told, and gives exit status 1 at the end.
pub fn change(
    files: &[PathBuf],
    (recursive, one_filesystem): (bool, bool),
    context: &Context,
    act: &mut dyn FnMut(&Found<'_>) -> io::Result<()>,
) -> Exit {
    let depth = if recursive { Depth::All } else { Depth::Itself };
    let reach = Reach { depth, hidden: true, one_filesystem };
    let mut exit = Exit::Success;
    for file in files {
        walk(file, reach, &mut |met| {
            let failed = match met {
                Ok(found) => act(&found).err().map(|error| (found.path, error)),
                Err(failed) => Some(failed),
            };
            if let Some((path, error)) = failed {
                exit = Exit::Failure;
                context.printer.warn(format_args!("{}: {}", path.display(), crate::error::chain(&error)));
            }
            ControlFlow::Continue(())
        });
    }
    exit
}
