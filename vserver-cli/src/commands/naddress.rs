//! `naddress`: the addresses of a network context that runs.

use std::net::{IpAddr, Ipv4Addr};

use vserver_runtime::NetworkPlan;
use vserver_types::Exit;

use crate::args::NaddressArgs;
use crate::commands::chain;
use crate::commands::chbind::{address, sentence, take};
use crate::commands::nattribute::with_network;
use crate::context::Context;
use crate::error::CliError;

/// Most addresses that one network or range is written out to: each is a comparison in every program.
const MOST: u32 = 256;

/// Changes them, says which, becomes the command if there is one.
pub fn run(args: &NaddressArgs, context: &Context) -> Result<Exit, CliError> {
    let verb = match (args.add, args.remove, args.set) {
        (true, false, false) | (false, false, true) => "Adding",
        (false, true, false) => "Removing",
        (false, false, false) => return Err(wrong("one of --add, --remove and --set is needed")),
        _ => return Err(wrong("only one of --add, --remove and --set can be given")),
    };
    let mut wide = Vec::new();
    for word in &args.mask {
        wide.extend(network(word)?);
    }
    for word in &args.range {
        wide.extend(range(word)?);
    }
    let mut named = Vec::new();
    with_network(args.nid.as_deref(), context, |plan, _| {
        if args.set {
            plan.addresses.clear();
        }
        named = change(args, plan, &wide)?;
        Ok(())
    })?;
    if !args.silent && !named.is_empty() {
        context.printer.line(sentence(verb, &named))?;
    }
    chain::go_on(&args.command)
}

fn change(args: &NaddressArgs, plan: &mut NetworkPlan, wide: &[IpAddr]) -> Result<Vec<IpAddr>, CliError> {
    if !args.remove {
        let mut named = take(&args.addresses, plan)?;
        let new: Vec<_> = wide.iter().filter(|ip| !plan.addresses.contains(ip)).copied().collect();
        plan.addresses.extend(&new);
        named.extend(new);
        return Ok(named);
    }
    let mut named = args.addresses.ip.iter().map(|word| address(word)).collect::<Result<Vec<_>, _>>()?;
    named.extend(wide);
    plan.addresses.retain(|ip| !named.contains(ip));
    if args.addresses.bcast.is_some() {
        plan.broadcast = None;
    }
    Ok(named)
}

fn wrong(fault: &str) -> CliError {
    CliError::usage("naddress", fault, Exit::BeforeExec)
}

/// The addresses of an IPv4 network, written out.
fn network(word: &str) -> Result<Vec<IpAddr>, CliError> {
    let length =
        word.split_once('/').and_then(|(_, length)| length.parse::<u32>().ok()).filter(|length| *length <= 32);
    let (IpAddr::V4(ip), Some(length)) = (address(word)?, length) else {
        return Err(CliError::Refused(format!("--mask {word}: an IPv4 network like 192.0.2.0/28 is needed")));
    };
    let size = 1_u64 << (32 - length);
    let first = u32::from(ip) & u32::MAX.checked_shl(32 - length).unwrap_or(0);
    between(word, first, u64::from(first) + size - 1)
}

fn range(word: &str) -> Result<Vec<IpAddr>, CliError> {
    let bare = word.split_once('/').map_or(word, |(range, _)| range);
    let ends =
        bare.split_once('-').and_then(|(a, b)| Some((a.parse::<Ipv4Addr>().ok()?, b.parse::<Ipv4Addr>().ok()?)));
    let (first, last) = ends.filter(|(first, last)| first <= last).ok_or_else(|| {
        CliError::Refused(format!(
            "--range {word}: two IPv4 addresses in order are needed, as in 192.0.2.1-192.0.2.9"
        ))
    })?;
    between(word, first.into(), u32::from(last).into())
}

fn between(word: &str, first: u32, last: u64) -> Result<Vec<IpAddr>, CliError> {
    if last - u64::from(first) >= MOST.into() {
        return Err(CliError::Refused(format!(
            "{word} is more than {MOST} addresses; give the context a network namespace, or fewer addresses"
        )));
    }
    Ok((u64::from(first)..=last).filter_map(|n| u32::try_from(n).ok()).map(|n| Ipv4Addr::from(n).into()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_ranges_are_written_out() {
        assert_eq!(network("192.0.2.5/30").unwrap().len(), 4);
        assert_eq!(network("192.0.2.5/32").unwrap(), ["192.0.2.5".parse::<IpAddr>().unwrap()]);
        assert_eq!(range("192.0.2.1-192.0.2.9/24").unwrap().len(), 9);
        assert_eq!(range("255.255.255.255-255.255.255.255").unwrap().len(), 1);
        for bad in ["192.0.2.0/8", "192.0.2.0/0", "2001:db8::/126", "192.0.2.1"] {
            assert!(network(bad).is_err(), "{bad}");
        }
        for bad in ["192.0.2.9-192.0.2.1", "0.0.0.0-255.255.255.255", "x-y", "192.0.2.1"] {
            assert!(range(bad).is_err(), "{bad}");
        }
    }
}
