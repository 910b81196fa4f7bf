//! Guests that share files with others run over an overlay, and what they have written comes back into their tree when
//! they have ended.

use std::os::fd::OwnedFd;

use vserver_fs::GuestRoot;
use vserver_unify::Layers;

use crate::error::{Error, Result};
use crate::host::Host;
use crate::plan::Plan;
use crate::prepare::{Prepared, guests_tree};
use crate::record::RunRecord;

/// Before anything is written to the tree: what a crash has left comes into it. Tools of the host have the tree itself
/// below theirs, and would write to files of others.
pub fn settle(tree: &GuestRoot, plan: &Plan) -> Result<()> {
    if plan.workshop.is_none() {
        return Layers::settle(tree).map(drop).map_err(Error::layer("fold what it wrote before", &plan.name));
    }
    let own = GuestRoot::open(&guests_tree(plan)).map_err(Error::layer("open the tree", &plan.name))?;
    match vserver_unify::is_shared(&own).map_err(Error::layer("look at its tree", &plan.name))? {
        false => Ok(()),
        true => Err(Error::Taken {
            name: plan.name.clone(),
            what: format!(
                "its files are shared with other guests, and package tools of the host would write to them; make them its \
                 own with `vserver {} flatten`",
                plan.name
            ),
        }),
    }
}

/// Where it is to write, if its tree has files of others, too.
pub fn layers(host: &Host, tree: &GuestRoot, prepared: &mut Prepared) -> Result<Option<OwnedFd>> {
    let name = &prepared.plan.name;
    if prepared.plan.workshop.is_some()
        || !vserver_unify::is_shared(tree).map_err(Error::layer("look at its tree", name))?
    {
        return Ok(None);
    }
    prepared.record.shared_tree = Some(prepared.plan.tree.clone());
    prepared.record.save(host)?;
    let layers = Layers::make(tree).and_then(Layers::into_dir);
    layers.map(Some).map_err(Error::layer("make the layers that it writes to", name))
}

/// At the end.
pub fn fold(record: &RunRecord) -> Result<()> {
    let Some(path) = &record.shared_tree else { return Ok(()) };
    let tree = match GuestRoot::open(path) {
        Err(error) if error.is_not_found() => return Ok(()),
        found => found.map_err(Error::layer("open the tree", &record.name))?,
    };
    Layers::settle(&tree).map(drop).map_err(Error::layer("fold what it has written into its tree", &record.name))
}
