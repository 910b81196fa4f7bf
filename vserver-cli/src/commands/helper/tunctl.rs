//! `tunctl`: tun and tap devices of the host, also for guests. Source: util-vserver, `commands.md` §11.

use vserver_config::{GuestConfig, Userns};
use vserver_net::TunPlan;
use vserver_runtime::bare::Side;
use vserver_types::Exit;

use crate::args::TunctlArgs;
use crate::commands::chain::{self, Target};
use crate::context::Context;
use crate::error::{CliError, chain as reasons};

/// How many ids a guest has.
const IDS: u32 = 1 << 16;

/// Each device in turn; the first failure ends it, as in the original.
pub fn run(args: &TunctlArgs, context: &Context) -> Result<Exit, CliError> {
    if args.names.is_empty() {
        return Err(CliError::usage(context.printer.tool(), "the name of a device is needed", Exit::BeforeExec));
    }
    if args.checksum || args.no_checksum {
        context.printer.note("--checksum: kernels of today take no notice of it");
    }
    let plan = plan(args, context)?;
    let persistent = if args.persist { Some(true) } else { args.no_persist.then_some(false) };
    for name in &args.names {
        vserver_net::change_tun(&args.device, name, plan, persistent)?;
    }
    Ok(Exit::Success)
}

fn plan(args: &TunctlArgs, context: &Context) -> Result<TunPlan, CliError> {
    let whose = match (&args.nid, &args.nid_failure_ok) {
        (Some(word), _) => Some(Whose::of(word, context)?),
        (None, Some(word)) => Whose::of(word, context).inspect_err(|error| context.printer.note(reasons(error))).ok(),
        (None, None) => None,
    };
    let (tap, link_type) = (args.tap, args.linktype);
    let Some(whose) = whose else {
        return Ok(TunPlan { tap, owner: args.uid, group: args.gid, link_type });
    };
    // Without an owner it would be everybody's.
    let owner = Some(whose.on_host(args.uid.unwrap_or(0))?);
    Ok(TunPlan { tap, owner, group: args.gid.map(|gid| whose.on_host(gid)).transpose()?, link_type })
}

/// A guest as the owner of a device: the kernel knows it by its users.
struct Whose {
    /// First host uid of its range; `None`: its users are the host's.
    base: Option<u32>,
}

impl Whose {
    /// Of a network context, which need not run if it has a number.
    fn of(word: &str, context: &Context) -> Result<Self, CliError> {
        match chain::target(context, Side::Network, Some(word))? {
            Target::Guest(record) => Ok(Self { base: record.id_base }),
            Target::Idle(number) => stopped(word, number, context),
            Target::Host | Target::Bare(_) => Ok(Self { base: None }),
        }
    }

    fn of_config(config: &GuestConfig) -> Option<Self> {
        match config.userns {
            Userns::Off => Some(Self { base: None }),
            Userns::Auto => Some(Self { base: Some(config.context?.id_base()?) }),
        }
    }

    fn on_host(&self, id: u32) -> Result<u32, CliError> {
        match self.base {
            None => Ok(id),
            Some(base) if id < IDS => Ok(base + id),
            Some(_) => Err(CliError::Refused(format!("a guest has no user or group {id}: they end at {}", IDS - 1))),
        }
    }
}

/// A guest that does not run, by its name or by the number of its network context: its users follow from its context.
fn stopped(word: &str, number: Option<u32>, context: &Context) -> Result<Whose, CliError> {
    let confdir = &context.host.confdir;
    let numbered = word.parse::<u32>().is_ok();
    for name in vserver_config::list(confdir)? {
        let Ok((config, _)) = vserver_config::read(confdir, &name) else { continue };
        let nid = config.ncontext.map(|nid| nid.0).or(config.context.map(|xid| xid.0));
        let meant =
            if numbered { nid == number && nid.is_some() } else { word.trim_start_matches(':') == name.as_str() };
        if let Some(whose) = Whose::of_config(&config).filter(|_| meant) {
            return Ok(whose);
        }
    }
    Err(chain::no_such(Side::Network, Some(word)))
}
