//! The host's side of a start: everything that the guest will find when it begins to live, but for what is loaded while
//! it is being built ([`crate::hold`]). Each thing is written into
//! the record before it is made, so that [`crate::teardown`] can take it away after any accident.

mod addresses;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use vserver_cgroup::{GuestCgroup, Layout};
use vserver_fs::GuestRoot;
use vserver_net::Held;
use vserver_sandbox::blueprint::Rooms;
use vserver_types::Limits;

use crate::choose::layout;
use crate::error::{Error, Result};
use crate::hold::{Hold, Loading};
use crate::host::Host;
use crate::interrupt::Interrupts;
use crate::mounts::Origin;
use crate::plan::Plan;
use crate::record::RunRecord;
use crate::{apparmor, disk, furnish, mounts, netns, old_locks, shared, sockets};

use addresses::{add_addresses, changes_the_network};

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
    /// Where it writes, if its tree has files of others, too; known when the last script has run.
    pub layers: Option<OwnedFd>,
    /// What it is born into, if its network is not the host's.
    pub rooms: Option<Rooms>,
    /// What holds it to its devices and addresses.
    pub hold: Hold,
    /// For its keeper to hold: what lets its wildcard sockets hear all of its addresses.
    pub steering: Option<Held>,
    /// What is mounted below it and comes along, relative to it; known when the last script has run.
    pub carried: Vec<PathBuf>,
    /// Sentences for the caller.
    pub warnings: Vec<String>,
}

/// Does it. After an error the caller tears down what the record says; `kept` is its network namespace, for that.
pub fn prepare(
    host: &Host,
    mut plan: Plan,
    mut record: RunRecord,
    loading: Loading,
    kept: &mut Option<OwnedFd>,
    interrupts: &Interrupts,
) -> Result<Prepared> {
    let name = plan.name.clone();
    record.unenforced.clone_from(&plan.unenforced);
    record.devices = plan.devices.iter().filter(|plan| plan.allow).map(|plan| plan.rule.clone()).collect();
    (record.attributes, record.network) = (plan.attributes, plan.network.clone());
    record.traffic = plan.traffic;
    record.cgroup_base.clone_from(&plan.cgroup_base);
    record.apparmor.clone_from(&plan.apparmor.namespace);
    record.save(host)?;
    plan.confinement.label = apparmor::make(&plan.apparmor, &mut record);
    let tree = GuestRoot::open(&plan.tree).map_err(Error::layer("open the tree", &name))?;
    shared::settle(&tree, &plan)?;
    own_mount_points(&tree, &plan)?;
    disk::apply(host, &name, &guests_tree(&plan), &plan.disk, &mut record, interrupts)?;
    let layout = layout(&record)?;
    let cgroup = cgroup(&layout, &plan, &mut record)?;
    let old_lock = changes_the_network(&plan).then(|| old_locks::interfaces(host, Some(interrupts)));
    let (rooms, mut warnings) = netns::make(host, &plan, &mut record, kept)?;
    warnings.extend(match &rooms {
        None => add_addresses(host, &plan, &mut record)?,
        Some(rooms) => netns::furnish(rooms, &plan, || add_addresses(host, &plan, &mut record))?,
    });
    warnings.extend(old_lock.and_then(|held| held.warning));
    let (mut hold, mut steering) = (Hold::Loading(loading), None);
    if plan.mounts.others.iter().any(|mount| mount.remote) {
        (hold, steering) = attach(hold, &plan, &cgroup, &mut record)?;
    }
    let space = rooms.as_ref().map(|rooms| rooms.network.as_fd());
    warnings.extend(mount(&cgroup, &plan, &tree, space, interrupts)?);
    if let Some(lines) = &plan.mounts.mtab {
        mounts::write_mtab(lines, &tree, &vserver_config::initial_mtab(&host.confdir, &name)?, &name)?;
    }
    furnish::furnish(&plan.init.preparation, &tree, &name, interrupts)?;
    record.save(host)?;
    let tree = tree.as_fd().try_clone_to_owned().map_err(Error::io("keep open", &plan.tree))?;
    Ok(Prepared {
        plan,
        record,
        layout,
        cgroup,
        tree,
        layers: None,
        rooms,
        hold,
        steering,
        carried: Vec::new(),
        warnings,
    })
}

/// Before something is mounted from a guest's addresses it is held to them.
fn attach(hold: Hold, plan: &Plan, cgroup: &GuestCgroup, record: &mut RunRecord) -> Result<(Hold, Option<Held>)> {
    let Hold::Loading(loading) = hold else { return Ok((hold, None)) };
    let ready = loading.finish(plan)?;
    let steering = ready.steering(plan)?;
    record.unenforced.extend(ready.attach(plan, cgroup, None)?);
    record.unenforced.extend(sockets::hold(plan, cgroup)?);
    Ok((Hold::Attached, steering))
}

/// On the host, also if another one is raised in its place.
pub(crate) fn guests_tree(plan: &Plan) -> PathBuf {
    plan.workshop.as_ref().map_or_else(|| plan.tree.clone(), |workshop| plan.tree.join(&workshop.guest))
}

fn cgroup(layout: &Layout, plan: &Plan, record: &mut RunRecord) -> Result<GuestCgroup> {
    let name = &plan.name;
    if !plan.around.is_host() {
        layout.make_room().map_err(Error::layer("make room for its cgroups", name))?;
    }
    let cgroup = GuestCgroup::create(layout, name).map_err(Error::layer("make the cgroups", name))?;
    // What was just made limits nothing.
    if plan.limits != Limits::default() {
        let limits = cgroup.apply(&plan.limits).map_err(Error::layer("set the limits", name))?;
        record.unenforced.extend(limits);
    }
    if let Some(base) = plan.id_base {
        cgroup.delegate(base).map_err(Error::layer("hand over its cgroup", name))?;
    }
    Ok(cgroup)
}

/// Makes what is missing of the sandbox's own mount points, through no symbolic link.
fn own_mount_points(tree: &GuestRoot, plan: &Plan) -> Result<()> {
    for target in ["proc", "sys", "dev"] {
        let failed = Error::layer(format!("make the mount point {target}"), &plan.name);
        tree.create_dir_all(target, 0o755).map_err(failed)?;
    }
    Ok(())
}

fn mount(
    cgroup: &GuestCgroup,
    plan: &Plan,
    tree: &GuestRoot,
    space: Option<BorrowedFd<'_>>,
    interrupts: &Interrupts,
) -> Result<Vec<String>> {
    let remote = plan.mounts.others.iter().any(|mount| mount.remote);
    let entry = remote.then(|| cgroup.entry()).transpose().map_err(Error::layer("open the cgroups", &plan.name))?;
    let group = entry.as_ref().and_then(|entry| entry.v2_dir());
    mounts::mount_all(&plan.mounts.others, tree, Origin { group, space }, &plan.name, interrupts)
}
