//! What follows when a guest has halted or rebooted by itself: the administrator's program for the event, or the built-in
//! handler. Source: util-vserver, `behaviours.md` §6 and `config-tree.md` §5.9.

use std::path::Path;
use std::process::Command;

use vserver_config::Handler;
use vserver_types::GuestName;

use crate::error::Error;
use crate::host::Host;
use crate::record::RunRecord;
use crate::scripts::{Trust, run_command};
use crate::settings::Ending;

/// Handles the event. Whether the built-in handler is to go on, which cleans up and starts again after a reboot; a
/// program replaces that, but the clean-up follows in any case. What goes wrong becomes a sentence of `report`.
pub fn handle(host: &Host, name: &GuestName, ending: Ending, report: &mut Vec<String>) -> bool {
    match vserver_config::helper_of_end(&host.confdir, name, ending.event()) {
        Handler::Restart => true,
        Handler::Program(program) => {
            report.extend(run(host, name, ending, &program).err());
            false
        }
        Handler::Unknown(method) => {
            report.push(format!("the action '{method}' of apps/vshelper is unknown, so nothing was done; make it a program in apps/vshelper-methods/, or write restart"));
            false
        }
    }
}

/// The program gets the event and the context number, as from the kernel.
fn run(host: &Host, name: &GuestName, ending: Ending, program: &Path) -> Result<(), String> {
    let shown = program.display();
    if let Some(what) = Trust::new(host).refuses(program) {
        return Err(format!("the handler '{shown}' is not run: {what}"));
    }
    let record = RunRecord::load(host, name).map_err(|error| error.chain())?;
    let xid = record.map(|record| record.xid.to_string()).unwrap_or_default();
    let mut command = Command::new(program);
    command.args([ending.event(), &xid]).env("VS_CMD", code(ending)).current_dir("/");
    let status = run_command(&mut command, None, name).map_err(|error: Error| error.chain())?;
    if status.success() { Ok(()) } else { Err(format!("the handler '{shown}' ended with {status}")) }
}

/// The command of reboot(2), eight hexadecimal digits.
fn code(ending: Ending) -> &'static str {
    match ending {
        Ending::Reboot => "01234567",
        Ending::Halt => "cdef0123",
        Ending::Shutdown | Ending::Stopped => "00000000",
    }
}
