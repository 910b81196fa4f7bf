//! The method clone: a tree of another one's files, with an identity of its own. Source: util-vserver, `behaviours.md` §9.4.

use vserver_fs::{GuestRoot, copy_tree};
use vserver_unify::Rules;

use crate::Error;
use crate::copy::{HostKeys, identity, rename_host};
use crate::request::{BuildRequest, CloneOf, Progress};
use crate::signals::Signals;
use crate::stage::Stage;

/// Fills the tree: by links, over which both guests run copy-on-write; by a copy where that cannot be, which shares its
/// blocks where the file system does that.
pub(crate) fn fill(
    arguments: &CloneOf,
    root: &GuestRoot,
    stage: &Stage,
    request: &BuildRequest,
    signals: &Signals,
    progress: &mut dyn Progress,
) -> Result<Vec<String>, Error> {
    let source = GuestRoot::open(&arguments.source)?;
    progress.stage(&format!("cloning {}", arguments.source.display()));
    let rules = match &arguments.exclude {
        Some(list) => Rules::parse(&std::fs::read(list).map_err(Error::io("read the exclude list", list))?),
        None => Rules::default(),
    };
    let keys = HostKeys::of(&source, stage)?;
    let empty = root.list("")?.is_empty();
    if vserver_unify::can_clone(&source, root) || arguments.exclude.is_some() || !empty {
        vserver_unify::clone_tree(&source, root, &rules)?;
    } else {
        vserver_unify::Layers::settle(&source)?;
        copy_tree(&source, root, &mut || signals.check())?;
        vserver_unify::unmark(root)?;
    }
    signals.check()?;
    progress.stage("giving it an identity of its own");
    rename_host(root, request.guest.hostname.as_deref())?;
    identity(root, stage, keys, signals, progress)
}
