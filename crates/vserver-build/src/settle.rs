//! A guest's tree as those find it who look at a guest that does not run.

use std::path::Path;

use vserver_fs::GuestRoot;
use vserver_types::GuestName;
use vserver_unify::Layers;

use crate::Error;
use crate::delete::real;

/// Folds what a crash has left of a guest with shared files into its tree. The guest must not run; the caller holds its lock.
pub fn settle(confdir: &Path, name: &GuestName) -> Result<(), Error> {
    match real(&confdir.join(name.as_str()).join("vdir")).filter(|root| root.is_dir()) {
        Some(root) => Ok(Layers::settle(&GuestRoot::open(&root)?).map(drop)?),
        None => Ok(()),
    }
}

/// Refuses what writes into the files of a tree, where they may be other guests' too.
pub(crate) fn refuse_shared(root: &GuestRoot, what: &str) -> Result<(), Error> {
    match vserver_unify::is_shared(root)? {
        false => Ok(()),
        true => Err(Error::Wish {
            reason: format!(
                "{what} would write into files that other guests share, those of '{}'; make them its own with `vserver NAME \
                 flatten`",
                root.path().display()
            ),
        }),
    }
}
