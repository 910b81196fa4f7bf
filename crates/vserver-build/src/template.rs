//! A tree from tarballs.

use std::fs::File;
use std::io::{Read, stdin};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Mutex;

use vserver_archive::{All, Options, Report, Select};
use vserver_config::Userns;
use vserver_fs::GuestRoot;

use crate::request::{BuildRequest, Template};
use crate::signals::{Interruptible, Signals, give_up};
use crate::stage::Stage;
use crate::{Error, Progress, restore};

/// Unpacks all, and says what was left out.
pub(crate) fn unpack(
    arguments: &Template,
    request: &BuildRequest,
    (stage, root): (&Stage, &GuestRoot),
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
        if restore::unpack(tarball, stage, root, signals, progress)? {
            continue;
        }
        let report = one(tarball, &options, root, &mut All, signals, progress)?;
        notes.extend(left_out(tarball, &report));
    }
    Ok(notes)
}

/// Unpacks one tarball, or standard input.
pub(crate) fn one(
    tarball: &Path,
    options: &Options,
    root: &GuestRoot,
    select: &mut dyn Select,
    signals: &Signals,
    progress: &mut dyn Progress,
) -> Result<Report, Error> {
    if tarball == Path::new("-") {
        return stream(stdin(), tarball, None, options, root, select, signals, progress);
    }
    let file = File::open(tarball).map_err(Error::io("open the tarball", tarball))?;
    let info = file.metadata().map_err(Error::io("look at the tarball", tarball))?;
    let total = info.is_file().then_some(info.len());
    stream(file, tarball, total, options, root, select, signals, progress)
}

#[expect(clippy::too_many_arguments, reason = "where from, where to, and who is asked")]
pub(crate) fn stream(
    input: impl Read + AsFd + Send,
    tarball: &Path,
    total: Option<u64>,
    options: &Options,
    root: &GuestRoot,
    select: &mut dyn Select,
    signals: &Signals,
    progress: &mut dyn Progress,
) -> Result<Report, Error> {
    let fault = Mutex::new(None);
    let input = Interruptible { input, signals, fault: &fault };
    let mut count = 0u32;
    let mut tick = |done| {
        count = count.wrapping_add(1);
        if !count.is_multiple_of(64) {
            return ControlFlow::Continue(());
        }
        progress.bytes(done, total);
        match signals.check() {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                give_up(&fault, error);
                ControlFlow::Break(())
            }
        }
    };
    let result = vserver_archive::unpack_selected(input, root, options, select, &mut tick);
    let source = match (fault.into_inner().ok().flatten(), result) {
        (Some(interrupted), _) => return Err(interrupted),
        (None, Ok(report)) => return Ok(report),
        (None, Err(source)) => source,
    };
    Err(Error::Unpack { tarball: tarball.to_owned(), source })
}

/// What of it is not there now.
pub(crate) fn left_out(tarball: &Path, report: &Report) -> Vec<String> {
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
