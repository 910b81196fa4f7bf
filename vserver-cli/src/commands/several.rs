//! `vserver --all VERB`, `vserver --mark MARK VERB`, `vserver 'web*' VERB`: one verb for several guests.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::time::Duration;

use vserver_config::Boot;
use vserver_types::{Exit, GuestName};

use crate::args::VserverArgs;
use crate::bulk::{self, Goal, Report, Selection, Wish, is_pattern};
use crate::commands::list;
use crate::commands::status::is_running;
use crate::context::Context;
use crate::error::CliError;
use crate::resolve;

/// Verbs that want one guest: they ask, or need a terminal, or make something new.
const SINGLE: [&str; 6] = ["build", "delete", "enter", "rename", "copy", "after-exit"];
/// Verbs whose output names the guest itself, or is for programs.
const VERBATIM: [&str; 5] = ["status", "running", "plan", "check", "config"];

/// Which guests the command line means, and the words after that, if it means several.
pub fn meant(args: &VserverArgs) -> Option<(Selection, &[OsString])> {
    let (all, mark) = (args.bulk.all, args.bulk.mark.clone());
    if all || mark.is_some() {
        return Some((Selection { all, mark, ..Selection::default() }, &args.words));
    }
    let (first, rest) = args.words.split_first()?;
    let first = first.to_str().filter(|word| is_pattern(word) && !word.contains('/'))?;
    Some((Selection { names: vec![first.to_owned()], ..Selection::default() }, rest))
}

/// Does it. Statuses: all guests' own if it is the same for all, else 6; for `start`, `stop` and `restart` 1 if none
/// succeeded.
pub fn run(
    selection: Selection,
    words: &[OsString],
    args: &VserverArgs,
    as_json: bool,
    context: &Context,
) -> Result<Exit, CliError> {
    let verb = words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    if SINGLE.contains(&verb.as_str()) {
        let fault = format!("{verb} is done to one guest at a time; name it");
        return Err(CliError::usage("vserver", &fault, Exit::Usage));
    }
    let starts = matches!(verb.as_str(), "start" | "restart" | "condrestart");
    let selection = Selection { enabled_only: starts, ..selection };
    resolve::root_is_there(&context.host.confdir)?;
    let boot = Boot::read(&context.host.confdir)?;
    boot.findings.iter().for_each(|finding| context.printer.note(finding));
    let (names, nobody) = selection.pick(&boot, |name| runs(name, context))?;
    for name in selection.without_tree(&boot, |name| runs(name, context))? {
        context
            .printer
            .note(format_args!("{name}: left out: its vdir leads nowhere; make its tree, or the file disabled"));
    }
    if selection.all {
        list::tell_old(context)?;
    }
    if let [pattern] = &nobody[..] {
        let text = format!("vserver: no guest has a name like '{pattern}'; `vserver list` shows all");
        return Err(CliError::known(text, Exit::NoSuchGuest));
    }
    if names.is_empty() {
        context.printer.note("no guest is meant by that; `vserver list` shows all");
    }
    let as_json = as_json || (VERBATIM.contains(&verb.as_str()) && words.iter().any(|word| word == "--json"));
    let timeout = Duration::from_secs(args.bulk.timeout.unwrap_or(bulk::TIMEOUT).into());
    let verbatim = VERBATIM.contains(&verb.as_str());
    let wish = |goal, words: &[OsString]| Wish {
        goal,
        words: words.to_vec(),
        options: options(args),
        jobs: args.bulk.jobs,
        timeout,
        verbatim,
    };
    match verb.as_str() {
        "start" => close(bulk::perform(&wish(Goal::Up, words), &names, &boot, as_json, context)?, context),
        "stop" => close(bulk::perform(&wish(Goal::Down, words), &names, &boot, as_json, context)?, context),
        "restart" | "condrestart" => {
            let running: BTreeSet<_> = names.iter().filter(|name| runs(name, context)).cloned().collect();
            let stopped = bulk::perform(&wish(Goal::Down, &["stop".into()]), &running, &boot, as_json, context)?;
            if stopped.interrupted {
                return close(stopped, context);
            }
            let mut again = if verb == "restart" { names } else { running };
            again.retain(|name| stopped.rows.iter().all(|row| row.name != *name || row.code == Some(0)));
            let started = bulk::perform(&wish(Goal::Up, &["start".into()]), &again, &boot, as_json, context)?;
            close(stopped.then(started), context)
        }
        _ => {
            let report = bulk::perform(&wish(Goal::Any, words), &names, &boot, as_json, context)?;
            // `status` and `running` say it themselves.
            if verbatim && !as_json { Ok(report.exit()) } else { close(report, context) }
        }
    }
}

/// Those of our own options that mean each guest.
fn options(args: &VserverArgs) -> Vec<OsString> {
    let given = [
        ("--silent", args.silent),
        ("--verbose", args.verbose),
        ("--sync", args.sync),
        ("--defaulttty", args.defaulttty),
        ("--debug", args.debug),
        ("--debug-sysv", args.debug_sysv),
        ("--strace", args.strace),
    ];
    given.into_iter().filter(|(_, given)| *given).map(|(option, _)| option.into()).collect()
}

fn close(report: Report, context: &Context) -> Result<Exit, CliError> {
    report.close(context)?;
    Ok(report.exit())
}

/// Whether it runs; a guest whose state cannot be found out does not.
pub fn runs(name: &GuestName, context: &Context) -> bool {
    vserver_runtime::status(&context.host, name).is_ok_and(|status| is_running(&status))
}
