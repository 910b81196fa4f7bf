//! `vserver list`.

use serde::Serialize;
use vserver_config::GuestConfig;
use vserver_monitor::format;
use vserver_types::{Exit, GuestName, GuestState, Xid};

use crate::commands::status::age;
use crate::context::Context;
use crate::error::{CliError, chain};
use crate::resolve;

/// One guest.
#[derive(Debug, Serialize)]
struct Row {
    name: GuestName,
    /// Of the running guest, else the configured one.
    xid: Option<Xid>,
    state: GuestState,
    addresses: Vec<String>,
    /// Bytes in use, as its cgroup counts.
    memory: Option<u64>,
    /// Bytes allowed.
    memory_limit: Option<u64>,
    /// Seconds since it was started.
    uptime: Option<u64>,
}

/// All guests by name, with state, addresses, memory and uptime. A guest that cannot be read is said so on standard
/// error and makes the status 6.
pub fn run(as_json: bool, context: &Context) -> Result<Exit, CliError> {
    resolve::root_is_there(&context.host.confdir)?;
    let mut exit = Exit::Success;
    let mut rows = Vec::new();
    for name in vserver_config::list(&context.host.confdir)? {
        let config = match vserver_config::read(&context.host.confdir, &name) {
            Ok((config, _)) => Some(config),
            Err(error) => {
                context.printer.warn(format_args!("vserver: {name}: {}", chain(&error)));
                exit = Exit::Partial;
                None
            }
        };
        rows.push(row(name, config.as_ref(), context)?);
    }
    tell_old(context)?;
    match as_json {
        true => context.printer.json(&rows)?,
        false => context.printer.text(&table(&rows, context))?,
    }
    Ok(exit)
}

/// A guest of the 2.4 kind is none of these, and must not be missed in silence.
pub fn tell_old(context: &Context) -> Result<(), CliError> {
    for name in vserver_config::list_old(&context.host.confdir)? {
        context.printer.note(format_args!(
            "{name}: left out: {name}.conf is of the 2.4 kind; `vserver {name} check` tells what replaces each line"
        ));
    }
    Ok(())
}

fn row(name: GuestName, config: Option<&GuestConfig>, context: &Context) -> Result<Row, CliError> {
    let status = vserver_runtime::status(&context.host, &name)?;
    let record = status.record.as_ref();
    let cgroup = record.and_then(|record| record.cgroup().ok().flatten());
    let stats = cgroup.and_then(|cgroup| cgroup.stats().ok());
    Ok(Row {
        xid: record.map(|record| record.xid).or_else(|| config?.context),
        state: status.state,
        addresses: config.map(addresses).unwrap_or_default(),
        memory: stats.and_then(|stats| stats.memory_current).map(|bytes| bytes.0),
        memory_limit: stats.and_then(|stats| stats.memory_limit).map(|bytes| bytes.0),
        uptime: record.map(|record| age(record.started_at)),
        name,
    })
}

fn addresses(config: &GuestConfig) -> Vec<String> {
    config.interfaces.iter().map(|interface| interface.address.to_string()).collect()
}

/// Columns as wide as their longest text; no blanks at the ends of lines.
fn table(rows: &[Row], context: &Context) -> String {
    let heads = ["NAME", "CTX", "STATE", "MEMORY", "UPTIME", "ADDRESSES"].map(str::to_owned);
    let cells: Vec<_> = std::iter::once(heads).chain(rows.iter().map(cells)).collect();
    let widths: Vec<_> =
        (0..6).map(|i| cells.iter().map(|line| line[i].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for (index, line) in cells.iter().enumerate() {
        let padded = line.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            let padded = if matches!(column, 3 | 4) { format!("{cell:>width$}") } else { format!("{cell:<width$}") };
            let running = index > 0 && column == 2 && rows[index - 1].state == GuestState::Running;
            if running { context.printer.paint(32, &padded) } else { padded }
        });
        text.push_str(padded.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn cells(row: &Row) -> [String; 6] {
    let none = || "-".to_owned();
    [
        row.name.to_string(),
        row.xid.map_or_else(none, |xid| xid.to_string()),
        row.state.to_string(),
        row.memory.map_or_else(none, |bytes| format::size(bytes).trim_end().to_owned()),
        row.uptime.map_or_else(none, |seconds| format::time(seconds.saturating_mul(1000))),
        if row.addresses.is_empty() { none() } else { row.addresses.join(" ") },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printer::Printer;

    #[test]
    fn columns_line_up_and_lines_end_without_blanks() {
        let row = |name: &str, xid, state, memory, addresses: &[&str]| Row {
            name: name.parse().unwrap(),
            xid,
            state,
            addresses: addresses.iter().map(ToString::to_string).collect(),
            memory,
            memory_limit: None,
            uptime: memory.map(|_| 3661),
        };
        let rows = [
            row("db", None, GuestState::Stopped, None, &[]),
            row("web1", Some(Xid(40_012)), GuestState::Running, Some(88 << 20), &["192.0.2.12/24", "192.0.2.13/24"]),
        ];
        let context = Context::new(None, Printer::new("vserver"));
        let expected = "\
NAME  CTX    STATE    MEMORY   UPTIME  ADDRESSES
db    -      stopped       -        -  -
web1  40012  running     88M  1h01m01  192.0.2.12/24 192.0.2.13/24
";
        assert_eq!(table(&rows, &context), expected);
    }
}
