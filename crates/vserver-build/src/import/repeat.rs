//! An import of a machine once more, into the guest that the first one made: only what has changed is fetched, so the
//! last one, with the machine's services stopped, is short.

use vserver_config::NewGuest;
use vserver_fs::GuestRoot;

use super::left_out::Filter;
use super::{Import, Source, remote, survey};
use crate::delete::real;
use crate::request::{BuildRequest, Method, Progress};
use crate::signals::Signals;
use crate::{Error, Survey, delete, own_disk, tame};

/// The guest's own, which a second import does not take from the machine again.
const IDENTITY: [&str; 3] = ["etc/machine-id", "var/lib/dbus/machine-id", "etc/ssh/ssh_host_*"];

/// Fetches the changes and tames them. The guest does not run, and the caller holds its lock. Its configuration stays as
/// it is; after a failure its tree is partly new, and the next repetition completes it.
///
/// # Errors
/// There is no such guest, or its tree is on a disk of its own or not its own; whatever the fetching meets.
pub fn repeat(request: &BuildRequest, progress: &mut dyn Progress) -> Result<Survey, Error> {
    let signals = Signals::block()?;
    let name = &request.guest.name;
    let refused =
        |reason: &str| Error::Wish { reason: format!("the import into guest '{name}' is not repeated: {reason}") };
    let Method::Import(import @ Import { source: Source::Ssh(machine), .. }) = &request.method else {
        return Err(refused("only one from ssh:// fetches changes; delete the guest and import it anew"));
    };
    let (config, _) = vserver_config::read(&request.confdir, name)?;
    if own_disk::of(&config.dir)?.is_some() {
        return Err(refused(
            "its tree is on a disk of its own, which is not mounted; delete the guest and import it anew",
        ));
    }
    let vdir = config.dir.join("vdir");
    let place = real(&vdir).filter(|root| root.is_dir()).ok_or(Error::NoTree { path: vdir })?;
    delete::check(&request.confdir, name, &place, "imported again")?;
    let root = GuestRoot::open(&place)?;
    crate::settle::refuse_shared(&root, "a repeated import")?;
    let logs =
        tempfile::Builder::new().prefix("vserver-import-").tempdir().map_err(Error::io("make", "a directory"))?;
    let kept: &[&str] = if import.keep_identity || import.as_is { &[] } else { &IDENTITY };
    let into = remote::Into { root: &place, logs: logs.path(), hollow: false, kept };
    machine.fetch(&into, import, &signals, progress)?;
    let guest = NewGuest {
        hostname: config.uts.nodename.clone(),
        interfaces: config
            .interfaces
            .iter()
            .filter_map(|own| format!("nodev:{}", own.address.ip).parse().ok())
            .collect(),
        ..NewGuest::new(name.clone())
    };
    let mut found = survey::of(&root, &guest, import, &Filter::new(import, false))?;
    found.count(&root, None, config.userns == vserver_config::Userns::Off)?;
    found.remove_swap(&root)?;
    if !import.as_is {
        progress.stage("making a guest of it");
        tame::apply(&root, &found.changes)?;
        crate::skeleton::devices(&root)?;
    }
    Ok(found)
}
