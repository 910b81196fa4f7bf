//! `nattribute`: capabilities and flags of a network context that runs.

use vserver_runtime::bare::Side;
use vserver_runtime::{Attributes, NetworkPlan, RunRecord};
use vserver_types::{Exit, FlagEdit, FlagKind, NetCaps, NetFlags, Shape, ShapeError};

use crate::args::NattributeArgs;
use crate::commands::chain::{self, Target};
use crate::context::Context;
use crate::error::CliError;

/// Shows or changes them, becomes the command if there is one.
pub fn run(args: &NattributeArgs, context: &Context) -> Result<Exit, CliError> {
    if args.get {
        let words = words(args.nid.as_deref(), context)?;
        context.printer.text(&format!("ncapabilities:\n{}\nnflags:\n{}\n", words.ncaps, words.nflags))?;
        return chain::go_on(&args.command);
    }
    let (egress, ingress) = (bound(args.egress.as_deref())?, bound(args.ingress.as_deref())?);
    if egress.is_some() || ingress.is_some() {
        shape(args.nid.as_deref(), context, egress, ingress)?;
        // A guest that is held to no addresses has rates, too.
        if args.ncap.is_empty() && args.flag.is_empty() && !args.secure {
            return chain::go_on(&args.command);
        }
    }
    let ncaps = chain::lists(FlagKind::Ncap, &args.ncap, Exit::Failure)?;
    let nflags = chain::lists(FlagKind::Nflag, &args.flag, Exit::Failure)?;
    with_network(args.nid.as_deref(), context, |plan, words| {
        change(words, args.secure, ncaps, nflags);
        plan.follow(words.ncaps, words.ccaps, words.nflags);
        Ok(())
    })?;
    chain::go_on(&args.command)
}

/// A rate on the command line: `None` if there is none, `Some(None)` for `none`.
fn bound(word: Option<&str>) -> Result<Option<Option<Shape>>, CliError> {
    let parse = |word: &str| match word {
        "none" => Ok(None),
        word => word.parse().map(Some).map_err(|error: ShapeError| CliError::Refused(error.to_string())),
    };
    word.map(parse).transpose()
}

/// Holds a running guest to other rates.
fn shape(
    word: Option<&str>,
    context: &Context,
    egress: Option<Option<Shape>>,
    ingress: Option<Option<Shape>>,
) -> Result<(), CliError> {
    let Target::Guest(record) = chain::target(context, Side::Network, word)? else {
        return Err(CliError::Refused("only a running guest has rates; name one with --nid".to_owned()));
    };
    Ok(vserver_runtime::change_traffic(&context.host, &record.name, |traffic| {
        traffic.egress = egress.unwrap_or(traffic.egress);
        traffic.ingress = ingress.unwrap_or(traffic.ingress);
    })?)
}

fn change(words: &mut Attributes, secure: bool, ncaps: FlagEdit, nflags: FlagEdit) {
    let base = if secure { NetCaps::SECURE } else { words.ncaps.0 };
    words.ncaps = NetCaps(ncaps.apply(base));
    let base = if secure { words.nflags.0 | NetFlags::HIDE_NETIF } else { words.nflags.0 };
    words.nflags = NetFlags(nflags.apply(base));
}

fn words(word: Option<&str>, context: &Context) -> Result<Attributes, CliError> {
    match chain::target(context, Side::Network, word)? {
        Target::Guest(record) => Ok(record.attributes),
        Target::Bare(bare) => Ok(bare.attributes),
        Target::Host => Ok(Attributes::default()),
        Target::Idle(_) => Err(chain::no_such(Side::Network, word)),
    }
}

/// Changes what the sockets of a running network context are held to, at once and for as long as it runs.
pub fn with_network(
    word: Option<&str>,
    context: &Context,
    change: impl FnOnce(&mut NetworkPlan, &mut Attributes) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let no_context = || CliError::Refused("the host has no network context; give one with --nid".to_owned());
    match chain::target(context, Side::Network, word)? {
        Target::Guest(record) => of_guest(*record, context, change),
        Target::Bare(mut bare) => {
            let mut network = bare.network.clone().ok_or_else(no_context)?;
            change(&mut network, &mut bare.attributes)?;
            bare.network = Some(network);
            chain::report(context, &bare.confine_all()?);
            bare.save(&context.host)?;
            Ok(vserver_runtime::bare::release(&context.host, &bare)?)
        }
        Target::Host => Err(no_context()),
        Target::Idle(_) => Err(chain::no_such(Side::Network, word)),
    }
}

fn of_guest(
    record: RunRecord,
    context: &Context,
    change: impl FnOnce(&mut NetworkPlan, &mut Attributes) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let mut fault = None;
    let found = vserver_runtime::change_network(&context.host, &record.name, |network, words| {
        fault = change(network, words).err();
        fault.is_none()
    })?;
    match fault {
        Some(fault) => Err(fault),
        None => {
            chain::report(context, &found);
            Ok(())
        }
    }
}
