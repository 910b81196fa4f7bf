//! `start-vservers`, `stop-vservers`: many guests, in the order of their dependencies, for init scripts.

use std::time::Duration;

use vserver_config::Boot;
use vserver_types::Exit;

use crate::args::StartVserversArgs;
use crate::bulk::{self, Goal, Selection, Wish};
use crate::commands::several::runs;
use crate::context::Context;
use crate::error::CliError;

/// 0 nothing to do or all well, 1 none succeeded, 2 some failed. Without `--start` and `--stop` the name that it was
/// called by decides. Source: util-vserver, `commands.md` §10.
pub fn run(args: &StartVserversArgs, context: &Context) -> Result<Exit, CliError> {
    let stop = args.stop || (!args.start && context.printer.tool().starts_with("stop"));
    let goal = if stop { Goal::Down } else { Goal::Up };
    let boot = Boot::read(&context.host.confdir)?;
    boot.findings.iter().for_each(|finding| context.printer.note(finding));
    let selection = selection(args, stop);
    let (names, nobody) = selection.pick(&boot, |name| runs(name, context))?;
    for name in selection.without_tree(&boot, |name| runs(name, context))? {
        context
            .printer
            .note(format_args!("{name}: left out: its vdir leads nowhere; make its tree, or the file disabled"));
    }
    for word in nobody {
        context.printer.note(format_args!("there is no guest '{word}'; it is left out"));
    }
    let words = vec![if stop { "stop" } else { "start" }.into()];
    let options = vec!["--defaulttty".into(), "--sync".into()];
    let (jobs, timeout) = (Some(args.jobs), Duration::from_secs(args.timeout.into()));
    let report =
        bulk::perform(&Wish { goal, words, options, jobs, timeout, verbatim: false }, &names, &boot, false, context)?;
    report.close(context)?;
    Ok(match report.count() {
        (well, all) if well == all => Exit::Success,
        (0, _) => Exit::Failure,
        _ => Exit::Usage,
    })
}

fn selection(args: &StartVserversArgs, stop: bool) -> Selection {
    let one_of = |yes: bool, no: bool| (yes != no).then_some(yes);
    Selection {
        names: args.names.clone(),
        all: args.all || (args.marked && args.unmarked) || (args.running && args.stopped),
        mark: args.mark.clone(),
        mark_lists: Vec::new(),
        marked: one_of(args.marked, args.unmarked),
        running: one_of(args.running, args.stopped),
        // Whoever runs is stopped, disabled or not: `util-vserver stop` leaves nobody behind.
        enabled_only: !stop,
    }
}
