//! `vapt-get`, `vrpm`, … and `vsomething`: one command for several guests, one after the other. A package tool is the
//! guest's own and runs inside its isolation. Source: util-vserver, `commands.md` §9.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};

use vserver_config::{Boot, BootFacts};
use vserver_types::{Exit, GuestName};

use crate::args::LoopArgs;
use crate::commands::several::runs;
use crate::context::Context;
use crate::error::CliError;

/// The guest's shell chooses: newer distributions have only dnf, which takes yum's words.
const YUM: &str = r#"command -v dnf >/dev/null && exec dnf "$@"; exec yum "$@""#;

/// What a tool runs for a guest.
enum Work {
    /// A command inside: its words.
    Inside(Vec<OsString>),
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

/// The command of a tool, and the words that name guests.
fn work<'a>(tool: &str, names: &'a [String]) -> Result<(Work, &'a [String]), CliError> {
    let inside = |words: &[&str]| Work::Inside(words.iter().map(OsString::from).collect());
    let work = match tool {
        "vapt-get" => Work::Inside(vec![std::env::var_os("APT_GET").unwrap_or_else(|| "apt-get".into())]),
        "vrpm" => inside(&["rpm"]),
        "vyum" => inside(&["sh", "-c", YUM, "vyum"]),
        "vemerge" => inside(&["emerge"]),
        "vupdateworld" => inside(&["emerge", "world", "--update", "--deep", "--newuse"]),
        "vesync" => inside(&["emerge", "--metadata"]),
        "vdispatch-conf" => inside(&["dispatch-conf"]),
        _ => {
            let Some((command, rest)) = names.split_first() else {
                let fault = "it needs a command before the guests";
                return Err(CliError::usage(tool, fault, Exit::BeforeExec));
            };
            let command = OsString::from(command);
            let work = if tool == "vurpm" { Work::Inside(vec![command]) } else { Work::Outside(command) };
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
    let boot = Boot::read(&context.host.confdir)?;
    boot.findings.iter().for_each(|finding| context.printer.note(finding));
    let meant = |(name, facts): &(&GuestName, &BootFacts)| passes(facts, args, || runs(name, context));
    Ok(boot.guests.iter().filter(meant).map(|(name, _)| name.to_string()).collect())
}

/// All filters at once; two that exclude each other mean nobody.
fn passes(facts: &BootFacts, args: &LoopArgs, runs: impl Fn() -> bool) -> bool {
    let unmarked = facts.marks.is_empty();
    let out = [args.marked && unmarked, args.unmarked && !unmarked, !facts.enabled, facts.dangling];
    out.iter().all(|out| !out)
        && args.mark.iter().all(|list| marked(list, &facts.marks))
        && (!args.running || runs())
        && (!args.stopped || !runs())
}

/// Any item of `a,b`; one `!` or `~` before an item turns the whole test round.
fn marked(list: &str, marks: &[String]) -> bool {
    let items = list.split(',').map(|item| item.trim_start_matches(['!', '~']));
    let any = items.into_iter().any(|item| marks.iter().any(|mark| mark == item));
    let negated = list.split(',').map(|item| item.len() - item.trim_start_matches(['!', '~']).len()).sum::<usize>();
    any != (negated % 2 == 1)
}

fn perform(work: &Work, guest: &str, args: &LoopArgs, context: &Context) -> Result<Exit, CliError> {
    let confdir = &context.host.confdir;
    let mut command = match work {
        Work::Outside(command) => Command::new(command),
        Work::Inside(words) => {
            if let Some(why) = managed_outside(&confdir.join(guest)) {
                context.printer.warn(format_args!("{}: guest '{guest}' {why}", context.printer.tool()));
                return Ok(Exit::Failure);
            }
            let own = std::env::current_exe().map_err(CliError::io("cannot find its own program"))?;
            let mut command = Command::new(own);
            command.args(["--applet", "vserver", guest, "exec"]).args(words).args(&args.parameters);
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

/// Why the guest's own package tool is not to be run: its packages are managed from the host. Source: util-vserver,
/// `config-tree.md` §5.11.
pub fn managed_outside(dir: &Path) -> Option<&'static str> {
    let pkgmgmt = dir.join("apps/pkgmgmt");
    (pkgmgmt.is_dir() && !pkgmgmt.join("internal").exists()).then_some(
        "has its packages managed from the host (apps/pkgmgmt), which needed a preloaded library and is not done any \
         more; install the package tool in the guest and make the file apps/pkgmgmt/internal",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// compat/commands.md §9: any of the list; one negation turns the whole test round.
    #[test]
    fn marks_and_their_negation() {
        let marks = ["default".to_owned(), "early".to_owned()];
        for (list, expected) in [
            ("default", true),
            ("late,early", true),
            ("late", false),
            ("!late", true),
            ("~default", false),
            ("late,!default", false),
            ("!!default", true),
            ("", false),
        ] {
            assert_eq!(marked(list, &marks), expected, "{list}");
        }
        assert!(marked("!default", &[]) && !marked("default", &[]));
    }
}
