//! `pkgmgmt`: who manages a guest's packages. Source: util-vserver, `config-tree.md` §5.11.

use std::path::Path;
use std::time::Duration;

use vserver_config::{Defaults, Edit};
use vserver_types::{Exit, GuestState};

use crate::args::PkgmgmtArgs;
use crate::commands::packages::managed_outside;
use crate::commands::vserver::Guest;
use crate::context::Context;
use crate::error::CliError;

/// How long to wait for another command that holds the guest's lock.
const PATIENCE: Duration = Duration::from_secs(300);

/// Does or tells it. What is not done has status 2, as one guest is all guests.
pub fn run(args: &PkgmgmtArgs, guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let (host, name) = (&context.host, &guest.name);
    let failed = |error| guest.failed(error, context);
    let config = host.confdir.join(name.as_str());
    vserver_runtime::status(host, name).map_err(failed)?;
    let internal = managed_outside(&config).is_none();
    let refused = |why: String| {
        let text = format!("vserver: the packages of guest '{name}' are not {}d: {why}", args.action);
        Err(CliError::known(text, Exit::Usage))
    };
    match args.action.as_str() {
        "is-internal" => return Ok(if internal { Exit::Success } else { Exit::Failure }),
        "externalize" => {
            let why = "management from the host needed a preloaded library and is not done any more; use the guest's own \
                       tools, as in `vserver NAME pkg install`";
            return refused(why.to_owned());
        }
        _ if internal => return Ok(Exit::Success),
        _ => {}
    }
    let _lock = host.lock(name, PATIENCE).map_err(failed)?;
    let state = vserver_runtime::status(host, name).map_err(failed)?.state;
    if state != GuestState::Stopped {
        return refused(format!("it is {state}; stop it with `vserver {name} stop`"));
    }
    let data = [config.join("apps/pkgmgmt/base"), Defaults::new(&host.confdir).pkgbase().join(name.as_str())];
    if let Some(data) = data.iter().find(|dir| !args.force && has_content(dir)) {
        return refused(format!(
            "the host still has their data at '{}', which the guest's own tools do not see; move what is needed into its \
             tree (rpm: to /var/lib/rpm), then use --force",
            data.display()
        ));
    }
    let edit = Edit::Set("apps/pkgmgmt/internal".to_owned(), String::new());
    vserver_config::edit(&host.confdir, name, &[edit]).map_err(|error| failed(error.into()))?;
    Ok(Exit::Success)
}

fn has_content(dir: &Path) -> bool {
    std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some())
}
