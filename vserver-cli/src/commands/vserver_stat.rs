//! `vserver-stat`.

use std::ffi::OsString;

use serde::Serialize;
use vserver_monitor::{Sample, format};
use vserver_runtime::{Passed, RunRecord};
use vserver_types::{Exit, GuestName, Xid};

use crate::args::VserverStatArgs;
use crate::context::Context;
use crate::error::CliError;

/// One row for the host and one for each running guest.
pub fn run(args: &VserverStatArgs, context: &Context) -> Result<Exit, CliError> {
    if let Some(word) = args.words.first() {
        let fault = format!(
            "it shows every context and takes no name, as '{word}' is; try `vserver {word} status` or `vserver-stat | grep -w {word}`"
        );
        return Err(CliError::usage("vserver-stat", &fault, Exit::Failure));
    }
    let records = vserver_runtime::running(&context.host)?;
    if args.net {
        return net(&records, args.json, context);
    }
    if args.disk {
        return disk(&records, args.json, context);
    }
    let known: Vec<_> = records.iter().map(known).collect();
    let rows = Sample::take(&vserver_runtime::cgroup_bases(&context.host)?)?.rows(&known);
    if args.json {
        context.printer.json(&rows)?;
        return Ok(Exit::Success);
    }
    let lines = rows.iter().map(format::line);
    let text: String = std::iter::once(format::HEADER.to_owned()).chain(lines).map(|line| line + "\n").collect();
    context.printer.text(&text)?;
    Ok(Exit::Success)
}

/// Bytes of a block as stat(2) counts them.
const BLOCK: u64 = 512;

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

/// What a guest takes of the disk.
#[derive(Serialize)]
struct DiskRow {
    xid: Option<Xid>,
    name: String,
    own_bytes: u64,
    shared_bytes: u64,
}

const DISK_HEADER: &str = "CTX       OWN  SHARED NAME";

/// Also of guests that do not run: their files are there.
fn disk(records: &[RunRecord], json: bool, context: &Context) -> Result<Exit, CliError> {
    let confdir = &context.host.confdir;
    let names = if confdir.is_dir() { vserver_config::list(confdir)? } else { Vec::new() };
    let (mut rows, mut status) = (Vec::new(), Exit::Success);
    for name in &names {
        match disk_row(name, records, context) {
            Ok(row) => rows.push(row),
            Err(error) => {
                context.printer.warn(format_args!("vserver-stat: guest '{name}' is left out: {error}"));
                status = Exit::Failure;
            }
        }
    }
    if json {
        context.printer.json(&rows)?;
        return Ok(status);
    }
    let lines = rows.iter().map(|DiskRow { xid, name, own_bytes, shared_bytes }| {
        let xid = xid.map_or_else(|| "-".to_owned(), |xid| xid.0.to_string());
        format!("{xid:<5}{:>8}{:>8} {name}", format::size(*own_bytes), format::size(*shared_bytes))
    });
    let text: String = std::iter::once(DISK_HEADER.to_owned()).chain(lines).map(|line| line + "\n").collect();
    context.printer.text(&text)?;
    Ok(status)
}

fn disk_row(name: &GuestName, records: &[RunRecord], context: &Context) -> Result<DiskRow, CliError> {
    let confdir = &context.host.confdir;
    let (config, _) = vserver_config::read(confdir, name)?;
    let place = config.image.clone().unwrap_or(config.vdir);
    // The walk does not follow a link.
    let place = place.canonicalize().map_err(CliError::io(format!("cannot find '{}'", place.display())))?;
    let mut shares = vserver_disk::shares_of(&place)?;
    // What one with shared files has written in this run lies beside its tree.
    let mut layers = OsString::from(".");
    layers.push(place.file_name().unwrap_or_default());
    layers.push(".layers");
    let layers = place.with_file_name(layers);
    if layers.is_dir() {
        shares += vserver_disk::shares_of(&layers)?;
    }
    let running = records.iter().find(|record| record.name == *name && record.confdir == *confdir);
    let xid = running.map(|record| record.xid).or(config.context);
    Ok(DiskRow { xid, name: config.display_name, own_bytes: shares.own * BLOCK, shared_bytes: shares.shared * BLOCK })
}

/// The guest, its number, and the name to show: that of its configuration as long as it can be read.
fn known(record: &RunRecord) -> (GuestName, Xid, String) {
    let shown = vserver_config::read(&record.confdir, &record.name).map(|(config, _)| config.display_name);
    (record.name.clone(), record.xid, shown.unwrap_or_else(|_| record.name.to_string()))
}
