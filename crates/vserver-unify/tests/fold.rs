//! What an overlay has written becomes part of the tree below it. The upper layer is made by hand, as the kernel makes it.
//! Needs root: whiteouts are device nodes, and opaque directories bear a `trusted.*` attribute.

#![allow(clippy::unwrap_used, reason = "a helper of tests may panic as they do")]

use std::fs::{self, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, SFlag, mkdirat, mknod};
use rustix::fs::{XattrFlags, getxattr, setxattr};
use vserver_fs::GuestRoot;
use vserver_unify::{Layers, is_shared, mark};

struct Host {
    base: tempfile::TempDir,
}

impl Host {
    /// None if this user cannot make what a kernel makes.
    fn new() -> Option<Self> {
        let host = Self { base: tempfile::tempdir().unwrap() };
        fs::create_dir_all(host.tree("")).unwrap();
        fs::create_dir_all(host.upper("")).unwrap();
        fs::create_dir_all(host.base.path().join(".web1.layers/work/work")).unwrap();
        nix::unistd::geteuid().is_root().then_some(host)
    }

    fn tree(&self, rel: &str) -> PathBuf {
        self.base.path().join("web1").join(rel)
    }

    fn upper(&self, rel: &str) -> PathBuf {
        self.base.path().join(".web1.layers/upper").join(rel)
    }

    fn root(&self) -> GuestRoot {
        GuestRoot::open(&self.tree("")).unwrap()
    }

    fn settle(&self) {
        assert!(Layers::settle(&self.root()).unwrap());
        assert!(!self.base.path().join(".web1.layers").exists());
        assert!(!Layers::settle(&self.root()).unwrap(), "there is nothing any more");
    }
}

fn put(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn note(path: &Path, name: &str, value: &[u8]) {
    setxattr(path, format!("trusted.overlay.{name}"), value, XattrFlags::empty()).unwrap();
}

fn whiteout(path: &Path) {
    mknod(path, SFlag::S_IFCHR, Mode::empty(), 0).unwrap();
}

#[test]
fn all_that_an_overlay_writes_comes_into_the_tree() {
    let Some(host) = Host::new() else { return };
    mark(&host.root()).unwrap();
    for name in ["kept", "changed", "gone", "d/kept", "d/gone", "hidden/x", "wasdir/x", "d2/x"] {
        put(&host.tree(name), "old");
    }
    put(&host.tree("wasfile"), "old");
    put(&host.upper("changed"), "new");
    note(&host.upper("changed"), "origin", b"x");
    whiteout(&host.upper("gone"));
    put(&host.upper("d/new"), "new");
    note(&host.upper("d"), "impure", b"y");
    whiteout(&host.upper("d/gone"));
    put(&host.upper("hidden/y"), "new");
    note(&host.upper("hidden"), "opaque", b"y");
    put(&host.upper("wasdir"), "a file now");
    put(&host.upper("wasfile/x"), "a directory now");
    whiteout(&host.upper("d2"));
    symlink("/etc/passwd", host.upper("link")).unwrap();
    chown(host.upper("d"), Some(33), Some(34)).unwrap();
    fs::set_permissions(host.upper("d"), Permissions::from_mode(0o2710)).unwrap();
    host.settle();
    let read = |name: &str| fs::read_to_string(host.tree(name)).unwrap();
    assert_eq!((read("kept"), read("changed"), read("d/kept")), ("old".into(), "new".into(), "old".into()));
    assert_eq!((read("d/new"), read("hidden/y"), read("wasdir")), ("new".into(), "new".into(), "a file now".into()));
    assert_eq!(read("wasfile/x"), "a directory now");
    for gone in ["gone", "d/gone", "hidden/x", "d2"] {
        assert!(host.tree(gone).symlink_metadata().is_err(), "{gone}");
    }
    assert_eq!(fs::read_link(host.tree("link")).unwrap(), Path::new("/etc/passwd"));
    let d = host.tree("d").metadata().unwrap();
    assert_eq!((d.uid(), d.gid(), d.mode() & 0o7777), (33, 34, 0o2710));
    for (name, left) in [("changed", "origin"), ("d", "impure"), ("hidden", "opaque")] {
        let name = host.tree(name);
        assert!(getxattr(&name, format!("trusted.overlay.{left}"), &mut [0; 8]).is_err(), "{}", name.display());
    }
    assert!(is_shared(&host.root()).unwrap(), "the mark stays");
}

#[test]
fn a_link_in_the_upper_layer_is_no_way_out() {
    let Some(host) = Host::new() else { return };
    put(&host.base.path().join("secret/x"), "the host's");
    put(&host.tree("dir/x"), "old");
    fs::create_dir(host.tree("other")).unwrap();
    symlink(host.base.path().join("secret"), host.tree("other/dir")).unwrap();
    symlink(host.base.path().join("secret"), host.upper("dir")).unwrap();
    put(&host.upper("other/dir/x"), "new");
    host.settle();
    assert_eq!(fs::read_to_string(host.base.path().join("secret/x")).unwrap(), "the host's");
    assert!(host.tree("dir").symlink_metadata().unwrap().is_symlink());
    assert_eq!(fs::read_to_string(host.tree("other/dir/x")).unwrap(), "new");
    assert!(!host.tree("other/dir").symlink_metadata().unwrap().is_symlink());
}

#[test]
fn directories_deeper_than_any_path_are_no_obstacle() {
    let Some(host) = Host::new() else { return };
    for start in [host.tree(""), host.upper("")] {
        let mut here = OwnedFd::from(fs::File::open(start).unwrap());
        for _ in 0..2_200 {
            mkdirat(&here, "d", Mode::S_IRWXU).unwrap();
            here = openat(&here, "d", OFlag::O_DIRECTORY, Mode::empty()).unwrap();
        }
    }
    host.settle();
    host.root().remove_tree("d").unwrap();
}

#[test]
fn what_was_half_made_or_half_removed_changes_nothing() {
    let Some(host) = Host::new() else { return };
    put(&host.tree("x"), "old");
    fs::set_permissions(host.tree(""), Permissions::from_mode(0o755)).unwrap();
    // As a crash leaves it before the layers had their name.
    fs::rename(host.upper(""), host.base.path().join(".web1.layers/new")).unwrap();
    host.settle();
    assert_eq!(fs::read_to_string(host.tree("x")).unwrap(), "old");
    assert_eq!(host.tree("").metadata().unwrap().mode() & 0o7777, 0o755);
}
