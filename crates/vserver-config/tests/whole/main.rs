//! A configuration is written and read back, whatever it says; and what says so already is not touched.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod disk;
mod keep;
mod life;
mod numbers;
mod strategy;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;
use vserver_config::{GuestConfig, read, write};

/// A configuration root without anything but `.defaults`.
fn root() -> TempDir {
    // In memory where that is possible: a hundred thousand waits for a disk prove nothing here.
    let memory = Path::new("/dev/shm");
    let root = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    fs::create_dir(root.path().join(".defaults")).unwrap();
    root
}

/// Every entry below a directory: a link with its target, a file with its bytes.
fn snapshot(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match fs::symlink_metadata(&path).unwrap().file_type() {
            kind if kind.is_symlink() => {
                all.insert(path.clone(), fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes())
            }
            kind if kind.is_dir() => {
                all.extend(snapshot(&path));
                all.insert(path, Vec::new())
            }
            _ => all.insert(path.clone(), fs::read(&path).unwrap()),
        };
    }
    all
}

/// The same at the root of this test, and without what is no setting.
fn placed(mut config: GuestConfig, root: &Path) -> GuestConfig {
    let dir = root.join("g");
    let old = std::mem::replace(&mut config.dir, dir.clone());
    let place = |path: &mut PathBuf| {
        if let Ok(below) = path.strip_prefix(&old) {
            *path = dir.join(below);
        }
    };
    place(&mut config.vdir);
    config.fstab.iter_mut().for_each(|entry| place(&mut entry.file));
    config
}

/// The lines in which two configurations differ; a whole one has hundreds.
fn diff(one: &GuestConfig, other: &GuestConfig) -> Vec<(String, String)> {
    let lines = |config| format!("{config:#?}").lines().map(str::to_owned).collect::<Vec<_>>();
    let mut pairs: Vec<_> = lines(one).into_iter().zip(lines(other)).collect();
    pairs.retain(|(one, other)| one != other);
    pairs.truncate(20);
    pairs
}

fn without_places(mut config: GuestConfig) -> GuestConfig {
    config.fstab.iter_mut().for_each(|entry| entry.line = 0);
    config.unapplied.clear();
    config
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_is_written_is_read(config in strategy::config()) {
        let root = root();
        let config = placed(config, root.path());
        write(root.path(), &config).unwrap();
        // What of it cannot be applied follows from the rest, and is not written.
        let read_back = GuestConfig { unapplied: Vec::new(), ..read(root.path(), &config.name).unwrap().0 };
        prop_assert!(read_back == config, "{:#?}", diff(&read_back, &config));
        let before = snapshot(root.path());
        prop_assert_eq!(write(root.path(), &config).unwrap(), Vec::<PathBuf>::new());
        prop_assert_eq!(snapshot(root.path()), before);
    }

    #[test]
    fn any_configuration_becomes_any_other(one in strategy::config(), other in strategy::config()) {
        let root = root();
        let (one, other) = (placed(one, root.path()), placed(other, root.path()));
        let other = match one.vdir == root.path().join("g/vdir") {
            // A tree is not replaced by a link to another one.
            true => GuestConfig { vdir: one.vdir.clone(), ..other },
            false => other,
        };
        write(root.path(), &one).unwrap();
        write(root.path(), &other).unwrap();
        let read_back = read(root.path(), &other.name).unwrap().0;
        let (read_back, wanted) = (without_places(read_back), without_places(other.clone()));
        prop_assert!(read_back == wanted, "{:#?}", diff(&read_back, &wanted));
        prop_assert_eq!(write(root.path(), &other).unwrap(), Vec::<PathBuf>::new());
    }
}
