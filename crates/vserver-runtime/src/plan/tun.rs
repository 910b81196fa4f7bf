//! tun and tap devices of a guest: whose they are on the host.

use vserver_config::{GuestConfig, Tun};
use vserver_types::NetCaps;

use super::TunPlan;
use crate::error::{Error, Result};

/// How many ids a guest has.
const IDS: u32 = 1 << 16;

/// Whether the guest may open `/dev/net/tun`.
pub fn is_allowed(config: &GuestConfig) -> bool {
    config.ncaps.contains(NetCaps::TUN_CREATE) || config.interfaces.iter().any(|one| one.tun.is_some())
}

/// Several addresses may be on one device; the first one says what it is.
pub fn plan(config: &GuestConfig, id_base: Option<u32>) -> Result<Vec<TunPlan>> {
    let mut all: Vec<TunPlan> = Vec::new();
    for (device, tun) in config.interfaces.iter().filter_map(|one| one.dev.as_ref().zip(one.tun.as_ref())) {
        if all.iter().all(|known| known.device != *device) {
            all.push(device_plan(config, device, tun, id_base)?);
        }
    }
    Ok(all)
}

fn device_plan(config: &GuestConfig, device: &str, tun: &Tun, id_base: Option<u32>) -> Result<TunPlan> {
    let on_host = |what: &str, id: u32| match id_base {
        None => Ok(id),
        Some(base) if id < IDS => Ok(base + id),
        Some(_) => Err(Error::Taken {
            name: config.name.clone(),
            what: format!("its device '{device}' is for {what} {id}, and its ids end at {}", IDS - 1),
        }),
    };
    // A device of nobody is everybody's.
    let uid = tun.uid.or_else(|| (!tun.shared).then_some(0));
    Ok(TunPlan {
        device: device.to_owned(),
        tap: tun.tap,
        owner: uid.map(|uid| on_host("user", uid)).transpose()?,
        group: tun.gid.map(|gid| on_host("group", gid)).transpose()?,
        link_type: tun.linktype,
    })
}
