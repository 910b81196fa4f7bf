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
    if args.verbose >= 4 {
        context.printer.line("Starting to traverse directories...")?;
    }
    let listener = |word: &'static str, path: &Path| {
        if let Some(line) = line(word, path).filter(|(level, _)| *level <= args.verbose).map(|(_, line)| line) {
            // That nobody reads any more is no reason to leave half of it undone.
            context.printer.line(line).ok();
        }
    };
    vserver_unify::clone_tree_told(&source.tree.root, &to, &source.tree.rules, &listener)?;
    Ok(Exit::Success)
}

/// From which level on it is told, and how.
fn line(word: &str, path: &Path) -> Option<(u8, String)> {
    let shown = path.display();
    match word {
        "skipping" => Some((2, format!("  skipping '/{shown}' (excluded)"))),
        "linking" => Some((3, format!("  linking unified file '/{shown}'"))),
        "creating" => Some((5, format!("  creating directories for '/{shown}'"))),
        _ => None,
    }
}
