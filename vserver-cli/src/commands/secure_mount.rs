//! `secure-mount`: what scripts use to mount below a directory. Source: util-vserver, `commands.md` §7, `config-tree.md` §5.5.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use vserver_config::FstabEntry;
use vserver_fs::{GuestRoot, Kind};
use vserver_types::Exit;

use super::vmount::entry;
use crate::args::SecureMountArgs;
use crate::context::Context;
use crate::error::CliError;

/// One mount, or all of an fstab: then what fails keeps nothing from the others.
pub fn run(args: &SecureMountArgs, context: &Context) -> Result<Exit, CliError> {
    let place = Place::find(args)?;
    if !args.mounting.all {
        let [source, target] = &args.mounting.words[..] else {
            return Err(CliError::known("Invalid <src> <dst> pair specified", Exit::Failure));
        };
        return place.mount(&entry(&args.mounting, source, target), args).map(|()| Exit::Success);
    }
    let fstab = args.fstab.as_deref().unwrap_or(Path::new("/etc/fstab"));
    let mut exit = Exit::Success;
    for line in vserver_config::read_fstab(fstab)?.iter().filter(|line| is_wanted(line, &args.rootfs)) {
        if let Err(error) = place.mount(line, args) {
            context.printer.warn(format!(
                "{}:{}:1: failed to mount fstab-entry: {error}",
                fstab.display(),
                line.line
            ));
            exit = Exit::Failure;
        }
    }
    Ok(exit)
}

fn is_wanted(line: &FstabEntry, rootfs: &str) -> bool {
    match line.target.as_str() {
        "/" => rootfs != "no",
        _ => rootfs != "only",
    }
}

/// What a place is below.
enum Place {
    /// The host's tree.
    Host,
    /// The working directory.
    Below(GuestRoot),
}

impl Place {
    fn find(args: &SecureMountArgs) -> Result<Self, CliError> {
        if !args.chroot {
            return Ok(Self::Host);
        }
        let here = std::env::current_dir().map_err(CliError::io("cannot find the working directory".to_owned()))?;
        let failed = |error: vserver_fs::Error| CliError::Refused(crate::error::chain(&error));
        GuestRoot::open(&here).map(Self::Below).map_err(failed)
    }

    fn mount(&self, entry: &FstabEntry, args: &SecureMountArgs) -> Result<(), CliError> {
        let (source, target) = (&entry.source, &entry.target);
        let again = || {
            self.open(entry).map_err(|why| vserver_runtime::Error::Io {
                action: "open",
                path: target.into(),
                source: why,
            })
        };
        let opened =
            self.open(entry).map_err(|why| CliError::Refused(format!("cannot mount on '{target}': {why}")))?;
        vserver_runtime::mount_on(entry, opened.as_fd(), &again)?
            .map_err(|why| CliError::Refused(format!("cannot mount '{source}' on '{target}': {why}")))?;
        if args.trigger_automount {
            // The look is what matters, not what is seen.
            let _ = again()
                .map(|place| fs::read_dir(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&place))));
        }
        match args.mounting.no_mtab || entry.mount_options().nomtab {
            true => Ok(()),
            false => {
                self.note(args.mtab.as_deref().unwrap_or(Path::new("/etc/mtab")), &vserver_runtime::mtab_line(entry))
            }
        }
    }

    fn open(&self, entry: &FstabEntry) -> std::io::Result<OwnedFd> {
        match self {
            Self::Host => File::open(&entry.target).map(OwnedFd::from),
            Self::Below(_) if entry.target.trim_matches('/').is_empty() => File::open(".").map(OwnedFd::from),
            Self::Below(root) => {
                let file =
                    Path::new(&entry.source).is_file() && entry.mount_options().flags & nix::libc::MS_BIND != 0;
                let place = root.place(&entry.target).and_then(|place| root.mount_point(&place, file));
                place.map_err(|error| std::io::Error::other(crate::error::chain(&error)))
            }
        }
    }

    /// A line in an mtab that is a file of its own, and no link into `/proc`.
    fn note(&self, mtab: &Path, line: &str) -> Result<(), CliError> {
        match self {
            Self::Below(root) => {
                let own = root.readlink(mtab).is_err() && matches!(root.kind(mtab), Ok(Some(Kind::File)));
                let done = if own { root.append(mtab, line.as_bytes()) } else { Ok(()) };
                done.map_err(|error| CliError::Refused(crate::error::chain(&error)))
            }
            Self::Host if mtab.symlink_metadata().is_ok_and(|found| found.is_file()) => {
                let file = OpenOptions::new().append(true).open(mtab);
                let done = file.and_then(|mut file| file.write_all(line.as_bytes()));
                done.map_err(CliError::io(format!("cannot write '{}'", mtab.display())))
            }
            Self::Host => Ok(()),
        }
    }
}
