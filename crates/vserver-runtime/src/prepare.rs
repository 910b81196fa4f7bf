//! The host's side of a start: everything that the guest will find when it begins to live, but for what is loaded while
//! it is being built ([`crate::hold`]). Each thing is written into
//! the record before it is made, so that [`crate::teardown`] can take it away after any accident.

use std::os::fd::{AsFd, OwnedFd};

use vserver_cgroup::{GuestCgroup, Layout};
use vserver_fs::{GuestRoot, Kind};
use vserver_net::{Added, Broadcast};
use vserver_sandbox::blueprint::MountKind;

use crate::error::{Error, Result};
use crate::host::Host;
use crate::plan::Plan;
use crate::record::{AddedAddress, RunRecord};

/// All is there but the guest.
#[derive(Debug)]
pub struct Prepared {
    /// What is being done.
    pub plan: Plan,
    /// What has been made.
    pub record: RunRecord,
    /// The host's hierarchies.
    pub layout: Layout,
    /// The guest's cgroups.
    pub cgroup: GuestCgroup,
    /// The guest's tree.
    pub tree: OwnedFd,
}

/// Does it. After an error the caller tears down what the record says.
pub fn prepare(host: &Host, plan: Plan, mut record: RunRecord) -> Result<Prepared> {
    let name = plan.name.clone();
    record.unenforced.clone_from(&plan.unenforced);
    (record.attributes, record.network) = (plan.attributes, plan.network.clone());
    record.save(host)?;
    let tree = mount_points(&plan)?;
    let layout = Layout::detect().map_err(Error::layer("find the cgroup hierarchies", &name))?;
    let cgroup = cgroup(&layout, &plan, &mut record)?;
    add_addresses(host, &plan, &mut record)?;
    record.save(host)?;
    Ok(Prepared { plan, record, layout, cgroup, tree })
}

fn cgroup(layout: &Layout, plan: &Plan, record: &mut RunRecord) -> Result<GuestCgroup> {
    let name = &plan.name;
    let cgroup = GuestCgroup::create(layout, name).map_err(Error::layer("make the cgroups", name))?;
    let limits = cgroup.apply(&plan.limits).map_err(Error::layer("set the limits", name))?;
    record.unenforced.extend(limits);
    if let Some(base) = plan.id_base {
        cgroup.delegate(base).map_err(Error::layer("hand over its cgroup", name))?;
    }
    Ok(cgroup)
}

fn add_addresses(host: &Host, plan: &Plan, record: &mut RunRecord) -> Result<()> {
    if plan.addresses.is_empty() {
        return Ok(());
    }
    let present = vserver_net::addresses_on_host().map_err(Error::layer("list the host's addresses", &plan.name))?;
    for wish in &plan.addresses {
        // One that the administrator put there is not ours to take away.
        if present.iter().any(|(_, network)| network.ip() == wish.address.ip) {
            continue;
        }
        record.addresses.push(AddedAddress { device: wish.device.clone(), address: wish.address });
        record.save(host)?;
        let added = vserver_net::add_address(&vserver_net::AddressPlan {
            dev: wish.device.clone(),
            address: wish.address,
            label: wish.label.clone(),
            broadcast: wish.broadcast.map_or(Broadcast::No, Broadcast::Is),
            peer: wish.peer,
            up: wish.up,
        })
        .map_err(Error::layer(format!("add {} to {}", wish.address, wish.device), &plan.name))?;
        if added == Added::WasThere {
            record.addresses.pop();
        }
    }
    Ok(())
}

/// Makes what is missing of the mount points, beneath the tree and through no symbolic link, and opens the tree.
fn mount_points(plan: &Plan) -> Result<OwnedFd> {
    let failed = |target: &str| Error::layer(format!("make the mount point {target}"), &plan.name);
    let tree = GuestRoot::open(&plan.tree).map_err(Error::layer("open the tree", &plan.name))?;
    for target in ["proc", "sys", "dev"] {
        tree.create_dir_all(target, 0o755).map_err(failed(target))?;
    }
    for mount in &plan.mounts {
        let target = mount.target.trim_matches('/');
        let file = matches!(&mount.kind, MountKind::Bind { source, .. } if std::path::Path::new(source).is_file());
        let there = tree.kind(target).map_err(failed(target))?;
        match (file, there) {
            (_, Some(Kind::Directory)) | (true, Some(_)) => {}
            (true, None) => drop(tree.create_file(target, 0o644).map_err(failed(target))?),
            (false, _) => drop(tree.create_dir_all(target, 0o755).map_err(failed(target))?),
        }
    }
    tree.as_fd().try_clone_to_owned().map_err(Error::io("keep open", &plan.tree))
}
