//! A tree from tarballs.

use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, stdin};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::path::Path;

use vserver_archive::{Options, Report};
use vserver_config::Userns;
use vserver_fs::GuestRoot;

use crate::request::{BuildRequest, Template};
use crate::signals::{Interruptible, Signals};
use crate::{Error, Progress};

/// Unpacks all, and says what was left out.
pub(crate) fn unpack(
    arguments: &Template,
    request: &BuildRequest,
    root: &GuestRoot,
    signals: &Signals,
    progress: &mut dyn Progress,
) -> Result<Vec<String>, Error> {
    let mut options = Options::default();
    if request.guest.userns == Some(Userns::Off) {
        options.ids = u64::from(u32::MAX);
    }
    let mut notes = Vec::new();
    for tarball in &arguments.tarballs {
        progress.stage(&format!("unpacking {}", tarball.display()));
        let report = if tarball == Path::new("-") {
            one(stdin().lock(), tarball, None, &options, root, signals, progress)?
        } else {
            let file = File::open(tarball).map_err(Error::io("open the tarball", tarball))?;
            let info = file.metadata().map_err(Error::io("look at the tarball", tarball))?;
            let total = info.is_file().then_some(info.len());
            one(file, tarball, total, &options, root, signals, progress)?
        };
        notes.extend(left_out(tarball, &report));
    }
    Ok(notes)
}

fn one(
    input: impl Read + AsFd,
    tarball: &Path,
    total: Option<u64>,
    options: &Options,
    root: &GuestRoot,
    signals: &Signals,
    progress: &mut dyn Progress,
) -> Result<Report, Error> {
    let fault = RefCell::new(None);
    let input = Interruptible { input, signals, fault: &fault };
    let mut tick = |done| {
        progress.bytes(done, total);
        match signals.check() {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                fault.replace(Some(error));
                ControlFlow::Break(())
            }
        }
    };
    let result = vserver_archive::unpack(input, root, options, &mut tick);
    let source = match (fault.into_inner(), result) {
        (Some(interrupted), _) => return Err(interrupted),
        (None, Ok(report)) => return Ok(report),
        (None, Err(source)) => source,
    };
    Err(Error::Unpack { tarball: tarball.to_owned(), source })
}

fn left_out(tarball: &Path, report: &Report) -> Vec<String> {
    const SHOWN: usize = 5;
    let name = tarball.display();
    let line = |s: &vserver_archive::Skipped| format!("'{}' of {name}: {}", s.entry, s.reason);
    let mut notes: Vec<String> = report.skipped.iter().take(SHOWN).map(line).collect();
    let more = report.skipped_total.saturating_sub(notes.len() as u64);
    if more > 0 {
        notes.push(format!("{more} more entries of {name} were left out in part or whole"));
    }
    notes
}
