//! `vspace` and `vnamespace`: namespaces for the rest of the chain.

use std::ffi::OsString;

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use vserver_runtime::bare::{Side, join_spaces, leave_spaces};
use vserver_sys::process::{self, Forked, SingleThreaded};
use vserver_types::{Exit, FlagKind};

use crate::args::VspaceArgs;
use crate::commands::chain::{self, Target};
use crate::commands::chcontext::become_command;
use crate::context::Context;
use crate::error::{CliError, chain as reasons};

/// Options of one namespace each. Source: util-vserver, `flags.md` §8; the last two are ours.
const SPACES: [(&str, char, u64); 9] = [
    ("mount", 'M', process::NEWNS),
    ("fs", 'F', FS),
    ("ipc", 'I', process::NEWIPC),
    ("uts", 'U', process::NEWUTS),
    ("user", 'S', process::NEWUSER),
    ("pid", 'P', process::NEWPID),
    ("net", 'N', process::NEWNET),
    ("cgroup", '\0', process::NEWCGROUP),
    ("time", '\0', process::NEWTIME),
];
/// Root and working directory, which are no namespace.
const FS: u64 = 0x200;
/// What `--default` adds: the kernel patch's own set without mounts and fs.
const DEFAULT: u64 = process::NEWUTS | process::NEWIPC;

/// `vspace`, with the mask that was collected from its options.
pub fn run(args: &VspaceArgs, mask: u64, context: &Context) -> Result<Exit, CliError> {
    let word = args.enter.as_deref();
    let needs_command = || CliError::usage(context.printer.tool(), "a command is needed", Exit::BeforeExec);
    match (args.new, word, args.set) {
        (true, None, false) if args.command.is_empty() => Err(needs_command()),
        (true, None, false) => begin(&args.command, mask),
        (false, Some(_), false) if args.command.is_empty() => Err(needs_command()),
        (false, Some(_), false) => match member(context, word)? {
            Some((pid, own_users)) => enter(&args.command, pid, with_processes(mask, own_users)),
            None => Err(become_command(&args.command)),
        },
        // The namespaces of a context are those of its processes.
        (false, None, true) => chain::go_on(&args.command),
        _ => {
            let fault = "one of --new, --enter XID and --set is needed";
            Err(CliError::usage(context.printer.tool(), fault, Exit::BeforeExec))
        }
    }
}

/// A process of the context, the init of a guest, and whether its users are not the host's. `None` is the host itself.
fn member(context: &Context, word: Option<&str>) -> Result<Option<(i32, bool)>, CliError> {
    match chain::target(context, Side::Context, word)? {
        Target::Host => Ok(None),
        Target::Guest(record) => Ok(Some((record.init, record.id_base.is_some()))),
        Target::Bare(bare) => {
            let first = bare.processes().first().copied();
            first.map(|pid| Some((pid, false))).ok_or_else(|| chain::no_such(Side::Context, word))
        }
        Target::Idle(_) => Err(chain::no_such(Side::Context, word)),
    }
}

/// The procfs among a guest's mounts shows its own processes only: mount(8) and many others look for themselves there.
/// Where the guest's root is the host's uid 0 it could take hold of such a process by ptrace(2), so only on request.
fn with_processes(mask: u64, own_users: bool) -> u64 {
    if own_users && mask & process::NEWNS != 0 { mask | process::NEWPID } else { mask }
}

/// A PID namespace is for children: the command becomes one there, and its status is ours.
fn enter(command: &[OsString], pid: i32, mask: u64) -> Result<Exit, CliError> {
    // Afterwards there may be no procfs in which this process finds itself.
    let token = SingleThreaded::prove().map_err(CliError::io("cannot fork"))?;
    join_spaces(pid, mask)?;
    if mask & process::NEWPID == 0 { Err(become_command(command)) } else { in_child(token, command) }
}

fn begin(command: &[OsString], mask: u64) -> Result<Exit, CliError> {
    let token = SingleThreaded::prove().map_err(CliError::io("cannot fork"))?;
    leave_spaces(mask & !FS)?;
    in_child(token, command)
}

fn in_child(token: SingleThreaded, command: &[OsString]) -> Result<Exit, CliError> {
    match process::fork(token, 0).map_err(CliError::io("cannot fork"))? {
        Forked::Child => {
            eprint_reason(&become_command(command));
            process::exit_now(255)
        }
        Forked::Parent(pid) => loop {
            match waitpid(Pid::from_raw(pid), None) {
                Ok(WaitStatus::Exited(_, status)) => return Ok(Exit::Command(u8::try_from(status).unwrap_or(255))),
                Ok(WaitStatus::Signaled(_, signal, _)) => return Ok(Exit::Signal(signal as i32)),
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(CliError::io("cannot wait for the command")(errno.into())),
            }
        },
    }
}

fn eprint_reason(error: &CliError) {
    crate::printer::Printer::new("vspace").warn(format_args!("vspace: {}", reasons(error)));
}

/// Takes the options that name namespaces out of `words`, in order, and returns the mask and the rest.
pub fn mask(words: &[OsString]) -> Result<(u64, Vec<OsString>), CliError> {
    let (mut mask, mut rest) = (0, Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        if text == "--" || !text.starts_with('-') {
            rest.push(word.clone());
            rest.extend(words.cloned());
            break;
        }
        let value = match text.as_ref() {
            "-m" | "--mask" => Some(words.next().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default()),
            other => other.strip_prefix("--mask=").map(str::to_owned),
        };
        if let Some(value) = value {
            mask = number(&value)?;
        } else if text == "--default" {
            mask |= DEFAULT;
        } else if let Some((bits, set)) = space(&text) {
            mask = if set { mask | bits } else { mask & !bits };
        } else {
            rest.push(word.clone());
            // The value of an option of ours is no option.
            if matches!(text.as_ref(), "-e" | "--enter" | "-i" | "--index" | "--confdir") {
                rest.extend(words.next().cloned());
            }
        }
    }
    Ok((mask, rest))
}

fn space(option: &str) -> Option<(u64, bool)> {
    if let Some(name) = option.strip_prefix("--") {
        let bare = name.trim_start_matches(['~', '!']);
        let found = SPACES.iter().find(|(long, _, _)| *long == bare)?;
        return Some((found.2, bare.len() == name.len()));
    }
    let letters = option.strip_prefix('-').filter(|letters| !letters.is_empty())?;
    let bits =
        letters.chars().map(|letter| SPACES.iter().find(|(_, short, _)| *short == letter).map(|found| found.2));
    bits.collect::<Option<Vec<_>>>().map(|bits| (bits.iter().fold(0, |sum, bit| sum | bit), true))
}

/// A mask as the flag lists write numbers.
fn number(text: &str) -> Result<u64, CliError> {
    let mut edit = vserver_types::FlagEdit::default();
    edit.parse_into(FlagKind::Space, text).map_err(|error| CliError::known(error.to_string(), Exit::BeforeExec))?;
    Ok(edit.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> (u64, usize) {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let (mask, rest) = mask(&words).unwrap();
        (mask, rest.len())
    }

    #[test]
    fn options_are_taken_in_order() {
        assert_eq!(of(&["--new", "--default", "--", "id"]), (0x0c00_0000, 3));
        assert_eq!(of(&["-MF", "--enter", "-x", "--~fs", "id", "--uts"]), (0x2_0000, 4));
        assert_eq!(of(&["--mount", "--mask", "0x200", "--uts"]), (0x0400_0200, 0));
        assert_eq!(of(&["-n", "--mask=newpid"]), (0x2000_0000, 1));
    }
}
