//! `vserver doctor network`: what on the host gets in the way of guests' networks.

mod pitfalls;
mod remedies;

use serde::Serialize;
use vserver_monitor::Wildcard;
use vserver_types::{Exit, GuestName};

use crate::context::Context;
use crate::error::CliError;
use crate::resolve;

/// One thing to see to.
#[derive(Debug, Serialize)]
struct Finding {
    severity: Severity,
    what: String,
    remedy: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Severity {
    /// A guest's network does not work.
    Error,
    /// A guest could be in want of something.
    Warning,
}

/// Prints what there is: 0 if there is nothing.
pub fn network(as_json: bool, context: &Context) -> Result<Exit, CliError> {
    resolve::root_is_there(&context.host.confdir)?;
    let names = vserver_config::list(&context.host.confdir)?;
    // What is wrong with a guest's own configuration is for `check` to say.
    let read = |name: &GuestName| vserver_config::survey(&context.host.confdir, name).ok().map(|(config, _)| config);
    let guests: Vec<_> = names.iter().filter_map(read).collect();
    let mut found: Vec<Finding> =
        vserver_monitor::wildcards(&vserver_runtime::cgroup_bases(&context.host)?)?.iter().map(listener).collect();
    found.extend(pitfalls::pitfalls(&guests));
    found.sort_by_key(|finding| finding.severity);
    if as_json {
        context.printer.json(&found)?;
    } else {
        let word = |severity| if severity == Severity::Error { "error" } else { "warning" };
        let lines = found.iter().map(|one| format!("{}: {}\n    {}\n", word(one.severity), one.what, one.remedy));
        context.printer.text(&lines.collect::<String>())?;
    }
    Ok(if found.is_empty() { Exit::Success } else { Exit::Failure })
}

/// Who listens on all addresses has the port on those of guests, too: bind fails there with `EADDRINUSE`.
fn listener(socket: &Wildcard) -> Finding {
    let port = socket.address.port();
    let program = socket.command.as_deref();
    let who = match (&socket.guest, program, socket.pid) {
        (Some(guest), Some(program), _) => format!("{program} of guest {guest}, which is held to no addresses,"),
        (_, Some(program), Some(pid)) => format!("{program} (pid {pid})"),
        _ => "the kernel".to_owned(),
    };
    Finding {
        severity: Severity::Warning,
        what: format!(
            "{who} listens on all addresses of {} port {port}: no guest can bind that port",
            socket.protocol
        ),
        remedy: remedies::remedy(program, port),
    }
}
