//! `chroot-sh`: file operations with the working directory as the root.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};

use vserver_types::Exit;

use super::{chroot_here, failed, wrong};
use crate::context::Context;
use crate::error::CliError;

/// Does one operation. Data goes through standard input and output.
pub fn run(words: &[OsString], context: &Context) -> Result<Exit, CliError> {
    let Some((verb, rest)) = words.split_first() else {
        return Err(wrong(context, Exit::Failure));
    };
    chroot_here()?;
    match (verb.to_str().unwrap_or_default(), rest) {
        ("cat", [file]) => {
            let mut from = File::open(file).map_err(failed("open", file))?;
            let mut bytes = Vec::new();
            io::Read::read_to_end(&mut from, &mut bytes).map_err(failed("read", file))?;
            context.printer.bytes(&bytes)?;
        }
        ("append", [file]) => copy(OpenOptions::new().append(true).create(true), file)?,
        ("truncate", [file]) => copy(OpenOptions::new().write(true).create(true).truncate(true), file)?,
        ("testfile", [file]) => {
            return Ok(if fs::metadata(file).is_ok_and(|found| found.is_file()) {
                Exit::Success
            } else {
                Exit::Failure
            });
        }
        ("rm", files @ [_, ..]) => each(files, "remove", |file| fs::remove_file(file))?,
        ("mkdir", dirs @ [_, ..]) => each(dirs, "make the directory", |dir| fs::create_dir(dir))?,
        ("chmod", [mode, files @ ..]) => {
            let bits = mode.to_str().and_then(|text| u32::from_str_radix(text, 8).ok());
            let bits = bits.ok_or_else(|| CliError::Refused("the mode is no octal number".to_owned()))?;
            each(files, "change the mode of", |file| fs::set_permissions(file, fs::Permissions::from_mode(bits)))?;
        }
        ("link", [target, link]) => symlink(target, link).map_err(failed("make the link", link))?,
        ("mv", [from, to]) => fs::rename(from, to).map_err(failed("move", from))?,
        ("realpath", paths @ [_, ..]) => {
            for path in paths {
                context.printer.line(fs::canonicalize(path).map_err(failed("find", path))?.display())?;
            }
        }
        _ => return Err(wrong(context, Exit::Failure)),
    }
    Ok(Exit::Success)
}

fn copy(how: &OpenOptions, file: &OsString) -> Result<(), CliError> {
    let mut to = how.open(file).map_err(failed("open", file))?;
    io::copy(&mut io::stdin().lock(), &mut to).map_err(failed("write to", file))?;
    Ok(())
}

fn each(files: &[OsString], what: &str, work: impl Fn(&OsString) -> io::Result<()>) -> Result<(), CliError> {
    files.iter().try_for_each(|file| work(file).map_err(failed(what, file)))
}
