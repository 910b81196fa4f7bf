//! `vserver-switch`: switches that guests plug into by name.

use serde::Serialize;
use vserver_config::Switch;
use vserver_runtime::{SwitchState, create_switch, delete_switch, switches};
use vserver_types::{Exit, GuestAddress, GuestName};

use crate::args::{SwitchAction, VserverSwitchArgs};
use crate::context::Context;
use crate::error::CliError;

/// One line of the list.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    /// `private`, `host` or `public`.
    kind: &'static str,
    bridge: String,
    uplink: Option<String>,
    addresses: Vec<String>,
    /// Its bridge is there; otherwise the first guest makes it.
    made: bool,
    /// It keeps VLANs apart.
    vlans: bool,
    guests: Vec<GuestName>,
}

/// Does it.
pub fn run(args: &VserverSwitchArgs, context: &Context) -> Result<Exit, CliError> {
    match &args.action {
        SwitchAction::Create { name, uplink, address } => {
            let addresses = address.iter().map(|word| parse(word)).collect::<Result<_, _>>()?;
            create_switch(&context.host, &Switch { name: name.clone(), uplink: uplink.clone(), addresses })?;
        }
        SwitchAction::Delete { name } => delete_switch(&context.host, name)?,
        SwitchAction::List { json } => {
            let rows: Vec<Row> = switches(&context.host)?.into_iter().map(row).collect();
            match json {
                true => context.printer.json(&rows)?,
                false => context.printer.text(&table(&rows))?,
            }
        }
    }
    Ok(Exit::Success)
}

fn parse(word: &str) -> Result<GuestAddress, CliError> {
    let address = word.parse::<GuestAddress>().ok().filter(|address| address.prefix.is_some());
    address.ok_or_else(|| {
        CliError::Refused(format!("--address {word}: an address with a prefix like 10.5.0.1/24 is needed"))
    })
}

fn row(state: SwitchState) -> Row {
    let SwitchState { switch, made, vlans, guests } = state;
    Row {
        kind: switch.kind(),
        bridge: switch.bridge(),
        addresses: switch.addresses.iter().map(ToString::to_string).collect(),
        name: switch.name,
        uplink: switch.uplink,
        made,
        vlans,
        guests,
    }
}

fn table(rows: &[Row]) -> String {
    let line = |name: &str, kind: &str, bridge: &str, on: &str, guests: &str| {
        format!("{name:<13}{kind:<9}{bridge:<16}{on:<32}{guests}").trim_end().to_owned() + "\n"
    };
    let mut text = line("NAME", "KIND", "BRIDGE", "HOST", "GUESTS");
    for row in rows {
        let on: Vec<&str> = row.uplink.iter().chain(&row.addresses).map(String::as_str).collect();
        let guests: Vec<&str> = row.guests.iter().map(GuestName::as_str).collect();
        let on = if on.is_empty() { "-".to_owned() } else { on.join(" ") };
        text += &line(&row.name, row.kind, &row.bridge, &on, &guests.join(" "));
    }
    text
}
