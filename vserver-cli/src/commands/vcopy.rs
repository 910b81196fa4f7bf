//! `vcopy`. Source: util-vserver, `commands.md` §8, `behaviours.md` §9.1.

use std::ffi::OsString;
use std::path::Path;

use vserver_types::{Exit, GuestName};

use crate::args::CopyTreeArgs;
use crate::commands::build;
use crate::commands::unify::subject::{self, Subject};
use crate::commands::vserver::{Guest, How, text};
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

/// What the destination lacks: a configuration like that of a new skeleton, and the directory that says that its files are to
/// be shared. A tree that is there already is taken as it is. Whether the guest is new.
fn prepare(to: &GuestName, from: &GuestName, context: &Context) -> Result<bool, CliError> {
    let config = context.host.confdir.join(to.as_str());
    // Nothing is made if there is nothing to copy.
    let (source, _) = vserver_config::read(&context.host.confdir, from)?;
    let new = !config.exists();
    if new {
        let guest = Guest { word: to.to_string(), name: to.clone(), verbose: false, how: How::default() };
        let mut words = vec!["-m", "skeleton", "--i-know-its-there"];
        // What the tree will need to start is what it brings.
        let style = source.init.style.map(|style| style.to_string());
        words.extend(style.iter().flat_map(|style| ["--initstyle", style.as_str()]));
        let words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
        build::run(&words, &guest, &Context { host: context.host.clone(), printer: context.printer.quiet(true) })?;
    }
    let own = config.join("apps/vunify");
    std::fs::create_dir_all(&own).map_err(CliError::io(format!("cannot make '{}'", own.display())))?;
    Ok(new)
}

fn by_name(to: &str, from: &str, args: &CopyTreeArgs, context: &Context) -> Result<(Subject, Subject), CliError> {
    let (to, from) = (subject::name(to)?, subject::name(from)?);
    if to == from {
        return Err(CliError::usage("vcopy", "two guests are needed, not one twice", Exit::Failure));
    }
    let new = !args.strict && !args.walk.dry_run && prepare(&to, &from, context)?;
    // Every command takes locks in this order, so that two cannot wait for each other.
    let (first, second) = if to < from { (&to, &from) } else { (&from, &to) };
    let of = |name: &GuestName| match new && name == &to {
        true => Subject::of_new_guest(name, context),
        false => Subject::of_guest(name, context),
    };
    let (first, second) = (of(first)?, of(second)?);
    Ok(if to < from { (first, second) } else { (second, first) })
}
