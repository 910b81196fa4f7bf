//! Taking away everything that a start made, newest first. Goes on past failures and reports them all; what is gone
//! already is no failure, so it can be repeated after any accident.

use std::io::ErrorKind;
use std::path::Path;

use vserver_cgroup::{GuestCgroup, Layout};
use vserver_config::Flavour;

use crate::choose::layout;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::record::RunRecord;
use crate::{apparmor, compat_state, disk, netns, old_locks, shared, traffic};

/// Ends what is left of the guest's processes and removes its cgroups, addresses, and state.
pub fn teardown(host: &Host, record: &RunRecord) -> Result<()> {
    teardown_with(host, layout(record), record, |_| {})
}

/// The same, with the scripts of the two moments between. Source: util-vserver, `behaviours.md` §4.
pub fn teardown_with(
    host: &Host,
    layout: Result<Layout>,
    record: &RunRecord,
    mut scripts: impl FnMut(Flavour),
) -> Result<()> {
    let mut failures = Vec::new();
    let layout = layout.map_err(|error| failures.push(error.chain())).ok();
    let mut attempt = |result: Result<()>| failures.extend(result.err().map(|error| error.chain()));
    attempt(with_cgroup(layout.as_ref(), record, "end its processes", GuestCgroup::kill));
    attempt(shared::fold(record));
    scripts(Flavour::PostStop);
    let network = !record.addresses.is_empty() || !record.made_devices.is_empty();
    let old_lock = network.then(|| old_locks::interfaces(host, None));
    netns::where_addresses_are(record, || addresses(record)).into_iter().for_each(&mut attempt);
    drop(old_lock);
    for account in &record.disk {
        attempt(disk::release(&record.name, account));
    }
    scripts(Flavour::PostpostStop);
    netns::remove(record).into_iter().for_each(&mut attempt);
    attempt(traffic::write_down(host, record));
    attempt(with_cgroup(layout.as_ref(), record, "remove its cgroups", GuestCgroup::remove));
    attempt(apparmor::remove(record));
    attempt(compat_state::clear(host, record));
    if failures.is_empty() {
        let dir = host.guest_dir(&record.name);
        return remove(&dir.join("control"))
            .and_then(|()| {
                // A launcher that was killed while it wrote.
                vserver_fs::atomic::sweep(&dir.join("state.json")).map_err(Error::layer("tidy up", &record.name))
            })
            .and_then(|()| remove(&dir.join("state.json")))
            .and_then(|()| std::fs::remove_dir(&dir).map_err(Error::io("remove the directory", &dir)));
    }
    Err(Error::LeftBehind { name: record.name.clone(), left: failures.join("; ") })
}

/// Takes them off, and the devices that were made for them, in the network namespace of the calling thread.
fn addresses(record: &RunRecord) -> Vec<Result<()>> {
    let mut done = Vec::new();
    for added in record.addresses.iter().rev() {
        let action = format!("take {} off {}", added.address, added.device);
        done.push(
            vserver_net::remove_address(&added.device, added.address).map_err(Error::layer(action, &record.name)),
        );
    }
    for device in record.made_devices.iter().rev() {
        let action = format!("remove the device {device}");
        done.push(vserver_net::remove_device(device).map_err(Error::layer(action, &record.name)));
    }
    done
}

fn with_cgroup<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    layout: Option<&Layout>,
    record: &RunRecord,
    action: &str,
    act: impl FnOnce(&GuestCgroup) -> std::result::Result<(), E>,
) -> Result<()> {
    match layout.and_then(|layout| GuestCgroup::open(layout, &record.name)) {
        Some(cgroup) => act(&cgroup).map_err(Error::layer(action, &record.name)),
        None => Ok(()),
    }
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}
