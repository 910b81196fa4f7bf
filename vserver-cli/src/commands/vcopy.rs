//! `vcopy`. Source: util-vserver, `commands.md` §8, `behaviours.md` §9.1.

use std::path::Path;

use vserver_types::Exit;

use crate::args::CopyTreeArgs;
use crate::commands::unify::subject::{self, Subject};
use crate::commands::vserver::text;
use crate::context::Context;
use crate::error::CliError;

/// Shares, copies or leaves out each file of the source, as both lists say.
pub fn run(args: &CopyTreeArgs, context: &Context) -> Result<Exit, CliError> {
    let usage = |fault: &str| CliError::usage("vcopy", fault, Exit::Failure);
    let (to, from) = match (&args.words[..], args.walk.manually) {
        ([to, to_list, from, from_list], true) => {
            let of = |path, list| Subject::of_path(Path::new(path), Path::new(list), context);
            (of(to, to_list)?, of(from, from_list)?)
        }
        (_, true) => return Err(usage("--manually takes two pairs of a tree and an exclude list")),
        ([to, from], false) => by_name(&text(to)?, &text(from)?, args, context)?,
        (_, false) => return Err(usage("two guests are needed, first the one that is filled")),
    };
    if args.walk.verbose >= 4 {
        context.printer.line("Starting to traverse directories...")?;
    }
    let told = args.walk.dry_run || args.walk.verbose >= 2;
    let listener = |word: &'static str, path: &Path| {
        if told {
            // That nobody reads any more is no reason to leave half of it undone.
            context.printer.line(format_args!("{word:<8} '/{}'", path.display())).ok();
        }
    };
    let lists = [&to.tree.rules, &from.tree.rules];
    vserver_unify::copy_by_rules(&from.tree.root, &to.tree.root, lists, args.walk.dry_run, &listener)?;
    Ok(Exit::Success)
}

fn by_name(to: &str, from: &str, args: &CopyTreeArgs, context: &Context) -> Result<(Subject, Subject), CliError> {
    let (to, from) = (subject::name(to)?, subject::name(from)?);
    if to == from {
        return Err(CliError::usage("vcopy", "two guests are needed, not one twice", Exit::Failure));
    }
    let own = context.host.confdir.join(to.as_str()).join("apps/vunify");
    if !args.strict && own.parent().and_then(Path::parent).is_some_and(Path::is_dir) {
        std::fs::create_dir_all(&own).map_err(CliError::io(format!("cannot make '{}'", own.display())))?;
    }
    // Every command takes locks in this order, so that two cannot wait for each other.
    let (first, second) = if to < from { (&to, &from) } else { (&from, &to) };
    let (first, second) = (Subject::of_guest(first, context)?, Subject::of_guest(second, context)?);
    Ok(if to < from { (first, second) } else { (second, first) })
}
