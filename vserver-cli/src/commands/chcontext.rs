//! `chcontext`: a command in a new context, or in a running one.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command as Process;

use nix::unistd::sethostname;
use vserver_runtime::User;
use vserver_runtime::bare::{self, Bare, Side};
use vserver_sys::process;
use vserver_types::{CapSet, ContextFlags, Exit, FlagKind};

use crate::args::ChcontextArgs;
use crate::commands::chain::{self, Target};
use crate::commands::{vattribute, vspace};
use crate::context::Context;
use crate::error::CliError;

/// Namespaces of a new context: mounts, names, IPC. Processes, network and users stay the host's.
pub const DEFAULT_SPACES: u64 = process::NEWNS | process::NEWUTS | process::NEWIPC;

/// Makes or joins the context and becomes the command, as far as that can be: for a guest by passing everything on.
pub fn run(args: &ChcontextArgs, context: &Context) -> Result<Exit, CliError> {
    if args.command.is_empty() {
        return Err(CliError::usage("chcontext", "a command is needed", Exit::BeforeExec));
    }
    match args.xid.as_deref().map(|word| chain::target(context, Side::Context, Some(word))).transpose()? {
        None => begin(args, None, context),
        Some(Target::Idle(Some(number))) if chain::is_static(number) => begin(args, Some(number), context),
        Some(Target::Host) => chain::go(&args.command, args.disconnect),
        Some(Target::Guest(record)) => chain::in_guest(*record, &args.command, User::Root, context),
        Some(Target::Bare(bare)) => join(*bare, args, context),
        Some(Target::Idle(_)) => Err(chain::no_such(Side::Context, args.xid.as_deref())),
    }
}

fn begin(args: &ChcontextArgs, number: Option<u32>, context: &Context) -> Result<Exit, CliError> {
    let spaces = spaces(args)?;
    let caps = chain::lists(FlagKind::Bcap, &args.cap, Exit::BeforeExec)?;
    let base = if args.secure { CapSet::SECURE } else { CapSet::ALL };
    let caps = CapSet(caps.apply(base.0) & CapSet::ALL.0);
    let flags = chain::lists(FlagKind::Cflag, &args.flag, Exit::BeforeExec)?;
    let created = Bare::create(&context.host, Side::Context, number)?;
    let mut bare = created.ok_or_else(|| CliError::Refused("vc_ctx_create(): File exists".to_owned()))?;
    bare.attributes.bcaps = caps;
    bare.attributes.cflags = ContextFlags(flags.apply(0));
    bare.enter(&context.host)?;
    bare::leave_spaces(spaces)?;
    if let Some(name) = &args.hostname {
        sethostname(name)
            .map_err(|errno| CliError::io(format!("cannot set the host name '{name}'"))(errno.into()))?;
    }
    if let Some(name) = &args.domainname {
        process::set_domain_name(name.as_bytes())
            .map_err(CliError::io(format!("cannot set the domain name '{name}'")))?;
    }
    context.printer.status(format_args!("New security context is {}", bare.number))?;
    vattribute::keep_only(caps)?;
    if bare.attributes.cflags.contains(ContextFlags::SCHED_PAUSE) {
        bare::set_hold(&bare, true)?;
    }
    chain::go(&args.command, args.disconnect)
}

/// A static context is joined with its namespaces, any other only in name. Source: util-vserver, `commands.md` §5.
fn join(mut bare: Bare, args: &ChcontextArgs, context: &Context) -> Result<Exit, CliError> {
    let member = bare.processes().first().copied();
    bare.enter(&context.host)?;
    if let Some(pid) = member.filter(|_| chain::is_static(bare.number)) {
        bare::join_spaces(pid, spaces(args)?)?;
    }
    vattribute::keep_only(bare.attributes.bcaps)?;
    chain::go(&args.command, args.disconnect)
}

fn spaces(args: &ChcontextArgs) -> Result<u64, CliError> {
    let Some(options) = &args.spaces else {
        return Ok(DEFAULT_SPACES);
    };
    let words: Vec<OsString> = options.split_whitespace().map(OsString::from).collect();
    let (mask, rest) = vspace::mask(&words)?;
    match rest.first() {
        None => Ok(mask),
        Some(word) => {
            Err(CliError::Refused(format!("--spaces: '{}' is no kind of namespace", word.to_string_lossy())))
        }
    }
}

/// Replaces this process. Comes back only with the reason why not.
pub fn become_command(words: &[OsString]) -> CliError {
    let Some((program, arguments)) = words.split_first() else {
        return CliError::Refused("there is no command".to_owned());
    };
    let error = Process::new(program).args(arguments).exec();
    CliError::Io { what: format!("cannot execute '{}'", program.to_string_lossy()), source: error }
}
