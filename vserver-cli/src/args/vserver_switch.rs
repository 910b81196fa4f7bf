//! `vserver-switch`.

use clap::{Parser, Subcommand};

use super::Common;

/// Makes, removes and lists switches that guests plug into
#[derive(Parser, Debug)]
#[command(
    name = "vserver-switch",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- makes, removes and lists switches that guests plug into"),
    after_help = "\
A switch without options is private: guests only, the host has no part in it. A guest plugs in with its name in
netns/interfaces/<x>/switch, and into one VLAN with a number in netns/interfaces/<x>/vlan.

Example: vserver-switch create lan --address 10.5.0.1/24"
)]
pub struct VserverSwitchArgs {
    #[command(flatten)]
    pub common: Common,
    /// What to do
    #[command(subcommand)]
    pub action: SwitchAction,
}

/// What can be done.
#[derive(Subcommand, Debug)]
pub enum SwitchAction {
    /// Write a switch down in the configuration and make it
    Create {
        /// Its name, at most 12 letters and digits; its bridge is called sw-NAME
        name: String,
        /// Device of the host that leads outside: the switch is public
        #[arg(long, value_name = "DEVICE")]
        uplink: Option<String>,
        /// Address of the host on it, with prefix; can be repeated
        #[arg(long, value_name = "ADDRESS/PREFIX")]
        address: Vec<String>,
    },
    /// Remove a switch that no guest names
    Delete {
        /// Its name
        name: String,
    },
    /// List all switches
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}
