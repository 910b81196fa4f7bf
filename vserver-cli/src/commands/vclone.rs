//! `vclone`. Source: util-vserver, `commands.md` §8, `behaviours.md` §9.4.

use std::path::Path;

use vserver_fs::GuestRoot;
use vserver_types::Exit;

use crate::args::CloneTreeArgs;
use crate::commands::unify::subject::Subject;
use crate::context::Context;
use crate::error::CliError;

/// Gives every file of the source a name in the destination.
pub fn run(args: &CloneTreeArgs, context: &Context) -> Result<Exit, CliError> {
    if !args.destination.is_absolute() {
        let text = format!("the destination '{}' is no absolute path; give one", args.destination.display());
        return Err(CliError::Refused(text));
    }
    let list = args.exclude_from.as_deref().unwrap_or(Path::new("/dev/null"));
    let source = Subject::of_path(&args.source, list, context)?;
    std::fs::create_dir_all(&args.destination)
        .map_err(CliError::io(format!("cannot make '{}'", args.destination.display())))?;
    let to = GuestRoot::open(&args.destination).map_err(vserver_unify::Error::from)?;
    if args.verbose > 0 {
        context.printer.line("Starting to traverse directories...")?;
    }
    vserver_unify::clone_tree(&source.tree.root, &to, &source.tree.rules)?;
    Ok(Exit::Success)
}
