//! What runs already when the daemon starts: nothing is done to it, the log says what was found.

use tracing::{error, info, warn};
use vserver_runtime::Host;
use vserver_types::GuestState;

use crate::error::chain;

/// Looks at every guest of this configuration root. A guest counts as running only when its supervisor's pid and start
/// time are those of its record.
pub fn run(host: &Host) {
    let names = match vserver_config::list(&host.confdir) {
        Ok(names) => names,
        Err(failure) => return error!("guests are not looked for: {}", chain(&failure)),
    };
    for name in names {
        match vserver_runtime::status(host, &name) {
            Ok(status) => match (status.state, status.record) {
                (GuestState::Orphan, _) => warn!(
                    "guest '{name}' is an orphan: {} processes are left without a supervisor, `stop` ends them",
                    status.processes
                ),
                (GuestState::Running | GuestState::Stopping, Some(record)) => {
                    info!("adopted guest '{name}' at context {}, supervisor {}", record.xid, record.supervisor);
                }
                _ => {}
            },
            Err(failure) => error!("guest '{name}' cannot be looked at: {}", failure.chain()),
        }
    }
}
