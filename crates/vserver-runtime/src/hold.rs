//! What holds a guest to its devices and addresses: programs in its cgroup. Loading them takes as long as building the
//! guest does, so the launcher loads them while the builder builds; the guest executes nothing before they are there.

use std::os::fd::AsFd;

use vserver_cgroup::{DevicePolicy, GuestCgroup};
use vserver_types::Unenforced;

use crate::error::{Error, Result};
use crate::plan::Plan;

/// Attaches the programs. They belong to the cgroup directory and vanish with it. Returns what they cannot enforce.
pub fn hold(plan: &Plan, cgroup: &GuestCgroup) -> Result<Vec<Unenforced>> {
    let (devices, mut found) = DevicePolicy::default().with_raw(&plan.limits.raw);
    cgroup.device_policy(&devices).map_err(Error::layer("restrict the devices", &plan.name))?;
    found.extend(addresses(cgroup, plan)?);
    Ok(found)
}

/// Fails closed: without the programs a guest would have the host's addresses.
fn addresses(cgroup: &GuestCgroup, plan: &Plan) -> Result<Vec<Unenforced>> {
    let Some(network) = &plan.network else {
        let reason = "the file 'noncontext' leaves all of the host's to the guest";
        return Ok(vec![Unenforced::none("addresses", reason)]);
    };
    let no_v2 = || Error::Taken {
        name: plan.name.clone(),
        what: "there is no cgroup v2 hierarchy to hold it to its addresses; mount one, or make the file 'noncontext'"
            .to_owned(),
    };
    let directory = cgroup.v2_dir().ok_or_else(no_v2)?;
    vserver_net::confine(directory.as_fd(), &network.policy())
        .map_err(Error::layer("hold the guest to its addresses", &plan.name))
}
