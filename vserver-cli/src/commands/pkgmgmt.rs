//! `pkgmgmt`: who manages a guest's packages. Source: util-vserver, `config-tree.md` §5.11.

use std::time::Duration;

use vserver_build::outside;
use vserver_types::{Exit, GuestState};

use crate::args::{PkgmgmtArgs, PkgmgmtToolArgs};
use crate::commands::vserver::{Guest, How};
use crate::context::Context;
use crate::error::CliError;
use crate::printer::Printer;
use crate::resolve;

/// How long to wait for another command that holds the guest's lock.
const PATIENCE: Duration = Duration::from_secs(300);

/// `pkgmgmt …`: one guest after the other, and how many it was done for.
pub fn several(args: &PkgmgmtToolArgs, printer: Printer) -> Result<Exit, CliError> {
    let action = if args.internalize { "internalize" } else { "externalize" };
    let wish = PkgmgmtArgs { action: action.to_owned(), yes: args.yes, force: args.force };
    let one = |word: &String| {
        let (root, name) = resolve::guest_word(word)?;
        let guest = Guest { word: word.clone(), name, verbose: false, how: How::default() };
        run(&wish, &guest, &Context::new(root.or_else(|| args.common.confdir.clone()), printer))
    };
    let mut failed = 0;
    for word in &args.names {
        if let Err(error) = one(word) {
            failed += 1;
            printer.warn(error.sentence());
        }
    }
    Ok(match failed {
        0 => Exit::Success,
        _ if failed < args.names.len() => Exit::Failure,
        _ => Exit::Usage,
    })
}

/// Does or tells it. What is not done has status 2, as one guest is all guests.
pub fn run(args: &PkgmgmtArgs, guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let (host, name) = (&context.host, &guest.name);
    let failed = |error| guest.failed(error, context);
    let config = host.confdir.join(name.as_str());
    vserver_runtime::status(host, name).map_err(failed)?;
    let external = outside::is_external(&config);
    let refused = |why: String| {
        let tool = context.printer.tool();
        let text = format!("{tool}: the packages of guest '{name}' are not {}d: {why}", args.action);
        Err(CliError::known(text, Exit::Usage))
    };
    let inwards = args.action == "internalize";
    match args.action.as_str() {
        "is-internal" => return Ok(if external { Exit::Failure } else { Exit::Success }),
        _ if external != inwards => return Ok(Exit::Success),
        _ => {}
    }
    let _lock = host.lock(name, PATIENCE).map_err(failed)?;
    let state = vserver_runtime::status(host, name).map_err(failed)?.state;
    if state != GuestState::Stopped {
        return refused(format!("it is {state}; stop it with `vserver {name} stop`"));
    }
    let (read, _) = vserver_config::read(&host.confdir, name).map_err(|error| failed(error.into()))?;
    if read.image.is_some() || read.fstab.iter().any(|entry| entry.target.trim_matches('/').is_empty()) {
        return refused(
            "its tree is mounted only while it runs (disk/image, or / in its fstab), so its database cannot be moved"
                .to_owned(),
        );
    }
    let style = vserver_build::package_style(&host.confdir, name)?;
    let done = match (inwards, style) {
        (true, style) => outside::internalize(&host.confdir, name, style, args.force),
        (false, Some(style)) => outside::externalize(&host.confdir, name, style, args.force),
        (false, None) => {
            return refused(
                "its kind of distribution is not known; write debian, redhat, mandrake or suse into apps/pkgmgmt/style, \
                 and make apps/pkgmgmt/internal"
                    .to_owned(),
            );
        }
    };
    done.map_or_else(|error| refused(CliError::from(error).sentence()), |()| Ok(Exit::Success))
}
