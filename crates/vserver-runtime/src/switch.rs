//! Switches: bridges of ours that guests plug into by name. They are written down in the configuration and made when the
//! first guest needs them, so a new boot needs nothing else.

use std::time::Duration;

use vserver_config::{LinkKind, Switch, Uplink};
use vserver_fs::Flock;
use vserver_net::space::{self, Link};
use vserver_net::{AddressPlan, Broadcast, guard};
use vserver_types::GuestName;

use crate::error::{Error, Result};
use crate::host::{Host, make_private};

/// How long a command waits for another one that makes or removes a switch.
const PATIENCE: Duration = Duration::from_secs(60);

/// One switch as it is now.
#[derive(Clone, Debug)]
pub struct SwitchState {
    /// As it is written down.
    pub switch: Switch,
    /// Its bridge is there.
    pub made: bool,
    /// Its bridge keeps VLANs apart.
    pub vlans: bool,
    /// Guests whose configuration names it.
    pub guests: Vec<GuestName>,
}

/// Writes it down and makes it: all or nothing.
///
/// # Errors
/// [`Error::Switch`]: there is one of that name or bridge, or what it shall hang on is missing or in use.
pub fn create_switch(host: &Host, switch: &Switch) -> Result<()> {
    let _lock = lock(host, &switch.name)?;
    let refused = |what: String| Err(Error::Switch { name: switch.name.clone(), what });
    if !vserver_config::is_switch_name(&switch.name) {
        return refused(
            "cannot be called so: 1 to 12 letters, digits, '.', '_' and '-', the first a letter or digit".to_owned(),
        );
    }
    if switch.dir(&host.confdir).exists() {
        return refused("is there already".to_owned());
    }
    if vserver_net::has_device(&switch.bridge()) {
        return refused(format!("cannot be made: there is a network device '{}' already", switch.bridge()));
    }
    if let Some(what) = obstacle(switch)? {
        return refused(format!("cannot be made: {what}"));
    }
    switch.write(&host.confdir)?;
    make(switch).inspect_err(|_| {
        // The first failure is the one to tell.
        let _ = vserver_net::remove_device(&switch.bridge());
        let _ = switch.forget(&host.confdir);
    })
}

/// Removes it, unless a guest names it or something else is plugged in.
///
/// # Errors
/// [`Error::Switch`].
pub fn delete_switch(host: &Host, name: &str) -> Result<()> {
    let _lock = lock(host, name)?;
    let refused = |what: String| Err(Error::Switch { name: name.to_owned(), what });
    let Some(switch) = Switch::read(&host.confdir, name)? else {
        return refused("is not there".to_owned());
    };
    let guests = guests_on(host, name)?;
    if let Some(guest) = guests.first() {
        let more = if guests.len() > 1 { format!(" and {} more", guests.len() - 1) } else { String::new() };
        return refused(format!(
            "is in use by guest '{guest}'{more}; take it out of their netns/interfaces/<x>/switch first"
        ));
    }
    let bridge = switch.bridge();
    if vserver_net::has_device(&bridge) {
        let ports = space::ports_of(&bridge).map_err(failed(name, "removed"))?;
        if let Some(port) = ports.iter().find(|port| switch.uplink.as_ref() != Some(port)) {
            return refused(format!("is in use: the device '{port}' is plugged in; take it out first"));
        }
        vserver_net::remove_device(&bridge).map_err(failed(name, "removed"))?;
    }
    Ok(switch.forget(&host.confdir)?)
}

/// All of them, by name.
///
/// # Errors
/// A definition cannot be read.
pub fn switches(host: &Host) -> Result<Vec<SwitchState>> {
    let mut all = Vec::new();
    for name in Switch::names(&host.confdir)? {
        let Some(switch) = Switch::read(&host.confdir, &name)? else { continue };
        let made = vserver_net::has_device(&switch.bridge());
        let vlans = made && space::filters_vlans(&switch.bridge()).map_err(failed(&name, "looked at"))?;
        all.push(SwitchState { made, vlans, guests: guests_on(host, &name)?, switch });
    }
    Ok(all)
}

/// Its bridge, which is made if it is not there.
///
/// # Errors
/// [`Error::Switch`].
pub(crate) fn ensure(host: &Host, name: &str) -> Result<String> {
    let _lock = lock(host, name)?;
    let missing = || Error::Switch { name: name.to_owned(), what: "is not there".to_owned() };
    let switch = Switch::read(&host.confdir, name)?.ok_or_else(missing)?;
    if !vserver_net::has_device(&switch.bridge()) {
        make(&switch).inspect_err(|_| {
            let _ = vserver_net::remove_device(&switch.bridge());
        })?;
    }
    Ok(switch.bridge())
}

/// What keeps it from being made, in one clause.
pub(crate) fn obstacle(switch: &Switch) -> Result<Option<String>> {
    let hosts = vserver_net::addresses_on_host().map_err(failed(&switch.name, "looked at"))?;
    if let Some(address) = switch.addresses.iter().find(|own| hosts.iter().any(|(_, network)| network.ip() == own.ip))
    {
        return Ok(Some(format!("the host has the address {} already", address.ip)));
    }
    let Some(uplink) = &switch.uplink else { return Ok(None) };
    if uplink == "lo" || !vserver_net::has_device(uplink) {
        return Ok(Some(format!("there is no network device '{uplink}' that leads outside")));
    }
    if space::is_a_port(uplink).map_err(failed(&switch.name, "looked at"))? {
        return Ok(Some(format!("the device '{uplink}' is plugged in somewhere else")));
    }
    let link_local = |ip: std::net::IpAddr| matches!(ip, std::net::IpAddr::V6(ip) if ip.is_unicast_link_local());
    let own = hosts.iter().find(|(dev, network)| dev == uplink && !link_local(network.ip()));
    Ok(own.map(|(_, network)| {
        format!(
            "'{uplink}' has the address {network}, which would not be reached any more; move it to the switch with --address"
        )
    }))
}

fn make(switch: &Switch) -> Result<()> {
    build(switch).map_err(failed(&switch.name, "made"))
}

/// Nothing is sent to it before it is complete.
fn build(switch: &Switch) -> std::result::Result<(), vserver_net::Error> {
    let bridge = switch.bridge();
    space::make_bridge(&bridge)?;
    if switch.is_private() {
        guard::seal(&bridge)?;
    }
    if let Some(uplink) = &switch.uplink {
        space::plug(uplink, &bridge)?;
        if space::filters_vlans(&bridge)? {
            space::let_all_vlans_pass(uplink)?;
        }
        space::set_up(Link { name: uplink, mtu: None, mac: None })?;
    }
    for address in &switch.addresses {
        vserver_net::add_address(&AddressPlan {
            dev: bridge.clone(),
            address: *address,
            label: None,
            broadcast: Broadcast::Computed,
            peer: None,
            scope: None,
            up: false,
        })?;
    }
    space::set_up(Link { name: &bridge, mtu: None, mac: None })
}

/// Those whose configuration names it, whether they run or not.
fn guests_on(host: &Host, name: &str) -> Result<Vec<GuestName>> {
    let mut found = Vec::new();
    for guest in vserver_config::list(&host.confdir)? {
        // One that cannot be read at all plugs into nothing.
        let Ok((config, _)) = vserver_config::survey(&host.confdir, &guest) else { continue };
        let plugged = |kind: &LinkKind| matches!(kind, LinkKind::Veth { uplink: Uplink::Switch { name: other, .. }, .. } if other == name);
        if config.network_space.links().iter().any(|link| plugged(&link.kind)) {
            found.push(guest);
        }
    }
    Ok(found)
}

fn lock(host: &Host, name: &str) -> Result<Flock> {
    make_private(&host.run_dir)?;
    let dir = host.run_dir.join("lock");
    make_private(&dir)?;
    // No guest's name begins with a dot.
    let path = dir.join(".switches");
    Flock::take(&path, PATIENCE).map_err(|error| Error::Switch {
        name: name.to_owned(),
        what: format!("cannot be changed: {}", chain(&error)),
    })
}

fn failed(name: &str, done: &'static str) -> impl FnOnce(vserver_net::Error) -> Error {
    let name = name.to_owned();
    move |error| Error::Switch { name, what: format!("cannot be {done}: {}", chain(&error)) }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}
