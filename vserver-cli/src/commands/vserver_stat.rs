//! `vserver-stat`.

use vserver_monitor::{Sample, format};
use vserver_runtime::RunRecord;
use vserver_types::{Exit, GuestName, Xid};

use crate::args::VserverStatArgs;
use crate::context::Context;
use crate::error::CliError;

/// One row for the host and one for each running guest.
pub fn run(args: &VserverStatArgs, context: &Context) -> Result<Exit, CliError> {
    let records = vserver_runtime::running(&context.host)?;
    let known: Vec<_> = records.iter().map(known).collect();
    let rows = Sample::take()?.rows(&known);
    if args.json {
        context.printer.json(&rows)?;
        return Ok(Exit::Success);
    }
    let lines = rows.iter().map(format::line);
    let text: String = std::iter::once(format::HEADER.to_owned()).chain(lines).map(|line| line + "\n").collect();
    context.printer.text(&text)?;
    Ok(Exit::Success)
}

/// The guest, its number, and the name to show: that of its configuration as long as it can be read.
fn known(record: &RunRecord) -> (GuestName, Xid, String) {
    let shown = vserver_config::read(&record.confdir, &record.name).map(|(config, _)| config.display_name);
    (record.name.clone(), record.xid, shown.unwrap_or_else(|_| record.name.to_string()))
}
