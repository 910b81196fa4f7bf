//! `config --set` and its like: single files change, and nothing else does.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;
use vserver_config::{Edit, Error, edit, read};
use vserver_types::GuestName;

fn guest(files: &[(&str, &[u8])]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("g");
    fs::create_dir(&dir).unwrap();
    symlink("/nowhere/g", dir.join("vdir")).unwrap();
    for (file, content) in files {
        let path = dir.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    root
}

fn name() -> GuestName {
    "g".parse().unwrap()
}

fn text(root: &TempDir, file: &str) -> String {
    fs::read_to_string(root.path().join("g").join(file)).unwrap()
}

fn set(file: &str, value: &str) -> Edit {
    Edit::Set(file.into(), value.into())
}

fn add(file: &str, item: &str) -> Edit {
    Edit::Add(file.into(), item.into())
}

fn take(file: &str, item: &str) -> Edit {
    Edit::Drop(file.into(), item.into())
}

/// What changed, or the sentence that refuses it.
fn done(root: &TempDir, edits: &[Edit]) -> Result<Vec<String>, String> {
    let dir = root.path().join("g");
    let paths = edit(root.path(), &name(), edits).map_err(|error| match error {
        Error::Io { source, .. } => source.to_string(),
        error => error.to_string(),
    })?;
    Ok(paths.iter().map(|path| path.strip_prefix(&dir).unwrap().display().to_string()).collect())
}

#[test]
fn each_kind_of_file_changes_in_its_way() {
    let root = guest(&[
        ("context", b"101\n# of the registry\n"),
        ("cflags", b"# why\nvirt_mem,virt_load\nhide_mount\n"),
        ("apps/init/mark", b"default\n"),
        ("apps/init/environment", b"PATH=/bin\n#A=b\n"),
        ("fstab", b"# t\nnone /tmp tmpfs size=1m 0 0\nx y\n/dev/a none swap sw 0 0\n"),
        ("disabled", b""),
    ]);
    // The faulty line of `fstab` was there before.
    let edits = [
        Edit::Unset("disabled".into()),
        set("context", "102"),
        set("rlimits/rss.hard", "256K"),
        set("uts/nodename", "web"),
        set("interfaces/0/nodev", ""),
        set("interfaces/0/ip", "192.0.2.1"),
        take("cflags", "virt_load"),
        take("cflags", "hide_mount"),
        add("cflags", "sched_hard"),
        add("apps/init/environment", "TZ=UTC"),
        add("fstab", "none /run tmpfs defaults 0 0"),
        add("apps/init/mark", "default"),
    ];
    let changed = done(&root, &edits).unwrap();
    assert_eq!(text(&root, "context"), "102\n# of the registry\n");
    assert_eq!(text(&root, "cflags"), "# why\nvirt_mem\nsched_hard\n");
    assert_eq!(text(&root, "apps/init/environment"), "PATH=/bin\n#A=b\nTZ=UTC\n");
    assert_eq!(
        text(&root, "fstab"),
        "# t\nnone /tmp tmpfs size=1m 0 0\nx y\n/dev/a none swap sw 0 0\nnone /run tmpfs defaults 0 0\n"
    );
    assert_eq!((text(&root, "rlimits/rss.hard"), text(&root, "uts/nodename")), ("256K\n".into(), "web\n".into()));
    assert!(!root.path().join("g/disabled").exists() && !changed.contains(&"apps/init/mark".to_owned()));
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "no draft is left");
}

#[test]
fn what_would_be_a_fault_is_refused_and_nothing_changes() {
    let root = guest(&[("nice", b"5\n"), ("apps/init/mark", b"\xff\xfe\n"), ("apps/init/style", b"plain\n")]);
    let refused = |edits: &[Edit], words: &str| {
        let error = done(&root, &[&[set("nice", "7")], edits].concat()).unwrap_err();
        assert!(error.contains(words), "'{words}' is not in: {error}");
        assert_eq!(text(&root, "nice"), "5\n");
    };
    refused(&[set("rlimits/rss", "1G")], "/g/rlimits/rss:1: Invalid limit: '1G' has the unknown suffix 'G' (");
    refused(
        &[add("bcapabilities", "NET_RAWW")],
        "/g/bcapabilities:1: Unknown bcap 'NET_RAWW' (did you mean 'net_raw'?)",
    );
    refused(&[set("context", "1")], "/g/context:1: 1 is not a static context number");
    refused(&[set("rlimit/rss", "1")], "nothing reads a file of this name");
    refused(&[set("../h/nice", "1")], "nothing reads a file of this name");
    refused(&[set("vdir", "/")], "a directory, a link or a program");
    refused(&[add("nice", "1")], "it is no list");
    refused(&[set("disabled", "yes")], "leave its value empty");
    refused(&[set("name", "a\nb")], "it holds one line");
    refused(&[take("cflags", "virt_mem")], "it has no such item");
    refused(&[add("apps/init/mark", "late")], "it is no readable text");
    assert_eq!(fs::read(root.path().join("g/apps/init/mark")).unwrap(), b"\xff\xfe\n");
    assert!(done(&root, &[set("nice", "7")]).is_ok(), "a fault elsewhere does not matter");
    assert!(matches!(edit(root.path(), &"h".parse().unwrap(), &[]), Err(Error::NoSuchGuest { .. })));
}

#[test]
fn a_fault_can_be_corrected() {
    let root = guest(&[("nice", b"many\n"), ("context", b"nonsense\n")]);
    assert_eq!(done(&root, &[set("nice", "5")]).unwrap(), ["nice"]);
    assert_eq!(done(&root, &[Edit::Unset("context".into())]).unwrap(), ["context"]);
    assert_eq!(read(root.path(), &name()).unwrap().0.nice, Some(5));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever is asked for, all of it is done or nothing.
    #[test]
    fn nothing_is_half_done(file in "(cflags|nice|apps/init/mark|fstab|interfaces/0/ip|[a-z/.]{1,8})", value in "\\PC{0,12}\n?", kind in 0..4) {
        let root = guest(&[("nice", b"5\n"), ("cflags", b"virt_mem\n")]);
        let edits = [Edit::Set("nice".into(), "6".into()), match kind {
            0 => Edit::Set(file, value),
            1 => Edit::Add(file, value),
            2 => Edit::Drop(file, value),
            _ => Edit::Unset(file),
        }];
        let nice = |root: &Path| fs::read_to_string(root.join("g/nice"));
        match edit(root.path(), &name(), &edits) {
            Err(_) => prop_assert_eq!(nice(root.path()).unwrap(), "5\n"),
            Ok(_) => prop_assert!(read(root.path(), &name()).is_ok()),
        }
    }
}
