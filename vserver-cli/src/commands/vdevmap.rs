//! `vdevmap`: devices that a running guest may open.

use std::os::unix::fs::{FileTypeExt, MetadataExt};

use nix::sys::stat::{major, minor};
use vserver_runtime::bare::Side;
use vserver_types::Exit;

use crate::args::VdevmapArgs;
use crate::commands::chain::{self, Target};
use crate::context::Context;
use crate::error::CliError;

/// `create` and `open` of `--flags`. Source: util-vserver, `flags.md` §11.
const CREATE: u32 = 1;
const OPEN: u32 = 2;

/// Allows a device or takes it away.
pub fn run(args: &VdevmapArgs, context: &Context) -> Result<Exit, CliError> {
    if args.set == args.unset {
        return Err(CliError::usage("vdevmap", "one of --set and --unset is needed", Exit::Failure));
    }
    let flags = args.flags.unwrap_or(0);
    if args.remap || args.target.is_some() || flags & !(CREATE | OPEN) != 0 {
        let why = "--remap: a stock kernel has no device behind another's number; make a node of the wanted one in the guest";
        return Err(CliError::Refused(why.to_owned()));
    }
    let record = match chain::target(context, Side::Context, Some(&args.xid))? {
        Target::Guest(record) => record,
        _ => return Err(chain::no_such(Side::Context, Some(&args.xid))),
    };
    let line = rule(args, flags)?;
    chain::report(context, &vserver_runtime::change_devices(&context.host, &record.name, &line, args.set)?);
    Ok(Exit::Success)
}

/// In the format of `devices.allow`: `c 10:229 rwm`.
fn rule(args: &VdevmapArgs, flags: u32) -> Result<String, CliError> {
    let (create, open) = (args.create || flags & CREATE != 0, args.open || flags & OPEN != 0);
    let access = match (open, create) {
        (true, false) => "rw",
        (false, true) => "m",
        _ => "rwm",
    };
    let Some(path) = &args.device else {
        return Err(CliError::usage("vdevmap", "--device is needed", Exit::Failure));
    };
    let found = std::fs::metadata(path).map_err(CliError::io(format!("cannot look at '{}'", path.display())))?;
    let kind = match found.file_type() {
        kind if kind.is_char_device() => 'c',
        kind if kind.is_block_device() => 'b',
        _ => return Err(CliError::Refused(format!("'{}' is not a device", path.display()))),
    };
    Ok(format!("{kind} {}:{} {access}", major(found.rdev()), minor(found.rdev())))
}
