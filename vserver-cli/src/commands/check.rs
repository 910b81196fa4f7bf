//! `check`.

use vserver_config::Severity;
use vserver_types::Exit;

use crate::commands::vserver::Guest;
use crate::context::Context;
use crate::error::CliError;

/// Prints every fault of the configuration with file and line: 0 if there is none that forbids a start.
pub fn run(guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let findings = match vserver_runtime::inspect(&context.host, &guest.name) {
        Ok(findings) => findings,
        Err(vserver_runtime::Error::Config(vserver_config::Error::Invalid { diagnostics })) => diagnostics,
        Err(error) => return Err(guest.failed(error, context)),
    };
    let fault = findings.iter().any(|finding| finding.severity == Severity::Error);
    for finding in findings {
        context.printer.line(finding)?;
    }
    Ok(if fault { Exit::Failure } else { Exit::Success })
}
