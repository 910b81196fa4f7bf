//! A guest's addresses, and the devices that are made for them first. Each is in the record before it is made.

use std::time::Duration;

use ipnetwork::IpNetwork;
use vserver_config::NetworkSpace;
use vserver_net::{Added, AddressPlan, Broadcast, Standing};
use vserver_types::Unenforced;

use crate::devices;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::plan::{Plan, TunPlan};
use crate::record::{AddedAddress, RunRecord};

/// Whether an address or a device is to be made.
pub(super) fn changes_the_network(plan: &Plan) -> bool {
    !plan.addresses.is_empty() || !plan.vlans.is_empty() || !plan.tuns.is_empty()
}

fn make_vlans(host: &Host, plan: &Plan, record: &mut RunRecord) -> Result<()> {
    for wish in &plan.vlans {
        let make = || vserver_net::add_vlan(&wish.device, &wish.parent, wish.id);
        make_device(host, plan, &wish.device, record, make)?;
    }
    Ok(())
}

fn make_tuns(host: &Host, plan: &Plan, record: &mut RunRecord) -> Result<()> {
    record.has_tun = plan.devices.contains(&devices::tun());
    record.own_tuns = !plan.tuns.is_empty();
    for wish in &plan.tuns {
        let TunPlan { tap, owner, group, link_type, .. } = *wish;
        let make = || vserver_net::add_tun(&wish.device, vserver_net::TunPlan { tap, owner, group, link_type });
        make_device(host, plan, &wish.device, record, make)?;
    }
    if record.has_tun {
        record.unenforced.extend(tuns_of_others(plan)?);
    }
    Ok(())
}

/// Devices that the guest could use though they are not made for it.
fn tuns_of_others(plan: &Plan) -> Result<Vec<Unenforced>> {
    let mut open = vserver_net::tuns_of_nobody().map_err(Error::layer("list the tun devices", &plan.name))?;
    open.retain(|name| plan.tuns.iter().all(|own| own.device != *name));
    let mut found: Vec<_> = open.first().map(|_| {
        let reason = format!(
            "{} has neither owner nor group on this host, so whoever may open /dev/net/tun can use it while nobody else does; \
             give it an owner (tunctl --uid 0)",
            open.join(", ")
        );
        Unenforced::partial("tun devices", reason)
    }).into_iter().collect();
    if plan.id_base.is_none() {
        let reason =
            "without a user namespace its users are the host's: another such guest with tun could use its devices";
        found.push(Unenforced::partial("tun devices", reason));
    }
    Ok(found)
}

fn make_device(
    host: &Host,
    plan: &Plan,
    device: &str,
    record: &mut RunRecord,
    make: impl FnOnce() -> std::result::Result<Added, vserver_net::Error>,
) -> Result<()> {
    // One that is there is not ours to remove.
    if vserver_net::has_device(device) {
        return Ok(());
    }
    record.made_devices.push(device.to_owned());
    record.save(host)?;
    let made = make();
    if !matches!(made, Ok(Added::Now)) {
        record.made_devices.pop();
    }
    done_or_told(plan, record, format!("make the device {device}"), made).map(drop)
}

/// What cannot be done on the host's stack is told, and the guest starts without it, as it always did: a device that comes
/// later must not cost a host its guests. A start with `--strict` is refused. On a stack of the guest's own nothing else
/// would tell, and where no VLAN at all can be made the original stopped, too. Source: util-vserver, `config-tree.md` §5.6.
fn done_or_told<T>(
    plan: &Plan,
    record: &mut RunRecord,
    action: String,
    done: std::result::Result<T, vserver_net::Error>,
) -> Result<Option<T>> {
    let fatal = |error: &vserver_net::Error| {
        plan.space != NetworkSpace::Host || matches!(error, vserver_net::Error::NoVlans { .. })
    };
    match done {
        Ok(done) => Ok(Some(done)),
        Err(error) if fatal(&error) => Err(Error::layer(action, &plan.name)(error)),
        Err(error) => {
            let reason = Error::layer(action, &plan.name)(error).chain();
            record.unenforced.push(Unenforced::none("interfaces", reason));
            Ok(None)
        }
    }
}

/// How long the kernel may ask the neighbours for an address that the administrator added a moment ago: with its defaults it
/// takes at most two seconds.
const DETECTION: Duration = Duration::from_secs(4);

/// With the devices that they are put on; in the network namespace of the calling thread. Gives what the caller should hear.
pub(super) fn add_addresses(host: &Host, plan: &Plan, record: &mut RunRecord) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    make_vlans(host, plan, record)?;
    make_tuns(host, plan, record)?;
    if plan.addresses.is_empty() {
        return Ok(warnings);
    }
    let present = vserver_net::addresses_on_host().map_err(Error::layer("list the host's addresses", &plan.name))?;
    for wish in &plan.addresses {
        // One that the administrator put there is not ours to take away.
        if let Some((dev, network)) = present.iter().find(|(_, network)| network.ip() == wish.address.ip) {
            warnings.extend(of_the_host(plan, dev, *network)?);
            continue;
        }
        record.addresses.push(AddedAddress { device: wish.device.clone(), address: wish.address });
        record.save(host)?;
        let added = vserver_net::add_address(&AddressPlan {
            dev: wish.device.clone(),
            address: wish.address,
            label: wish.label.clone(),
            broadcast: wish.broadcast.map_or(Broadcast::No, Broadcast::Is),
            peer: wish.peer,
            scope: wish.scope,
            up: wish.up,
        });
        // One that was added to a link which then could not be set up stays in the record.
        if matches!(added, Ok(Added::WasThere)) || added.is_err() && !vserver_net::has_device(&wish.device) {
            record.addresses.pop();
        }
        if matches!(added, Ok(Added::WithScopeOfOthers)) {
            let reason = format!(
                "{} has the scope of the other addresses of its network on {}: the kernel lets them have one only",
                wish.address, wish.device
            );
            record.unenforced.push(Unenforced::partial("interfaces", reason));
        }
        done_or_told(plan, record, format!("add {} to {}", wish.address, wish.device), added)?;
    }
    Ok(warnings)
}

/// An address that was there before the start. Servers bind it at once, so it is waited for.
fn of_the_host(plan: &Plan, dev: &str, network: IpNetwork) -> Result<Vec<String>> {
    let failed = Error::layer(format!("look at {network} on {dev}"), &plan.name);
    let unusable = match vserver_net::settle(network.ip(), DETECTION).map_err(failed)? {
        Standing::Usable | Standing::Absent => None,
        Standing::Tentative => Some("the kernel still asks the neighbours for it (is the link up?)"),
        Standing::Duplicate => Some("a neighbour has it, too"),
    };
    let stays = format!("{network} was on {dev} before the start, and stays there when the guest stops");
    Ok([Some(stays), unusable.map(|why| format!("{network} on {dev} cannot be bound: {why}"))]
        .into_iter()
        .flatten()
        .collect())
}
