//! `copy`.

use vserver_build::CopyRequest;
use vserver_types::Exit;

use crate::args::{CopyArgs, NewGuestArgs};
use crate::commands::build::{progress, wish};
use crate::commands::rename::{other, taken};
use crate::commands::vserver::Guest;
use crate::context::Context;
use crate::error::CliError;

/// Copies the guest.
pub fn run(args: &CopyArgs, guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let (host, printer) = (&context.host, &context.printer);
    let (to, _locks) = other(guest, "copied", &args.new, context)?;
    let (new, mut notes) = wish::guest_of(&wishes(args), &to, host)?;
    if new.interfaces.is_empty() {
        notes.push(format!(
            "guest '{to}' has no address yet; give it one in {to}/interfaces/ or copy with --interface"
        ));
    }
    if new.hostname.is_none() {
        notes
            .push(format!("guest '{to}' has the host name of '{}'; give it another one with --hostname", guest.name));
    }
    let request = CopyRequest { confdir: host.confdir.clone(), from: guest.name.clone(), guest: new };
    let mut watch = progress::Watch::new(printer, false);
    let copied = vserver_build::copy(&request, &mut watch);
    watch.end();
    let copied = copied.map_err(|error| taken(error, guest, "copied", &to))?;
    for note in notes.iter().chain(&copied.notes).filter(|_| !printer.is_quiet()) {
        printer.warn(note);
    }
    Ok(Exit::Success)
}

/// The options mean what they mean to `build`.
fn wishes(args: &CopyArgs) -> NewGuestArgs {
    NewGuestArgs {
        context: args.context.clone(),
        hostname: args.hostname.clone(),
        netdev: args.netdev.clone(),
        netprefix: args.netprefix.clone(),
        interface: args.interface.clone(),
        ..NewGuestArgs::default()
    }
}
