//! `vapt-get`, `vrpm`, … and `vsomething`: one command for several guests, one after the other. A package tool is the
//! guest's own and runs inside its isolation. Source: util-vserver, `commands.md` §9.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use vserver_config::Boot;
use vserver_runtime::Trust;
use vserver_types::Exit;

use crate::args::{LoopArgs, VesyncArgs};
use crate::bulk::Selection;
use crate::commands::several::runs;
use crate::context::Context;
use crate::error::CliError;

/// How portage itself fetches its tree. Source: make.conf(5), `PORTAGE_RSYNC_OPTS`.
const OVERLAY: [&str; 9] = [
    "--recursive",
    "--links",
    "--safe-links",
    "--perms",
    "--times",
    "--omit-dir-times",
    "--force",
    "--whole-file",
    "--delete",
];

/// What a tool runs for a guest.
enum Work {
    /// A package tool: the word that names it, and what it is told first.
    Tool(Vec<OsString>),
    /// A command on the host, which gets the guest's name.
    Outside(OsString),
}

/// The status of the last guest; 255 if there was none.
pub fn run(args: &LoopArgs, context: &Context) -> Result<Exit, CliError> {
    let tool = context.printer.tool();
    let (work, names) = work(tool, &args.names)?;
    let guests = guests(names, args, context)?;
    let mut exit = Exit::BeforeExec;
    let told = !args.quiet && guests.len() > 1;
    for guest in &guests {
        if told {
            let line = format!("{tool}: operating on vserver {guest}");
            context.printer.line(context.printer.paint(1, &line))?;
        }
        exit = perform(&work, guest, args, context)?;
        if told && exit != Exit::Success {
            let line = format!("{tool} failed on vserver '{guest}' with errorcode {}", exit.code());
            context.printer.line(context.printer.paint(31, &line))?;
        }
        if told {
            context.printer.line("")?;
        }
    }
    Ok(exit)
}

/// Fetches an overlay to the host, then the guests' turn. Nothing is deleted but below a directory that no guest can reach.
pub fn vesync(args: &VesyncArgs, context: &Context) -> Result<Exit, CliError> {
    if let (Some(overlay), Some(source)) = (&args.overlay, &args.overlay_host) {
        let refused =
            |why: String| CliError::Refused(format!("the overlay '{}' is not fetched: {why}", overlay.display()));
        let usable = overlay.is_absolute() && overlay.is_dir() && overlay.components().count() > 2;
        if !usable {
            return Err(refused("it must be a directory of its own; give its whole path and make it".to_owned()));
        }
        if let Some(why) = Trust::new(&context.host).refuses(overlay) {
            return Err(refused(why));
        }
        let mut command = Command::new("rsync");
        command.args(OVERLAY).arg("--").arg(source).arg(overlay.join(""));
        let exit = spawn(&mut command)?;
        if exit != Exit::Success || args.overlay_only {
            return Ok(exit);
        }
    }
    run(&args.each, context)
}

/// The command of a tool, and the words that name guests.
fn work<'a>(tool: &str, names: &'a [String]) -> Result<(Work, &'a [String]), CliError> {
    let tools = ["vapt-get", "vrpm", "vyum", "vemerge", "vupdateworld", "vesync", "vdispatch-conf"];
    let work = match tool {
        known if tools.contains(&known) => Work::Tool(vec![tool.into()]),
        _ => {
            let Some((command, rest)) = names.split_first() else {
                let fault = "it needs a command before the guests";
                return Err(CliError::usage(tool, fault, Exit::BeforeExec));
            };
            let command = OsString::from(command);
            let work = if tool == "vurpm" { Work::Tool(vec![tool.into(), command]) } else { Work::Outside(command) };
            return Ok((work, rest));
        }
    };
    Ok((work, names))
}

fn guests(names: &[String], args: &LoopArgs, context: &Context) -> Result<Vec<String>, CliError> {
    if !args.filters() {
        return Ok(names.to_vec());
    }
    if !names.is_empty() {
        let fault = format!("'{}' and filters cannot be mixed; name guests or choose them", names.join(" "));
        return Err(CliError::usage(context.printer.tool(), &fault, Exit::BeforeExec));
    }
    // Two that exclude each other mean nobody.
    if (args.marked && args.unmarked) || (args.running && args.stopped) {
        return Ok(Vec::new());
    }
    let boot = Boot::read(&context.host.confdir)?;
    boot.findings.iter().for_each(|finding| context.printer.note(finding));
    let either = |yes: bool, no: bool| (yes || no).then_some(yes);
    let selection = Selection {
        all: true,
        mark_lists: args.mark.clone(),
        marked: either(args.marked, args.unmarked),
        running: either(args.running, args.stopped),
        enabled_only: true,
        ..Selection::default()
    };
    let (guests, _) = selection.pick(&boot, |name| runs(name, context))?;
    Ok(guests.iter().map(ToString::to_string).collect())
}

fn perform(work: &Work, guest: &str, args: &LoopArgs, context: &Context) -> Result<Exit, CliError> {
    let confdir = &context.host.confdir;
    let mut command = match work {
        Work::Outside(command) => Command::new(command),
        Work::Tool(words) => {
            let own = std::env::current_exe().map_err(CliError::io("cannot find its own program"))?;
            let mut command = Command::new(own);
            command.args(["--applet", "vserver", guest, "package-tool"]).args(words).args(&args.parameters);
            return spawn(command.env("VSERVER_CONFDIR", confdir));
        }
    };
    spawn(command.arg(guest).args(&args.parameters).env("VSERVER_CONFDIR", confdir))
}

fn spawn(command: &mut Command) -> Result<Exit, CliError> {
    let what = format!("cannot run '{}'", command.get_program().to_string_lossy());
    command.status().map(exit).map_err(CliError::io(what))
}

fn exit(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(0), _) => Exit::Success,
        (Some(code), _) => Exit::Command(u8::try_from(code).unwrap_or(u8::MAX)),
        (None, signal) => Exit::Signal(signal.unwrap_or_default()),
    }
}
