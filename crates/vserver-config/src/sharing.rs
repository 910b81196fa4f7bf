//! `apps/vunify/`: which files a guest may share with others, and where. Source: util-vserver, `config-tree.md` §5.10.

use std::fs;
use std::path::{Path, PathBuf};

use vserver_types::GuestName;

use crate::Defaults;
use crate::reader::Reader;

/// Names in a directory of stores that are none.
const NO_STORES: [&str; 3] = ["method", "blocks", "blocksize"];

/// What a guest's configuration says about sharing files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sharing {
    /// Its exclude list; none is the one that comes with us.
    pub exclude: Option<PathBuf>,
    /// Configuration files of its packages stay its own.
    pub packages: bool,
    /// Configuration directories of its reference guests, in their order.
    pub references: Vec<PathBuf>,
    /// Stores, at most one for each file system; without any, `.hash` beside the guests' trees.
    pub stores: Vec<PathBuf>,
}

/// Reads it. None if the guest has no directory `apps/vunify`: then nothing of it is shared.
pub fn sharing(confdir: &Path, name: &GuestName) -> Option<Sharing> {
    let dir = confdir.join(name.as_str());
    let (own, host) = (dir.join("apps/vunify"), confdir.join(".defaults/apps/vunify"));
    if !own.is_dir() {
        return None;
    }
    let resolved = |(link, target): (PathBuf, PathBuf)| link.parent().map_or(target.clone(), |dir| dir.join(target));
    let stores = [own.join("hash"), host.join("hash")].into_iter().find(|dir| dir.is_dir());
    let mut stores: Vec<PathBuf> =
        stores.map(|dir| stores_of(&dir)).unwrap_or_default().into_iter().map(resolved).collect();
    if stores.is_empty() {
        stores.push(Defaults::new(confdir).vdirbase().join(".hash"));
    }
    Some(Sharing {
        exclude: [own.join("exclude"), host.join("exclude")].into_iter().find(|path| path.exists()),
        packages: uses_packages(&own, &host),
        references: references_of(&own).into_iter().map(resolved).collect(),
        stores,
    })
}

/// The links to reference guests, with their targets.
pub(crate) fn references_of(own: &Path) -> Vec<(PathBuf, PathBuf)> {
    targets(own, |name| name.starts_with("refserver."))
}

/// The links to stores, with their targets.
pub(crate) fn stores_of(hash: &Path) -> Vec<(PathBuf, PathBuf)> {
    targets(hash, |name| !NO_STORES.contains(&name))
}

/// The first of four files decides whether the packages' own files are left out.
pub(crate) fn uses_packages(own: &Path, host: &Path) -> bool {
    let files = [
        (own.join("pkgmgmt-ignore"), false),
        (own.join("pkgmgmt-force"), true),
        (host.join("pkgmgmt-ignore"), false),
        (host.join("pkgmgmt-force"), true),
        (host.join("pgkmgmt-force"), true),
    ];
    files.into_iter().find(|(path, _)| path.exists()).is_none_or(|(_, used)| used)
}

/// Links of a directory with their targets, in alphabetical order.
fn targets(dir: &Path, wanted: impl Fn(&str) -> bool) -> Vec<(PathBuf, PathBuf)> {
    let names = Reader::default().names(dir).into_iter().filter(|name| wanted(name));
    names.filter_map(|name| fs::read_link(dir.join(&name)).ok().map(|target| (dir.join(name), target))).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_guests_own_files_stand_above_those_of_the_host() {
        let base = tempfile::tempdir().unwrap();
        let name: GuestName = "web1".parse().unwrap();
        assert_eq!(sharing(base.path(), &name), None);
        let (own, host) = (base.path().join("web1/apps/vunify"), base.path().join(".defaults/apps/vunify"));
        fs::create_dir_all(&own).unwrap();
        fs::create_dir_all(host.join("hash")).unwrap();
        fs::write(host.join("exclude"), "/x\n").unwrap();
        fs::write(host.join("pkgmgmt-ignore"), "").unwrap();
        symlink("/vservers/.hash", host.join("hash/00")).unwrap();
        symlink("../../../web0", own.join("refserver.00")).unwrap();
        let found = sharing(base.path(), &name).unwrap();
        assert_eq!(found.exclude, Some(host.join("exclude")));
        assert!(!found.packages);
        assert_eq!(found.stores, [PathBuf::from("/vservers/.hash")]);
        assert_eq!(found.references, [own.join("../../../web0")]);
        fs::write(own.join("exclude"), "/y\n").unwrap();
        fs::write(own.join("pkgmgmt-force"), "").unwrap();
        let found = sharing(base.path(), &name).unwrap();
        assert_eq!((found.exclude, found.packages), (Some(own.join("exclude")), true));
    }
}
