//! What the chain loaders share: which context a word means, and the step into the command.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command as Process;

use nix::fcntl::OFlag;
use nix::unistd::{pipe2, setsid};
use std::ffi::OsString;
use vserver_runtime::bare::{Bare, Side};
use vserver_runtime::{Command, Host, RunRecord, User};
use vserver_sys::process::{self, Forked, SingleThreaded};
use vserver_types::{Exit, FlagEdit, FlagKind, Xid};

use crate::commands::chcontext::become_command;
use crate::commands::exec::environment;
use crate::commands::vserver::{Guest, text};
use crate::context::Context;
use crate::error::CliError;
use crate::resolve::{self, Meant};

/// What a context argument means.
#[derive(Debug)]
pub enum Target {
    /// 0 or 1, or `self` outside of every context.
    Host,
    /// A running guest.
    Guest(Box<RunRecord>),
    /// A running context without a guest.
    Bare(Box<Bare>),
    /// Nothing that runs; the number that it would have, if that is known.
    Idle(Option<u32>),
}

/// Resolves a context argument; none at all is the caller's own context.
pub fn target(context: &Context, side: Side, word: Option<&str>) -> Result<Target, CliError> {
    let Some(word) = word.filter(|word| *word != "self") else {
        let own = Bare::own(&context.host, side)?;
        return Ok(own.map_or(Target::Host, |bare| Target::Bare(Box::new(bare))));
    };
    let Ok(number) = word.parse::<u32>() else {
        return named(context, side, word);
    };
    if number <= 1 {
        return Ok(Target::Host);
    }
    if number > Xid::LAST_DYNAMIC.0 {
        let kind = if side == Side::Context { "context" } else { "network context" };
        return Err(CliError::Refused(format!(
            "{number} is no number of a {kind}: they end at {}",
            Xid::LAST_DYNAMIC
        )));
    }
    let mut guests = vserver_runtime::running(&context.host)?.into_iter();
    let is_it = |guest: &RunRecord| number == if side == Side::Context { guest.xid.0 } else { guest.nid.0 };
    if let Some(guest) = guests.find(is_it) {
        return Ok(Target::Guest(Box::new(guest)));
    }
    let bare = Bare::load(&context.host, side, number)?;
    Ok(bare.map_or(Target::Idle(Some(number)), |bare| Target::Bare(Box::new(bare))))
}

/// By the name of a guest: while it does not run, its configured number may be that of a bare context.
fn named(context: &Context, side: Side, word: &str) -> Result<Target, CliError> {
    if let Meant::Guest(record) = resolve::context_word(context, word).map_err(|_| no_such(side, Some(word)))? {
        return Ok(Target::Guest(record));
    }
    let (_, name) = resolve::guest_word(word.strip_prefix(':').unwrap_or(word))?;
    let (config, _) = vserver_config::read(&context.host.confdir, &name)?;
    let number = config.context.map(|xid| xid.0);
    let number = if side == Side::Network { config.ncontext.map(|nid| nid.0).or(number) } else { number };
    let bare = number.map(|number| Bare::load(&context.host, side, number)).transpose()?.flatten();
    Ok(bare.map_or(Target::Idle(number), |bare| Target::Bare(Box::new(bare))))
}

/// Numbers that can be given by hand: the host has 0 and 1, the dynamic ones are handed out.
pub fn is_static(number: u32) -> bool {
    (2..=49_151).contains(&number)
}

/// The answer to a context that does not run.
pub fn no_such(side: Side, word: Option<&str>) -> CliError {
    let word = word.unwrap_or("self");
    match side {
        Side::Context => resolve::unresolved(word),
        Side::Network => CliError::Refused(format!(
            "vc_nidopt2nid(\"{word}\"): No such process (no network context has this number or name)"
        )),
    }
}

/// Takes several lists of flags, in order.
pub fn lists(kind: FlagKind, lists: &[String], exit: Exit) -> Result<FlagEdit, CliError> {
    let mut edit = FlagEdit::default();
    for list in lists {
        edit.parse_into(kind, list).map_err(|error| CliError::known(error.to_string(), exit))?;
    }
    Ok(edit)
}

/// Becomes the command if there is one.
pub fn go_on(command: &[OsString]) -> Result<Exit, CliError> {
    if command.is_empty() { Ok(Exit::Success) } else { Err(become_command(command)) }
}

/// Becomes the command; with `disconnect` a child does, and this process returns when that has been executed.
pub fn go(command: &[OsString], disconnect: bool) -> Result<Exit, CliError> {
    if !disconnect {
        return Err(become_command(command));
    }
    let failed = CliError::io("cannot run the command in the background");
    let prepared = SingleThreaded::prove().and_then(|token| Ok((token, pipe2(OFlag::O_CLOEXEC)?)));
    let (token, (report, tell)) = prepared.map_err(failed)?;
    match process::fork(token, 0).map_err(CliError::io("cannot fork"))? {
        Forked::Parent(_) => {
            drop(tell);
            executed(report, command)
        }
        Forked::Child => {
            drop(report);
            let _ = setsid();
            let (program, arguments) =
                command.split_first().map_or((OsString::new(), &[][..]), |(p, a)| (p.clone(), a));
            let error = Process::new(program).args(arguments).exec();
            let number = error.raw_os_error().unwrap_or(0).to_ne_bytes();
            let _ = std::io::Write::write_all(&mut File::from(tell), &number);
            process::exit_now(255)
        }
    }
}

/// End of file: it was.
fn executed(report: OwnedFd, command: &[OsString]) -> Result<Exit, CliError> {
    let mut number = [0; 4];
    match File::from(report).read_exact(&mut number) {
        Err(_) => Ok(Exit::Success),
        Ok(()) => {
            let program = command.first().cloned().unwrap_or_default();
            let source = std::io::Error::from_raw_os_error(i32::from_ne_bytes(number));
            Err(CliError::io(format!("cannot execute '{}'", program.to_string_lossy()))(source))
        }
    }
}

/// Runs the command in a guest, through its supervisor, and passes its status on: a process of the host never becomes one
/// of a guest.
pub fn in_guest(record: RunRecord, command: &[OsString], user: User, context: &Context) -> Result<Exit, CliError> {
    let argv = command.iter().map(text).collect::<Result<_, _>>()?;
    let command = Command { argv, env: environment(), user };
    let guest = Guest {
        word: record.name.to_string(),
        name: record.name,
        verbose: false,
        how: crate::commands::vserver::How::default(),
    };
    // A context is found by its number wherever it was configured.
    let host = Host { confdir: record.confdir, ..context.host.clone() };
    vserver_runtime::exec(&host, &guest.name, &command).map_err(|error| guest.failed(error, context))
}

/// Says on standard error what does not hold.
pub fn report<T: std::fmt::Display>(context: &Context, found: &[T]) {
    for item in found {
        context.printer.note(item);
    }
}
