//! `vmount`. Source: util-vserver, `commands.md` §7.

use std::path::{Path, PathBuf};

use vserver_config::FstabEntry;
use vserver_runtime::{Late, mount_into};
use vserver_types::{Exit, GuestName};

use crate::args::{self, Mounting, VmountArgs, VmountRest};
use crate::context::Context;
use crate::error::CliError;
use crate::resolve;

/// Mounts into one guest after the other; what fails in one keeps nothing from the others.
pub fn run(args: &VmountArgs, context: &Context) -> Result<Exit, CliError> {
    let usage = |fault: &str| CliError::usage("vmount", fault, Exit::Failure);
    let VmountRest { mounting } = args::parse(&context.printer, &args.rest, Exit::Failure)?;
    let what = match (mounting.all, &mounting.words[..]) {
        (true, []) => Late::Fstab,
        (false, [source, place]) => Late::One(entry(&mounting, source, place)),
        _ => return Err(usage("after -- stand a source and a place, or -a for the guest's fstab")),
    };
    if let Late::One(entry) = &what {
        judge(&mounting, entry).map_err(|fault| usage(&fault))?;
    }
    let mut exit = Exit::Success;
    for word in &args.guests {
        let done = resolve::guest_word(word).and_then(|(_, name)| one(&name, &what, !mounting.no_mtab, context));
        if let Err(error) = done {
            error.report(&context.printer);
            exit = Exit::Failure;
        }
    }
    Ok(exit)
}

fn one(name: &GuestName, what: &Late, mtab: bool, context: &Context) -> Result<(), CliError> {
    match mount_into(&context.host, name, what, mtab) {
        Ok(failed) if failed.is_empty() => Ok(()),
        Ok(failed) => Err(CliError::Refused(format!("guest '{name}': {}", failed.join("; ")))),
        Err(vserver_runtime::Error::NotRunning { .. }) => Err(CliError::Refused(format!(
            "guest '{name}' does not run; what it is to mount at its start stands in its fstab"
        ))),
        Err(error) => Err(error.into()),
    }
}

/// A line of fstab that says the same.
pub(super) fn entry(mounting: &Mounting, source: &str, place: &str) -> FstabEntry {
    let words = mounting.options.iter().flat_map(|list| list.split(',')).filter(|word| !word.is_empty());
    let flags = [(mounting.bind, "bind"), (mounting.rbind, "rbind"), (mounting.moved, "move")];
    let flags = flags.into_iter().filter_map(|(given, word)| given.then_some(word));
    let options: Vec<String> = flags.chain(words).map(str::to_owned).collect();
    FstabEntry {
        source: source.to_owned(),
        target: place.to_owned(),
        fstype: mounting.fstype.clone().filter(|fstype| fstype != "none"),
        options: if options.is_empty() { vec!["defaults".to_owned()] } else { options },
        file: PathBuf::from("fstab"),
        line: 1,
        pass: 0,
        remote: false,
    }
}

fn judge(mounting: &Mounting, entry: &FstabEntry) -> Result<(), String> {
    let directory = mounting.bind || mounting.rbind || mounting.moved;
    if directory && !Path::new(&entry.source).is_absolute() {
        return Err(format!("'{}' is not an absolute path of the host", entry.source));
    }
    if entry.target.trim_matches('/').is_empty() {
        return Err("the root of a guest that runs stays what it is".to_owned());
    }
    Ok(())
}
