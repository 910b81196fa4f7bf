//! What a guest was at a moment: a further tree, or image, beside its own.
//!
//! ```text
//!  BASE/web1/               the tree; of a guest with a disk of its own BASE/web1.img
//!  BASE/.web1.snapshots/    0700
//!  ├── LABEL/
//!  │   ├── made             nanoseconds since 1970
//!  │   └── tree/            or disk.img
//!  └── .work/               one that is being made or put into its place, with the order what then becomes of it
//! ```
//!
//! | the tree is | a snapshot is | of a running guest |
//! |---|---|---|
//! | a subvolume of btrfs without others below it | a read-only snapshot of it | yes: as after a crash |
//! | on a file system that shares blocks (btrfs, xfs) | a copy that shares all blocks | refused |
//! | on another one (ext4) | one more name of every file; the guest runs copy-on-write then ([`vserver_unify::Layers`]) | refused |
//! | an image on a file system that shares blocks | a copy that shares all blocks | yes: as after a crash |
//! | an image on another one | a sparse copy | refused |
//!
//! A restore makes a second tree of the snapshot and exchanges it with the guest's by one `renameat2(2)`, so that there is
//! always a whole one. What it does then with the old tree stands in its order, and the next command finishes it.

mod list;
mod order;
mod picture;
mod place;
mod remove;
mod stamp;
mod work;

use std::path::Path;

use vserver_types::GuestName;

use crate::Error;
use crate::request::Progress;
use crate::signals::Signals;

pub use list::{How, Snapshot, list};
pub(crate) use place::beside;
pub(crate) use remove::remove_all;

use order::Order;
use picture::Source;
use place::Place;
use work::Work;

/// What a new snapshot is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewSnapshot {
    /// Its label; without one the time in UTC.
    pub label: Option<String>,
    /// How many there may be with it, at least 1: the oldest go. `None` keeps all.
    pub keep: Option<u32>,
    /// The guest is not stopped.
    pub is_busy: bool,
}

/// What was made, and what had to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Its label.
    pub label: String,
    /// Labels of those that were removed, the oldest first.
    pub removed: Vec<String>,
}

/// Makes a snapshot of a guest, whose lock the caller holds.
///
/// # Errors
/// [`Error::Wish`]: a label that is none or is taken, a guest that runs where its files would change meanwhile, a tree that
/// is a file system of its own. Whatever a file meets; and nothing of the snapshot is left.
pub fn create(
    confdir: &Path,
    name: &GuestName,
    wish: &NewSnapshot,
    progress: &mut dyn Progress,
) -> Result<Made, Error> {
    let signals = Signals::block()?;
    let place = Place::find(confdir, name)?;
    let work = Work::begin(&place)?;
    let label = place.free_label(wish.label.as_deref())?;
    progress.stage(&format!("taking snapshot {label}"));
    picture::take(&Source::live(&place, wish.is_busy), &work, &signals)?;
    work.commit(&label)?;
    let removed = wish.keep.map_or(Ok(Vec::new()), |keep| retain(&place, keep))?;
    Ok(Made { label, removed })
}

/// Makes a guest that does not run what it was; the caller holds its lock. Its present state becomes a snapshot, whose label
/// is given, unless it is to be thrown away.
///
/// # Errors
/// As [`create`], and a tree that is another guest's, too. The guest is as it was then.
pub fn restore(
    confdir: &Path,
    name: &GuestName,
    label: &str,
    discard: bool,
    progress: &mut dyn Progress,
) -> Result<Option<String>, Error> {
    let signals = Signals::block()?;
    let place = Place::find(confdir, name)?;
    place.check_ours(confdir)?;
    let work = Work::begin(&place)?;
    let wanted = place.known(label)?;
    let keep = if discard { None } else { Some(place.free_label(None)?) };
    progress.stage(&format!("restoring snapshot {label}"));
    picture::settle(&place)?;
    picture::take(&Source::snapshot(&place, &wanted), &work, &signals)?;
    work.exchange(&Order { new: order::identity(&work.content())?, keep: keep.clone() })?;
    Ok(keep)
}

/// Removes snapshots of a guest; the caller holds its lock.
///
/// # Errors
/// [`Error::Wish`] before any is removed, if there is none of a label.
pub fn delete(confdir: &Path, name: &GuestName, labels: &[String]) -> Result<(), Error> {
    let place = Place::find(confdir, name)?;
    drop(Work::begin(&place)?);
    for label in labels {
        place.known(label)?;
    }
    labels.iter().try_for_each(|label| remove::one(&place, label))?;
    place.tidy()
}

fn retain(place: &Place, keep: u32) -> Result<Vec<String>, Error> {
    let mut all = place.labels()?;
    let many = all.len().saturating_sub(keep.max(1) as usize);
    all.truncate(many);
    all.iter().try_for_each(|label| remove::one(place, label))?;
    Ok(all)
}
