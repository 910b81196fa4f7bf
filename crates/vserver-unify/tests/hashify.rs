//! Equal files become one, everything else stays as it is. Needs root: the mark is a `trusted.*` attribute.

#![allow(clippy::unwrap_used, reason = "a helper of tests may panic as they do")]

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use vserver_fs::GuestRoot;
use vserver_unify::{Error, Event, Options, Rules, Skip, Store, Totals, Tree, hashify, is_shared};

struct Host {
    base: tempfile::TempDir,
}

impl Host {
    /// None if this user or file system has no such attributes; then there is nothing to be seen here.
    fn new() -> Option<Self> {
        let host = Self { base: tempfile::tempdir().unwrap() };
        nix::unistd::geteuid().is_root().then_some(host)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.base.path().join(name)
    }

    fn put(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        File::open(&path).unwrap().set_modified(old).unwrap();
    }

    fn trees(&self, names: &[&str], list: &[u8]) -> Vec<Tree> {
        let tree = |name: &&str| Tree { root: GuestRoot::open(&self.path(name)).unwrap(), rules: Rules::parse(list) };
        names.iter().map(tree).collect()
    }

    fn hashify(&self, names: &[&str], options: Options) -> Totals {
        let mut store = Store::open(&self.path("hash")).unwrap();
        hashify(&self.trees(names, b""), &mut store, options, &|_| {}).unwrap()
    }

    fn inode(&self, name: &str) -> u64 {
        self.path(name).symlink_metadata().unwrap().ino()
    }
}

#[test]
fn equal_files_of_all_guests_become_one_inode_whatever_they_are_called() {
    let Some(host) = Host::new() else { return };
    for guest in ["a", "b", "c"] {
        host.put(&format!("{guest}/usr/lib/libc.so"), &[7; 300_000]);
        host.put(&format!("{guest}/usr/bin/{guest}"), b"a program of some length");
        host.put(&format!("{guest}/etc/hostname"), format!("host {guest} has a name").as_bytes());
    }
    let totals = host.hashify(&["a", "b", "c"], Options::default());
    assert_eq!((totals.unified, totals.failed, totals.known), (4, 0, 0), "{totals:?}");
    assert!(totals.freed >= 2 * 300_000, "{totals:?}");
    for other in ["b", "c"] {
        assert_eq!(host.inode("a/usr/lib/libc.so"), host.inode(&format!("{other}/usr/lib/libc.so")));
        assert_eq!(host.inode("a/usr/bin/a"), host.inode(&format!("{other}/usr/bin/{other}")));
        assert_ne!(host.inode("a/etc/hostname"), host.inode(&format!("{other}/etc/hostname")));
        assert!(is_shared(&GuestRoot::open(&host.path(other)).unwrap()).unwrap());
    }
    assert_eq!(fs::read(host.path("c/usr/lib/libc.so")).unwrap(), [7; 300_000]);
    assert_eq!(host.path("hash").metadata().unwrap().mode() & 0o7777, 0o700);
    let again = host.hashify(&["a", "b", "c"], Options::default());
    assert_eq!((again.unified, again.known, again.freed), (0, 9, 0), "{again:?}");
    let refreshed = host.hashify(&["a", "b", "c"], Options { refresh: true, ..Options::default() });
    assert_eq!((refreshed.unified, refreshed.known), (0, 0), "{refreshed:?}");
}

#[test]
fn large_files_of_one_size_become_as_many_as_they_are() {
    let Some(host) = Host::new() else { return };
    // Equal at the beginning, in the middle and at the end, which is what the store's names are of.
    let content = |which: u8| {
        let mut content = vec![1; 900_000];
        content[200_000] = which;
        content
    };
    for (number, guest) in ["a", "b", "c"].into_iter().enumerate() {
        for at in 0..8 {
            host.put(&format!("{guest}/{at}"), &content((number as u8 + at) % 4));
        }
        fs::hard_link(host.path(&format!("{guest}/0")), host.path(&format!("{guest}/x"))).unwrap();
    }
    let dry = host.hashify(&["a", "b", "c"], Options { dry_run: true, ..Options::default() });
    for (guests, unified) in [(&["a", "b"][..], 12), (&["a", "b", "c"], 9), (&["a", "b", "c"], 0)] {
        let totals = host.hashify(guests, Options::default());
        assert_eq!((totals.unified, totals.failed), (unified, 0), "{totals:?}");
    }
    assert_eq!((dry.unified, dry.failed), (23, 0), "{dry:?}");
    let mut inodes = Vec::new();
    for (number, guest) in ["a", "b", "c"].into_iter().enumerate() {
        for at in 0..8 {
            let (name, which) = (format!("{guest}/{at}"), (number as u8 + at) % 4);
            assert!(fs::read(host.path(&name)).unwrap() == content(which), "{name}");
            inodes.push((host.inode(&name), which));
        }
        assert_eq!(host.inode(&format!("{guest}/x")), host.inode(&format!("{guest}/0")));
    }
    inodes.sort_unstable();
    inodes.dedup();
    assert_eq!(inodes.len(), 4);
    assert_eq!(fs::read_dir(host.path("hash")).unwrap().count(), 2 + 4);
}

#[test]
fn a_crowd_of_large_files_of_one_size_is_told_apart_and_shared_all_the_same() {
    let Some(host) = Host::new() else { return };
    let (kinds, length) = (7, 2 << 20);
    for number in 0..21 {
        let mut content = vec![b'.'; length];
        content[length / 2] = number % kinds;
        // Two trees, and names that have nothing to do with what is in them.
        host.put(&format!("{}/var/log/{:02}", ["a", "b"][usize::from(number % 2)], (number * 8) % 21), &content);
        if number == 3 {
            let name = |number: u8| host.path(&format!("b/var/log/{number:02}"));
            fs::hard_link(name(24 % 21), name(99)).unwrap();
        }
    }
    for again in [false, true] {
        let totals = host.hashify(&["a", "b"], Options { refresh: again, ..Options::default() });
        assert_eq!((totals.unified, totals.failed), (if again { 0 } else { 14 }, 0), "{totals:?}");
    }
    let files = ["a", "b"].map(|tree| fs::read_dir(host.path(tree).join("var/log")).unwrap());
    let stats: Vec<_> = files.into_iter().flatten().map(|entry| entry.unwrap().metadata().unwrap()).collect();
    let inodes: std::collections::HashSet<_> = stats.iter().map(MetadataExt::ino).collect();
    assert_eq!((stats.len(), inodes.len()), (22, usize::from(kinds)));
}

#[test]
fn a_guest_that_comes_later_finds_what_the_store_has() {
    let Some(host) = Host::new() else { return };
    for guest in ["a", "b"] {
        host.put(&format!("{guest}/x"), b"the very same content");
    }
    host.hashify(&["a"], Options::default());
    assert_eq!(host.hashify(&["b"], Options::default()).unified, 1);
    assert_eq!(host.inode("a/x"), host.inode("b/x"));
    assert_eq!(host.path("a/x").metadata().unwrap().nlink(), 3);
}

#[test]
fn a_file_of_one_byte_takes_a_block_and_is_shared_and_an_empty_one_is_not() {
    let Some(host) = Host::new() else { return };
    for guest in ["a", "b"] {
        host.put(&format!("{guest}/one"), b"1");
        host.put(&format!("{guest}/none"), b"");
    }
    assert_eq!(host.hashify(&["a", "b"], Options::default()).unified, 1);
    assert_eq!(host.inode("a/one"), host.inode("b/one"));
    assert_ne!(host.inode("a/none"), host.inode("b/none"));
}

#[test]
fn a_new_store_has_no_directories_and_old_ones_go_on_with_theirs() {
    let Some(host) = Host::new() else { return };
    for (method, length) in [(None, 8), (Some("blake3-80\n"), 16), (Some("blake3\n"), 0), (Some("sha1\n"), 0)] {
        let flat = length > 0;
        for guest in ["a", "b", "c"] {
            host.put(&format!("{guest}/x"), b"the very same content");
        }
        if let Some(method) = method {
            fs::create_dir_all(host.path("hash")).unwrap();
            fs::write(host.path("hash/method"), method).unwrap();
        }
        assert_eq!(host.hashify(&["a", "b"], Options::default()).unified, 1, "{method:?}");
        let again = host.hashify(&["a", "b", "c"], Options::default());
        assert_eq!((again.known, again.unified), (2, 1), "{method:?}: {again:?}");
        let entries = || fs::read_dir(host.path("hash")).unwrap().map(|entry| entry.unwrap());
        assert_eq!(entries().any(|entry| entry.file_type().unwrap().is_dir()), !flat, "{method:?}");
        assert_eq!(host.path("hash/.index").exists(), !flat, "{method:?}");
        let entry = entries().find(|entry| entry.file_name().len() == length);
        assert_eq!(entry.map(|entry| entry.metadata().unwrap().ino()), flat.then(|| host.inode("c/x")), "{method:?}");
        ["a", "b", "c", "hash"].iter().for_each(|dir| fs::remove_dir_all(host.path(dir)).unwrap());
    }
}

#[test]
fn what_differs_in_anything_stays_apart() {
    let Some(host) = Host::new() else { return };
    let names = ["mode", "owner", "time", "content", "attribute"];
    for name in names {
        host.put(&format!("a/{name}"), b"the very same content");
        host.put(&format!("b/{name}"), b"the very same content");
    }
    fs::set_permissions(host.path("b/mode"), Permissions::from_mode(0o4644)).unwrap();
    chown(host.path("b/owner"), Some(33), None).unwrap();
    File::open(host.path("b/time")).unwrap().set_modified(SystemTime::now()).unwrap();
    host.put("b/content", b"the very same CONTENT");
    let capability = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(host.path("b/attribute"), "trusted.test", b"1", capability).unwrap();
    let sizes: Vec<_> = names.iter().map(|name| host.path(&format!("b/{name}")).metadata().unwrap().len()).collect();
    host.hashify(&["a", "b"], Options::default());
    for (name, size) in names.iter().zip(sizes) {
        let other = host.path(&format!("b/{name}")).metadata().unwrap();
        assert_ne!(host.inode(&format!("a/{name}")), other.ino(), "{name}");
        assert_eq!(other.len(), size);
    }
    assert_eq!(host.path("b/mode").metadata().unwrap().mode() & 0o7777, 0o4644);
    assert_eq!(host.path("b/owner").metadata().unwrap().uid(), 33);
    assert_eq!(fs::read(host.path("b/content")).unwrap(), b"the very same CONTENT");
    let totals = host.hashify(&["a", "b"], Options { refresh: true, ignore_mtime: true, ..Options::default() });
    assert_eq!(host.inode("a/time"), host.inode("b/time"), "{totals:?}");
}

#[test]
fn no_link_is_followed_and_no_special_file_opened() {
    let Some(host) = Host::new() else { return };
    host.put("secret/shadow", b"the secret of the host");
    host.put("a/shadow", b"the secret of the host");
    symlink(host.path("secret"), host.path("a/dir")).unwrap();
    symlink(host.path("secret/shadow"), host.path("a/link")).unwrap();
    nix::unistd::mkfifo(&host.path("a/fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let seen = Mutex::new(Vec::new());
    let mut store = Store::open(&host.path("hash")).unwrap();
    hashify(&host.trees(&["a"], b""), &mut store, Options::default(), &|event| {
        if let Event::Skipped { path, why, .. } = event {
            seen.lock().unwrap().push((path.to_owned(), why));
        }
    })
    .unwrap();
    let mut seen = seen.into_inner().unwrap();
    seen.sort_by(|a, b| a.0.cmp(&b.0));
    let wanted = [("/dir", Skip::Symlink), ("/fifo", Skip::Irregular), ("/link", Skip::Symlink)];
    assert_eq!(seen, wanted.map(|(path, why)| (path.to_owned(), why)));
    assert_ne!(host.inode("secret/shadow"), host.inode("a/shadow"));
}

#[test]
fn excluded_files_and_directories_are_left_alone() {
    let Some(host) = Host::new() else { return };
    for guest in ["a", "b"] {
        for name in ["etc/deep/x", "usr/x"] {
            host.put(&format!("{guest}/{name}"), b"the very same content");
        }
    }
    let mut store = Store::open(&host.path("hash")).unwrap();
    hashify(&host.trees(&["a", "b"], b"/etc\n"), &mut store, Options::default(), &|_| {}).unwrap();
    assert_eq!(host.inode("a/usr/x"), host.inode("b/usr/x"));
    assert_ne!(host.inode("a/etc/deep/x"), host.inode("b/etc/deep/x"));
}

#[test]
fn a_dry_run_says_the_same_and_changes_nothing() {
    let Some(host) = Host::new() else { return };
    for guest in ["a", "b", "c"] {
        host.put(&format!("{guest}/x"), &[3; 50_000]);
        host.put(&format!("{guest}/{guest}"), b"something very short");
    }
    let dry = host.hashify(&["a", "b", "c"], Options { dry_run: true, ..Options::default() });
    assert!(!is_shared(&GuestRoot::open(&host.path("a")).unwrap()).unwrap());
    assert_ne!(host.inode("a/x"), host.inode("b/x"));
    let real = host.hashify(&["a", "b", "c"], Options::default());
    assert_eq!((dry.unified, dry.freed), (real.unified, real.freed));
}

#[test]
fn what_a_killed_run_has_left_is_removed_and_only_that() {
    let Some(host) = Host::new() else { return };
    host.put("a/x", b"the very same content");
    let left = format!("a/.vserver-unify-{:x}", host.inode("a/x"));
    fs::hard_link(host.path("a/x"), host.path(&left)).unwrap();
    host.put("a/.vserver-unify-1", b"a file of the guest's");
    host.hashify(&["a"], Options::default());
    assert!(!host.path(&left).exists());
    assert!(host.path("a/.vserver-unify-1").exists() && host.path("a/x").exists());
}

#[test]
fn a_store_elsewhere_is_refused_before_anything() {
    let Some(host) = Host::new() else { return };
    host.put("a/x", b"the very same content");
    let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut store = Store::open(&elsewhere.path().join("hash")).unwrap();
    let refused = hashify(&host.trees(&["a"], b""), &mut store, Options::default(), &|_| {});
    assert!(matches!(refused.unwrap_err(), Error::OtherDevice { .. }));
    assert!(!is_shared(&GuestRoot::open(Path::new(&host.path("a"))).unwrap()).unwrap());
}
