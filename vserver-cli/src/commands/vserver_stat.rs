//! `vserver-stat`.

use serde::Serialize;
use vserver_monitor::{Sample, format};
use vserver_runtime::{Passed, RunRecord};
use vserver_types::{Exit, GuestName, Xid};

use crate::args::VserverStatArgs;
use crate::context::Context;
use crate::error::CliError;

/// One row for the host and one for each running guest.
pub fn run(args: &VserverStatArgs, context: &Context) -> Result<Exit, CliError> {
    let records = vserver_runtime::running(&context.host)?;
    if args.net {
        return net(&records, args.json, context);
    }
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

/// A running guest's traffic.
#[derive(Serialize)]
struct NetRow {
    xid: Xid,
    name: String,
    #[serde(flatten)]
    passed: Passed,
}

const NET_HEADER: &str = "CTX       RX    RX-PKTS       TX    TX-PKTS    DROPPED NAME";

fn net(records: &[RunRecord], json: bool, context: &Context) -> Result<Exit, CliError> {
    let mut rows = Vec::new();
    for record in records {
        let (_, xid, name) = known(record);
        rows.push(NetRow { xid, name, passed: vserver_runtime::passed(&context.host, record)? });
    }
    rows.sort_by_key(|row| row.xid);
    if json {
        context.printer.json(&rows)?;
        return Ok(Exit::Success);
    }
    let lines = rows.iter().map(|NetRow { xid, name, passed }| {
        let all = passed.total;
        let (rx, tx) = (format::size(all.rx_bytes), format::size(all.tx_bytes));
        let dropped = all.rx_dropped + all.tx_dropped;
        format!("{:<5}{rx:>7}{:>11}{tx:>9}{:>11}{dropped:>11} {name}", xid.0, all.rx_packets, all.tx_packets)
    });
    let text: String = std::iter::once(NET_HEADER.to_owned()).chain(lines).map(|line| line + "\n").collect();
    context.printer.text(&text)?;
    Ok(Exit::Success)
}

/// The guest, its number, and the name to show: that of its configuration as long as it can be read.
fn known(record: &RunRecord) -> (GuestName, Xid, String) {
    let shown = vserver_config::read(&record.confdir, &record.name).map(|(config, _)| config.display_name);
    (record.name.clone(), record.xid, shown.unwrap_or_else(|_| record.name.to_string()))
}
