//! `vcontext`: a context for the rest of the chain.

use nix::sys::personality::{self, Persona};
use nix::unistd::{Gid, Uid, chroot, setgroups, setresgid, setresuid};
use vserver_runtime::User;
use vserver_runtime::bare::{Bare, Side};
use vserver_types::{Exit, FlagKind};

use crate::args::VcontextArgs;
use crate::commands::chain::{self, Target};
use crate::commands::ncontext::{exists, synchronise};
use crate::context::Context;
use crate::error::CliError;

/// Makes or joins it and becomes the command.
pub fn run(args: &VcontextArgs, context: &Context) -> Result<Exit, CliError> {
    let word = args.xid.as_deref();
    if args.command.is_empty() {
        return Err(CliError::usage("vcontext", "a command is needed", Exit::BeforeExec));
    }
    let persona = persona(args)?;
    // Asked before anything is made; a guest has names for its users.
    let uid = || args.uid.as_deref().map(user).transpose();
    match (args.create, args.migrate, args.migrate_self) {
        (true, false, false) => {
            uid()?;
            create(args, context)?;
        }
        (false, true, false) if word.is_some() => match chain::target(context, Side::Context, word)? {
            Target::Host => {}
            Target::Bare(mut bare) => drop(bare.enter(&context.host)?),
            Target::Guest(record) => {
                let user = args.uid.clone().map_or(User::Root, |uid| uid.parse().map_or(User::Name(uid), User::Id));
                synchronise(&args.common_options)?;
                return chain::in_guest(*record, &args.command, user, context);
            }
            Target::Idle(_) => return Err(chain::no_such(Side::Context, word)),
        },
        (false, false, true) => {}
        _ => {
            let fault = "one of --create, --migrate with --xid, and --migrate-self is needed";
            return Err(CliError::usage("vcontext", fault, Exit::BeforeExec));
        }
    }
    prepare(args, persona, uid()?)?;
    synchronise(&args.common_options)?;
    chain::go(&args.command, args.common_options.disconnect)
}

fn create(args: &VcontextArgs, context: &Context) -> Result<(), CliError> {
    const EXISTS: &str = "vcontext: vc_ctx_create(): File exists";
    let number =
        match args.xid.as_deref().map(|word| chain::target(context, Side::Context, Some(word))).transpose()? {
            None => None,
            Some(Target::Idle(Some(number))) => Some(number),
            Some(_) => return Err(exists(EXISTS, &args.common_options)),
        };
    let Some(mut bare) = Bare::create(&context.host, Side::Context, number)? else {
        return Err(exists(EXISTS, &args.common_options));
    };
    bare.enter(&context.host)?;
    if args.common_options.silent {
        return Ok(());
    }
    context.printer.line(format_args!("New security context is {}", bare.number))
}

/// What the command finds: root directory, execution domain, user, descriptors.
fn prepare(args: &VcontextArgs, persona: Option<u32>, uid: Option<u32>) -> Result<(), CliError> {
    if args.chroot {
        chroot(".").map_err(|errno| CliError::io("cannot make the current directory the root")(errno.into()))?;
    }
    if let Some(persona) = persona {
        let set = personality::set(Persona::from_bits_retain(persona.cast_signed()));
        set.map_err(|errno| CliError::io("cannot set the personality")(errno.into()))?;
    }
    if args.closefd {
        vserver_sys::fd::cloexec_from(3).map_err(CliError::io("cannot close descriptors"))?;
    }
    let Some(number) = uid else {
        return Ok(());
    };
    let become_user = || {
        setgroups(&[])?;
        let gid = Gid::current();
        setresgid(gid, gid, gid)?;
        let uid = Uid::from_raw(number);
        setresuid(uid, uid, uid)
    };
    become_user()
        .map_err(|errno: nix::errno::Errno| CliError::io(format!("cannot become user {number}"))(errno.into()))
}

/// Outside of guests a user is a number: whose names would it be.
fn user(word: &str) -> Result<u32, CliError> {
    word.parse().map_err(|_| CliError::Refused(format!("--uid {word}: a number is needed")))
}

fn persona(args: &VcontextArgs) -> Result<Option<u32>, CliError> {
    let kind = match &args.personality_type {
        None => 0,
        Some(name) => vserver_config::personality_type(name)
            .ok_or_else(|| CliError::known(format!("vcontext: bad personality type '{name}'"), Exit::BeforeExec))?,
    };
    let flags = chain::lists(FlagKind::Personality, args.personality_flags.as_slice(), Exit::BeforeExec)?;
    let asked = args.personality_type.is_some() || args.personality_flags.is_some();
    Ok(asked.then(|| kind | u32::try_from(flags.value).unwrap_or(0)))
}
