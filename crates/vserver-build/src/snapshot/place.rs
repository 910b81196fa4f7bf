//! Where the snapshots of a guest lie, and their labels.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use vserver_fs::mounts_below;
use vserver_types::GuestName;

use super::stamp::utc;
use crate::delete::{check, real};
use crate::{Error, own_disk};

/// Name of a tree in a snapshot.
pub(super) const TREE: &str = "tree";
/// Name of an image in one.
pub(super) const IMAGE: &str = "disk.img";
/// Name of the file with its time.
pub(super) const MADE: &str = "made";
/// Longest label, in bytes.
const LONGEST: usize = 64;

/// The snapshots of one guest.
pub(super) struct Place {
    pub name: GuestName,
    /// Its tree or its image.
    pub live: PathBuf,
    pub is_image: bool,
    /// What the snapshots are in; perhaps not there yet.
    pub dir: PathBuf,
}

/// Where the snapshots of a tree or an image are.
pub(crate) fn beside(live: &Path) -> PathBuf {
    let mut own = OsString::from(".");
    own.push(live.file_name().unwrap_or_default());
    own.push(".snapshots");
    live.with_file_name(own)
}

impl Place {
    /// That of a guest that is configured.
    pub fn find(confdir: &Path, name: &GuestName) -> Result<Self, Error> {
        let config = confdir.join(name.as_str());
        let place = |live: PathBuf, is_image| Self { name: name.clone(), dir: beside(&live), live, is_image };
        if let Some(image) = own_disk::of(&config)? {
            let found = image.symlink_metadata().map_err(Error::io("look at", &image))?;
            return match found.is_file() {
                true => Ok(place(image, true)),
                false => Err(Error::Wish {
                    reason: format!(
                        "guest '{name}' has no snapshots, because its disk '{}' is no regular file; take them by the means of \
                         what it is on",
                        image.display()
                    ),
                }),
            };
        }
        let vdir = config.join("vdir");
        let root = real(&vdir).filter(|root| root.is_dir()).ok_or(Error::NoTree { path: vdir })?;
        let mounts = mounts_below(&root)?;
        match mounts.first() {
            None => Ok(place(root, false)),
            Some(mount) => Err(Error::Wish {
                reason: format!(
                    "guest '{name}' has no snapshots while '{}' is mounted on the host: they would lack it, or lie on another \
                     file system; unmount it, or take them by the means of what is mounted",
                    mount.display()
                ),
            }),
        }
    }

    /// Refuses a tree that is not this guest's alone.
    pub fn check_ours(&self, confdir: &Path) -> Result<(), Error> {
        if self.is_image { Ok(()) } else { check(confdir, &self.name, &self.live, "restored") }
    }

    /// Name of what a snapshot has.
    pub fn content(&self) -> &'static str {
        if self.is_image { IMAGE } else { TREE }
    }

    /// All labels, the oldest first.
    pub fn labels(&self) -> Result<Vec<String>, Error> {
        let mut all = Vec::new();
        for entry in entries(&self.dir)? {
            // Those with a dot are under way, and a guest that got or lost its own disk has none of this kind.
            if let Some(label) = entry.to_str().filter(|label| !label.starts_with('.'))
                && self.dir.join(label).join(self.content()).symlink_metadata().is_ok()
            {
                all.push((made(&self.dir.join(label)), label.to_owned()));
            }
        }
        all.sort();
        Ok(all.into_iter().map(|(_, label)| label).collect())
    }

    /// The directory of one that is there.
    pub fn known(&self, label: &str) -> Result<PathBuf, Error> {
        let all = self.labels()?;
        if all.iter().any(|known| known == label) {
            return Ok(self.dir.join(label));
        }
        let known = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
        Err(Error::Wish { reason: format!("guest '{}' has no snapshot '{label}'; it has: {known}", self.name) })
    }

    /// The label that was wished, or the time.
    pub fn free_label(&self, wished: Option<&str>) -> Result<String, Error> {
        let is_free = |label: &str| self.dir.join(label).symlink_metadata().is_err();
        let Some(label) = wished else {
            let label = utc(now() as u64 / 1_000_000_000);
            let further = (2..).map(|number| format!("{label}-{number}"));
            let found = std::iter::once(label.clone()).chain(further).find(|label| is_free(label));
            return Ok(found.unwrap_or(label));
        };
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"._:+-".contains(&byte);
        let first = label.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if !first || !label.bytes().all(fine) || label.len() > LONGEST {
            return Err(Error::Wish {
                reason: format!(
                    "'{label}' cannot be a snapshot's label: that begins with a letter or digit, has these and . _ : + - only, and \
                     at most {LONGEST} of them"
                ),
            });
        }
        match is_free(label) {
            true => Ok(label.to_owned()),
            false => Err(Error::Wish {
                reason: format!(
                    "guest '{}' has a snapshot '{label}' already; choose another label, or delete that one",
                    self.name
                ),
            }),
        }
    }

    /// The directory goes with the last of them.
    pub fn tidy(&self) -> Result<(), Error> {
        match entries(&self.dir)?.is_empty() {
            true if self.dir.is_dir() => fs::remove_dir(&self.dir).map_err(Error::io("remove", &self.dir)),
            _ => Ok(()),
        }
    }
}

/// Names in a directory; none if it is not there.
pub(super) fn entries(dir: &Path) -> Result<Vec<OsString>, Error> {
    let failed = || Error::io("look into", dir);
    match fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        found => {
            found.map_err(failed())?.map(|entry| entry.map(|entry| entry.file_name()).map_err(failed())).collect()
        }
    }
}

/// Nanoseconds since 1970.
pub(super) fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}

/// When a snapshot was made, in nanoseconds since 1970.
pub(super) fn made(entry: &Path) -> u128 {
    fs::read_to_string(entry.join(MADE)).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}
