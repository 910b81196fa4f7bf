//! `vhashify`, and `vserver NAME hashify`. Source: util-vserver, `commands.md` §8.

pub(super) mod report;
pub(super) mod subject;

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use vserver_types::Exit;
use vserver_unify::{Options, Store};

use crate::args::{self, HashifyArgs};
use crate::commands::vserver::{Guest, text};
use crate::context::Context;
use crate::error::CliError;
use report::Report;
use subject::Subject;
pub use subject::release;

/// Shares what the guests named have in common with each other and with the store.
pub fn hashify(args: &HashifyArgs, context: &Context) -> Result<Exit, CliError> {
    let subjects = match args.walk.manually {
        true => by_path(args, context)?,
        false => by_name(args, context)?,
    };
    let options = Options { dry_run: args.walk.dry_run, refresh: args.refresh, ignore_mtime: args.ignore_mtime };
    let report = Report::new(context.printer, args.walk.verbose, args.walk.dry_run);
    report.begin(subjects.iter().map(|subject| subject.label.as_str()))?;
    let mut stores: Vec<(PathBuf, Vec<Subject>)> = Vec::new();
    for subject in subjects {
        let path = place(&subject, args)?;
        match stores.iter_mut().find(|(known, _)| *known == path) {
            Some((_, subjects)) => subjects.push(subject),
            None => stores.push((path, vec![subject])),
        }
    }
    for (path, subjects) in stores {
        let mut store = Store::open(&path)?;
        let (trees, _held): (Vec<_>, Vec<_>) =
            subjects.into_iter().map(|subject| (subject.tree, subject.held)).unzip();
        let totals = vserver_unify::hashify(&trees, &mut store, options, &|event| report.hear(&event))?;
        report.end(&totals)?;
    }
    Ok(Exit::Success)
}

/// `vserver NAME hashify …`
pub fn of_guest(rest: &[OsString], guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let mut args: HashifyArgs = args::parse(&context.printer, rest, Exit::Failure)?;
    args.words.insert(0, guest.name.as_str().into());
    hashify(&args, context)
}

fn by_name(args: &HashifyArgs, context: &Context) -> Result<Vec<Subject>, CliError> {
    if args.words.is_empty() {
        return Err(CliError::usage("vhashify", "a guest is needed", Exit::Failure));
    }
    let mut names =
        args.words.iter().map(|word| subject::name(&text(word)?)).collect::<Result<Vec<_>, CliError>>()?;
    // Every command takes locks in this order, so that two cannot wait for each other.
    names.sort();
    names.dedup();
    names.iter().map(|name| Subject::of_guest(name, context)).collect()
}

fn by_path(args: &HashifyArgs, context: &Context) -> Result<Vec<Subject>, CliError> {
    if args.destination.is_none() || args.words.is_empty() || !args.words.len().is_multiple_of(2) {
        let fault = "--manually takes --destination STORE, and pairs of a tree and an exclude list";
        return Err(CliError::usage("vhashify", fault, Exit::Failure));
    }
    let pairs = args.words.chunks_exact(2);
    pairs.map(|pair| Subject::of_path(Path::new(&pair[0]), Path::new(&pair[1]), context)).collect()
}

/// The store for a tree: the first one on its file system, or one that can be made there.
fn place(subject: &Subject, args: &HashifyArgs) -> Result<PathBuf, CliError> {
    let given = args.destination.as_slice();
    let wanted = if given.is_empty() { &subject.stores } else { given };
    let device = subject.tree.root.identity().0;
    let found = wanted.iter().find(|store| {
        let at = if store.is_dir() { Some(store.as_path()) } else { store.parent() };
        at.and_then(|at| at.metadata().ok()).is_some_and(|found| found.is_dir() && found.dev() == device)
    });
    found.cloned().ok_or_else(|| {
        let named: Vec<String> = wanted.iter().map(|store| store.display().to_string()).collect();
        CliError::Refused(format!(
            "Could not find a place for the hashified files at '{}': none is on the file system of '{}'; name a directory there \
             in apps/vunify/hash/",
            named.join("', '"),
            subject.label
        ))
    })
}
