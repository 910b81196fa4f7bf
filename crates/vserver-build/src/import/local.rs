//! A mounted tree: packed and unpacked at once, so that it goes the same way as an archive, with the same checks.

use std::io::Write;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use vserver_archive::{All, Options, Report, Select};
use vserver_fs::GuestRoot;

use super::left_out::Filter;
use crate::signals::Signals;
use crate::{Error, Progress, template};

/// Copies `dir`, with what is mounted below it, into `root`. It is called `shown` in messages.
pub(super) fn copy(
    dir: &Path,
    shown: &Path,
    options: &Options,
    root: &GuestRoot,
    filter: &mut Filter<'_>,
    signals: &Signals,
    progress: &mut dyn Progress,
) -> Result<Report, Error> {
    let place = dir.join(filter.below());
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let fd: OwnedFd = open(&place, flags, Mode::empty()).map_err(|e| Error::io("open the tree", shown)(e.into()))?;
    let source = GuestRoot::of(fd, shown)?;
    let (input, output) = std::io::pipe().map_err(Error::io("copy", shown))?;
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut output = std::io::BufWriter::with_capacity(1 << 20, output);
            // Whoever unpacks decides what is wanted; here only that nothing is read which surely is not.
            let mut wanted = Outer;
            vserver_archive::pack(&source, &mut output, true, &mut wanted, &mut |_| ControlFlow::Continue(()))
                .and_then(|report| {
                    output.flush().map(|()| report).map_err(|source| vserver_archive::Error::Pack {
                        action: "write",
                        entry: "its end".to_owned(),
                        source,
                    })
                })
        });
        let mut inner = Inner(filter);
        let unpacked = template::stream(input, shown, None, options, root, &mut inner, signals, progress);
        let packed = sender.join().unwrap_or(Err(vserver_archive::Error::Interrupted));
        match (unpacked, packed) {
            // A reader that gave up is the cause, and the writer's broken pipe its effect.
            (Err(error @ Error::Interrupted { .. }), _) => Err(error),
            (_, Err(source)) if source.errno() != Some(nix::errno::Errno::EPIPE as i32) => {
                Err(Error::Unpack { tarball: shown.to_owned(), source })
            }
            (unpacked, _) => unpacked,
        }
    })
}

/// The kernel's own file systems are not even looked into.
struct Outer;

impl Select for Outer {
    fn choose(&mut self, path: &Path, _: u64) -> vserver_archive::Choice {
        let inside = ["proc", "sys", "dev"].iter().any(|dir| path.starts_with(dir) && path != Path::new(dir));
        if inside { vserver_archive::Choice::Leave } else { All.choose(path, 0) }
    }
}

/// The filter for names that begin at the root already.
struct Inner<'a, 'b>(&'a mut Filter<'b>);

impl Select for Inner<'_, '_> {
    fn choose(&mut self, path: &Path, size: u64) -> vserver_archive::Choice {
        self.0.choose(path, size)
    }
}
