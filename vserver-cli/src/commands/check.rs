//! `check`.

use vserver_config::{Boot, Severity};
use vserver_types::Exit;

use crate::commands::vserver::Guest;
use crate::context::Context;
use crate::error::CliError;

/// Prints every fault of the configuration with file and line: 0 if there is none that forbids a start.
pub fn run(guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let (mut exit, mut findings) = match vserver_config::read(&context.host.confdir, &guest.name) {
        Ok((config, mut found)) => {
            found.extend(vserver_runtime::inspect(&context.host, &config)?);
            let fault = found.iter().any(|finding| finding.severity == Severity::Error);
            (if fault { Exit::Failure } else { Exit::Success }, found)
        }
        Err(vserver_config::Error::Invalid { diagnostics }) => (Exit::Failure, diagnostics),
        Err(error) => return Err(guest.failed(error.into(), context)),
    };
    let order = Boot::read(&context.host.confdir)?.faults_of(&context.host.confdir, &guest.name);
    if !order.is_empty() {
        exit = Exit::Failure;
        findings.extend(order);
    }
    for finding in findings {
        context.printer.line(finding)?;
    }
    Ok(exit)
}
