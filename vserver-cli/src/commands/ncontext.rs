//! `ncontext`: a network context for the rest of the chain.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use vserver_runtime::bare::{Bare, Side};
use vserver_types::Exit;

use crate::args::{Joining, NcontextArgs};
use crate::commands::chain::{self, Target};
use crate::context::Context;
use crate::error::CliError;

/// The context that was to be made exists. Source: util-vserver, `commands.md` §5.
pub const EXISTS: Exit = Exit::Command(254);

/// Makes or joins it and becomes the command.
pub fn run(args: &NcontextArgs, context: &Context) -> Result<Exit, CliError> {
    let word = args.nid.as_deref();
    if args.command.is_empty() {
        return Err(CliError::usage("ncontext", "a command is needed", Exit::BeforeExec));
    }
    match (args.create, args.migrate, args.migrate_self) {
        (true, false, false) => create(args, context)?,
        (false, true, false) if word.is_some() => join(word, context)?,
        (false, false, true) => {}
        _ => {
            let fault = "one of --create, --migrate with --nid, and --migrate-self is needed";
            return Err(CliError::usage("ncontext", fault, Exit::BeforeExec));
        }
    }
    synchronise(&args.common_options)?;
    chain::go(&args.command, args.common_options.disconnect)
}

fn create(args: &NcontextArgs, context: &Context) -> Result<(), CliError> {
    let number =
        match args.nid.as_deref().map(|word| chain::target(context, Side::Network, Some(word))).transpose()? {
            None => None,
            Some(Target::Idle(Some(number))) => Some(number),
            Some(_) => return Err(exists("ncontext: vc_net_create(): File exists", &args.common_options)),
        };
    let Some(mut bare) = Bare::create(&context.host, Side::Network, number)? else {
        return Err(exists("ncontext: vc_net_create(): File exists", &args.common_options));
    };
    let found = bare.enter(&context.host)?;
    if !args.common_options.silent {
        context.printer.line(format_args!("New network context is {}", bare.number))?;
    }
    chain::report(context, &found);
    Ok(())
}

fn join(word: Option<&str>, context: &Context) -> Result<(), CliError> {
    match chain::target(context, Side::Network, word)? {
        Target::Host => Ok(()),
        Target::Bare(mut bare) => {
            chain::report(context, &bare.enter(&context.host)?);
            Ok(())
        }
        Target::Guest(record) => Err(CliError::Refused(format!(
            "a process of the host does not enter guest '{0}': use `vserver {0} exec`, or `chbind --nid {0}` for its \
             addresses alone",
            record.name
        ))),
        Target::Idle(_) => Err(chain::no_such(Side::Network, word)),
    }
}

/// The answer to a context that is there already.
pub fn exists(text: &str, options: &Joining) -> CliError {
    let text = if options.silentexist { "" } else { text };
    CliError::known(text, EXISTS)
}

/// `--syncsock`: tells somebody, and waits until that one closes the connection.
pub fn synchronise(options: &Joining) -> Result<(), CliError> {
    let Some(path) = &options.syncsock else {
        return Ok(());
    };
    let told = UnixStream::connect(path).and_then(|mut socket| {
        socket.write_all(options.syncmsg.as_bytes())?;
        let mut end = Vec::new();
        socket.read_to_end(&mut end)
    });
    told.map(drop).map_err(CliError::io(format!("cannot synchronise over '{}'", path.display())))
}
