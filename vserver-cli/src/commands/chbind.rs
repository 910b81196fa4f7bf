//! `chbind`: a command held to addresses by the kernel, whatever it is configured to do.

use std::net::{IpAddr, Ipv4Addr};

use vserver_runtime::NetworkPlan;
use vserver_runtime::bare::{self, Bare, Side};
use vserver_types::{Exit, FlagKind, NetCaps, NetFlags};

use crate::args::{Addresses, ChbindArgs};
use crate::commands::chain::{self, Target};
use crate::context::Context;
use crate::error::CliError;

/// Makes a network context and becomes the command in it; one that runs is joined as it is.
pub fn run(args: &ChbindArgs, context: &Context) -> Result<Exit, CliError> {
    if args.command.is_empty() {
        return Err(CliError::usage("chbind", "a command is needed", Exit::BeforeExec));
    }
    match args.nid.as_deref().map(|word| chain::target(context, Side::Network, Some(word))).transpose()? {
        None => begin(args, None, context),
        Some(Target::Idle(Some(number))) if chain::is_static(number) => begin(args, Some(number), context),
        Some(Target::Host) => chain::go(&args.command, args.disconnect),
        Some(Target::Bare(mut bare)) => {
            chain::report(context, &bare.enter(&context.host)?);
            chain::go(&args.command, args.disconnect)
        }
        Some(Target::Guest(record)) => beside_guest(record.network, args, context),
        Some(Target::Idle(_)) => Err(chain::no_such(Side::Network, args.nid.as_deref())),
    }
}

fn begin(args: &ChbindArgs, number: Option<u32>, context: &Context) -> Result<Exit, CliError> {
    let words = words(args)?;
    // Faults of the command line come before anything is made.
    take(&args.addresses, &mut bare::new_network(0))?;
    let created = Bare::create(&context.host, Side::Network, number)?;
    let mut bare = created.ok_or_else(|| CliError::Refused("vc_net_create(): File exists".to_owned()))?;
    bare.attributes = words;
    let mut network = bare::new_network(bare.number);
    let added = take(&args.addresses, &mut network)?;
    network.follow(words.ncaps, words.ccaps, words.nflags);
    bare.network = Some(network);
    let found = bare.enter(&context.host)?;
    context.printer.status(format_args!("New network context is {}", bare.number))?;
    if !added.is_empty() {
        context.printer.status(sentence("Adding", &added))?;
    }
    chain::report(context, &found);
    chain::go(&args.command, false)
}

/// Beside a guest, with its addresses: a process of the host does not end with it.
fn beside_guest(network: Option<NetworkPlan>, args: &ChbindArgs, context: &Context) -> Result<Exit, CliError> {
    let Some(network) = network else {
        return chain::go(&args.command, args.disconnect);
    };
    let created = Bare::create(&context.host, Side::Network, None)?;
    let mut bare = created.ok_or_else(|| CliError::Refused("all dynamic network contexts are in use".to_owned()))?;
    bare.network = Some(NetworkPlan { low_ports: false, ..network });
    chain::report(context, &bare.enter(&context.host)?);
    chain::go(&args.command, args.disconnect)
}

fn words(args: &ChbindArgs) -> Result<vserver_runtime::Attributes, CliError> {
    let mut words = bare::new_attributes();
    let secure = if args.secure { NetCaps::SECURE } else { 0 };
    words.ncaps = NetCaps(chain::lists(FlagKind::Ncap, &args.ncap, Exit::BeforeExec)?.apply(secure));
    words.nflags = NetFlags(chain::lists(FlagKind::Nflag, &args.flag, Exit::BeforeExec)?.apply(words.nflags.0));
    Ok(words)
}

/// Puts the addresses of the command line into `network`, and returns those of `--ip`.
pub fn take(given: &Addresses, network: &mut NetworkPlan) -> Result<Vec<IpAddr>, CliError> {
    let added = given.ip.iter().map(|word| address(word)).collect::<Result<Vec<_>, _>>()?;
    for ip in &added {
        if !network.addresses.contains(ip) {
            network.addresses.push(*ip);
        }
    }
    if let Some(word) = &given.bcast {
        network.broadcast = Some(ipv4(word)?);
    }
    if let Some(word) = &given.lback {
        network.loopback = ipv4(word)?;
    }
    Ok(added)
}

/// An address with or without a length or mask behind it, or the primary one of a device.
pub fn address(word: &str) -> Result<IpAddr, CliError> {
    let (ip, rest) = word.split_once('/').map_or((word, None), |(ip, rest)| (ip, Some(rest)));
    if let Ok(ip) = ip.parse::<IpAddr>() {
        let most = if ip.is_ipv4() { 32 } else { 128 };
        let fits = rest.is_none_or(|rest| {
            rest.parse::<u8>().is_ok_and(|length| length <= most) || ip.is_ipv4() && rest.parse::<Ipv4Addr>().is_ok()
        });
        return if fits { Ok(ip) } else { Err(wrong(word)) };
    }
    bare::address_of(word)?.ok_or_else(|| wrong(word))
}

fn ipv4(word: &str) -> Result<Ipv4Addr, CliError> {
    match address(word)? {
        IpAddr::V4(ip) => Ok(ip),
        IpAddr::V6(_) => Err(wrong(word)),
    }
}

fn wrong(word: &str) -> CliError {
    CliError::Refused(format!(
        "'{}' is neither an address of the right kind nor a device of this host",
        word.escape_debug()
    ))
}

/// `Adding 192.0.2.1 192.0.2.2`
pub fn sentence(verb: &str, addresses: &[IpAddr]) -> String {
    addresses.iter().fold(verb.to_owned(), |text, ip| format!("{text} {ip}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_lengths_and_masks() {
        assert_eq!(address("192.0.2.1/24").unwrap().to_string(), "192.0.2.1");
        assert_eq!(address("192.0.2.1/255.255.255.0").unwrap().to_string(), "192.0.2.1");
        assert_eq!(address("2001:db8::1/64").unwrap().to_string(), "2001:db8::1");
        for bad in ["192.0.2.1/33", "192.0.2.1/x", "2001:db8::1/129", "192.0.2.1/-1"] {
            assert!(address(bad).is_err(), "{bad}");
        }
        assert_eq!(
            sentence("Adding", &[address("192.0.2.1").unwrap(), address("::1").unwrap()]),
            "Adding 192.0.2.1 ::1"
        );
    }
}
