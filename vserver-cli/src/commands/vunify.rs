//! `vunify`, and `vserver NAME unify`. Source: util-vserver, `commands.md` §8.

use std::ffi::OsString;
use std::path::Path;

use vserver_types::{Exit, GuestName};
use vserver_unify::{AgainstOptions, Tree};

use crate::args::{self, UnifyArgs};
use crate::commands::unify::report::Report;
use crate::commands::unify::subject::{self, Subject};
use crate::commands::vserver::{Guest, text};
use crate::context::Context;
use crate::error::CliError;

/// Shares what the guest and its references have in common, path by path.
pub fn run(args: &UnifyArgs, context: &Context) -> Result<Exit, CliError> {
    let (subject, references) = match args.walk.manually {
        true => by_path(args, context)?,
        false => by_name(args, context)?,
    };
    if references.is_empty() {
        return Err(CliError::Refused(format!(
            "No reference path(s) given: '{}' has no link apps/vunify/refserver.*; vhashify needs none",
            subject.label
        )));
    }
    let report = Report::new(context.printer, args.walk.verbose, args.walk.dry_run).reverse(args.revert);
    report.begin(std::iter::once(&subject).chain(&references).map(|subject| subject.label.as_str()))?;
    // The locks are held until the end.
    let (trees, _held): (Vec<Tree>, Vec<_>) =
        references.into_iter().map(|subject| (subject.tree, subject.held)).unzip();
    let options = AgainstOptions { dry_run: args.walk.dry_run, reverse: args.revert };
    let totals = vserver_unify::unify(&subject.tree, &trees, options, &|event| report.hear(&event))?;
    report.end(&totals)?;
    Ok(Exit::Success)
}

/// `vserver NAME unify …`
pub fn of_guest(rest: &[OsString], guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let mut args: UnifyArgs = args::parse(&context.printer, rest, Exit::Failure)?;
    args.words.insert(0, guest.name.as_str().into());
    run(&args, context)
}

fn by_name(args: &UnifyArgs, context: &Context) -> Result<(Subject, Vec<Subject>), CliError> {
    let [word] = &args.words[..] else {
        return Err(CliError::usage("vunify", "one guest is needed", Exit::Failure));
    };
    let name = subject::name(&text(word)?)?;
    let confdir = &context.host.confdir;
    let links = vserver_config::sharing(confdir, &name).map(|sharing| sharing.references).unwrap_or_default();
    let references = links.iter().map(|link| reference(link, confdir)).collect::<Result<Vec<_>, CliError>>()?;
    // Every command takes locks in this order, so that two cannot wait for each other.
    let mut names: Vec<&GuestName> = references.iter().chain([&name]).collect();
    names.sort();
    names.dedup();
    let mut all = names.into_iter().map(|name| Subject::of_guest(name, context)).collect::<Result<Vec<_>, _>>()?;
    let mut take = |name: &GuestName| {
        let at = all.iter().position(|subject| subject.label == name.as_str());
        at.map(|at| all.swap_remove(at))
    };
    let own = take(&name).ok_or_else(|| CliError::usage("vunify", "one guest is needed", Exit::Failure))?;
    // In their order; a guest is no reference of itself.
    Ok((own, references.iter().filter_map(take).collect()))
}

/// The guest that a link leads to.
fn reference(link: &Path, confdir: &Path) -> Result<GuestName, CliError> {
    let found =
        link.canonicalize().map_err(CliError::io(format!("cannot find the reference '{}'", link.display())))?;
    let root = confdir.canonicalize().map_err(CliError::io(format!("cannot find '{}'", confdir.display())))?;
    let name = found.strip_prefix(&root).ok().and_then(Path::to_str).and_then(|name| name.parse().ok());
    name.ok_or_else(|| {
        CliError::Refused(format!(
            "the reference '{}' leads to no guest of '{}'; link it to a guest's configuration there",
            link.display(),
            confdir.display()
        ))
    })
}

fn by_path(args: &UnifyArgs, context: &Context) -> Result<(Subject, Vec<Subject>), CliError> {
    if args.words.is_empty() || !args.words.len().is_multiple_of(2) {
        let fault =
            "--manually takes pairs of a tree and an exclude list: the one that is changed, then its references";
        return Err(CliError::usage("vunify", fault, Exit::Failure));
    }
    let pairs = args.words.chunks_exact(2);
    let subjects = pairs.map(|pair| Subject::of_path(Path::new(&pair[0]), Path::new(&pair[1]), context));
    let mut subjects = subjects.collect::<Result<Vec<_>, _>>()?;
    let own = subjects.remove(0);
    Ok((own, subjects))
}
