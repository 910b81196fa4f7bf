//! What is not a setting survives: comments, order, owner, mode, links, lines that nothing reads.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use vserver_config::{Error, GuestConfig, list, read, survey, write};
use vserver_types::{CapSet, ContextFlags, NetFlags, Resource, ResourceLimit, Rlimit};

use crate::{root, snapshot};

/// A guest with these files and a tree elsewhere.
fn guest(root: &Path, files: &[(&str, &str)]) -> GuestConfig {
    let dir = root.join("g");
    fs::create_dir(&dir).unwrap();
    symlink("/nowhere/g", dir.join("vdir")).unwrap();
    for (file, text) in files {
        let path = dir.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    read(root, &"g".parse().unwrap()).unwrap().0
}

fn text(root: &Path, file: &str) -> String {
    fs::read_to_string(root.join("g").join(file)).unwrap()
}

/// A guest with remarks everywhere.
const REMARKS: &[(&str, &str)] = &[
    ("context", "101\n# given by the registry of numbers\n"),
    ("cflags", "# as on the old host\nvirt_mem,virt_load\n\nsched_hard\n# persistent: no\nnamespace\n"),
    ("fstab", "# the logs\nnone\t/tmp\ttmpfs  size=16m\t1 0\n/dev/x none swap sw 0 0\n/srv /srv none bind,ro\n"),
    ("apps/init/mark", "# groups\nlate\ndefault\n"),
    ("rlimits/rss.hard", "256K\nin pages\n"),
    ("rlimits/README", "in pages\n"),
    ("interfaces/0/ip", "192.0.2.1\n"),
    ("interfaces/0/nodev", "because the host has it\n"),
    ("interfaces/1/ip", "192.0.2.2\n"),
    ("interfaces/1/nodev", ""),
    ("interfaces/1/remark", "of the second\n"),
    ("notes", "mine\n"),
];

#[test]
fn comments_order_and_unread_lines_stay() {
    let root = root();
    let root = root.path();
    let mut config = guest(root, REMARKS);
    config.context = Some(vserver_types::Xid(102));
    config.ncontext = Some(vserver_types::Nid(102));
    config.cflags = ContextFlags(config.cflags.0 & !ContextFlags::SCHED_HARD | ContextFlags::PERSISTENT);
    config.init.mark = vec!["default".to_owned(), "web".to_owned()];
    let both = ResourceLimit { hard: Some(Rlimit::Value(1000)), soft: Some(Rlimit::Value(500)), min: None };
    config.rlimits.insert(Resource::Rss, both);
    config.fstab.remove(0);
    config.interfaces.remove(1);
    // So it is with a single address.
    config.nflags.0 |= NetFlags::SINGLE_IP;
    let changed = write(root, &config).unwrap();
    assert_eq!(text(root, "context"), "102\n# given by the registry of numbers\n");
    assert_eq!(
        text(root, "cflags"),
        "# as on the old host\nvirt_mem,virt_load\n\n# persistent: no\nnamespace\npersistent\n"
    );
    assert_eq!(text(root, "fstab"), "# the logs\n/dev/x none swap sw 0 0\n/srv /srv none bind,ro\n");
    assert_eq!(text(root, "apps/init/mark"), "# groups\ndefault\nweb\n");
    assert_eq!(
        (text(root, "rlimits/rss.hard"), text(root, "rlimits/rss.soft")),
        ("1000\nin pages\n".into(), "500\n".into())
    );
    assert_eq!((text(root, "notes"), text(root, "rlimits/README")), ("mine\n".into(), "in pages\n".into()));
    assert_eq!(text(root, "interfaces/1/remark"), "of the second\n", "the interface is disabled, not removed");
    assert!(root.join("g/interfaces/1/disabled").exists());
    assert_eq!(text(root, "interfaces/0/nodev"), "because the host has it\n");
    let names: Vec<_> =
        changed.iter().map(|path| path.strip_prefix(root.join("g")).unwrap().to_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "apps/init/mark",
            "cflags",
            "context",
            "fstab",
            "interfaces/1/disabled",
            "rlimits/rss.hard",
            "rlimits/rss.soft"
        ]
    );
}

#[test]
fn owner_mode_and_links_stay() {
    let root = root();
    let root = root.path();
    let mut config = guest(root, &[("apps/init/mark", "default\n"), ("context", "101\n"), ("nice", "5\n")]);
    fs::create_dir(root.join("common")).unwrap();
    fs::write(root.join("common/caps"), "# of all guests\nNET_RAW\n").unwrap();
    symlink("../common/caps", root.join("g/bcapabilities")).unwrap();
    let as_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    for (file, mode) in [("g/apps/init/mark", 0o600), ("g/context", 0o640), ("common/caps", 0o664)] {
        fs::set_permissions(root.join(file), PermissionsExt::from_mode(mode)).unwrap();
        if as_root {
            std::os::unix::fs::chown(root.join(file), Some(1234), Some(4321)).unwrap();
        }
    }
    config.context = None;
    config.ncontext = None;
    config.bcaps.mask |= CapSet::ALL.0 & 1;
    config.bcaps.value |= 1 << 13;
    config.bcaps.mask |= 1 << 13;
    config.init.mark.push("web".to_owned());
    config.nice = Some(6);
    write(root, &config).unwrap();
    for (file, mode, content) in
        [("g/apps/init/mark", 0o600, "default\nweb\n"), ("common/caps", 0o664, "# of all guests\nNET_RAW\n~CHOWN\n")]
    {
        let found = fs::metadata(root.join(file)).unwrap();
        assert_eq!(
            (found.mode() & 0o7777, fs::read_to_string(root.join(file)).unwrap().as_str()),
            (mode, content),
            "{file}"
        );
        assert!(!as_root || (found.uid(), found.gid()) == (1234, 4321), "{file}");
    }
    assert_eq!(fs::read_link(root.join("g/bcapabilities")).unwrap(), Path::new("../common/caps"));
    assert!(!root.join("g/context").exists());
    assert_eq!(fs::metadata(root.join("g/nice")).unwrap().mode() & 0o7777, 0o644);
}

/// A guest's own files are not the host's to write, even if a link in its configuration says so.
#[test]
fn nothing_is_written_into_the_guests_tree() {
    let root = root();
    let root = root.path();
    let mut config = guest(root, &[]);
    fs::create_dir_all(root.join("tree/etc")).unwrap();
    fs::write(root.join("tree/etc/mark"), "default\n").unwrap();
    fs::remove_file(root.join("g/vdir")).unwrap();
    symlink(root.join("tree"), root.join("g/vdir")).unwrap();
    fs::create_dir_all(root.join("g/apps/init")).unwrap();
    symlink("../../vdir/etc/mark", root.join("g/apps/init/mark")).unwrap();
    config.vdir = root.join("tree");
    config.init.mark = vec!["web".to_owned()];
    let error = write(root, &config).unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if path.ends_with("apps/init/mark")), "{error}");
    assert_eq!(fs::read_to_string(root.join("tree/etc/mark")).unwrap(), "default\n");
}

#[test]
fn what_cannot_be_said_is_refused_and_nothing_has_changed() {
    let root = root();
    let root = root.path();
    fs::write(root.join(".defaults/keepfds"), "").unwrap();
    let config = guest(root, &[("nice", "5\n"), ("apps/init/style", "plain\n")]);
    let before = snapshot(root);
    let change = |edit: &dyn Fn(&mut GuestConfig)| {
        let mut wanted = GuestConfig { nice: Some(7), ..config.clone() };
        edit(&mut wanted);
        let error = write(root, &wanted).unwrap_err();
        assert_eq!(snapshot(root), before, "{error}");
        error.to_string()
    };
    assert!(change(&|wanted| wanted.keepfds = false).contains("keepfds"), "the host's file says otherwise");
    assert!(change(&|wanted| wanted.uts.nodename = Some("x".repeat(65))).contains("/g/uts/nodename:1:"));
    assert!(change(&|wanted| wanted.shell = Some("a\nb".to_owned())).contains("shell"));
    assert!(change(&|wanted| wanted.init.cmd_start = Some(vec![String::new()])).contains("init"));
    assert!(change(&|wanted| wanted.init.mark = vec!["#x".to_owned()]).contains("init"));
    assert!(change(&|wanted| wanted.nice = Some(99)).contains("nice"));
    assert!(change(&|wanted| wanted.personality = Some(0x99)).contains("personality"));
}

/// What is understood of the samples is what is written back: nothing.
#[test]
fn the_samples_are_left_to_the_byte() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
    let mut guests = 0;
    for sample in fs::read_dir(samples).unwrap().flatten().filter(|entry| entry.path().is_dir()) {
        let root = root();
        let confdir = root.path().join("etc");
        copy(&sample.path().join("etc/vservers"), &confdir);
        let before = snapshot(&confdir);
        for name in list(&confdir).unwrap() {
            let (config, _) = survey(&confdir, &name).unwrap();
            assert!(write(&confdir, &config).unwrap().is_empty(), "{name}");
            guests += 1;
        }
        assert_eq!(snapshot(&confdir), before);
    }
    assert_eq!(guests, 9);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (path, copied) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type().unwrap() {
            kind if kind.is_symlink() => symlink(fs::read_link(&path).unwrap(), copied).unwrap(),
            kind if kind.is_dir() => copy(&path, &copied),
            _ => drop(fs::copy(&path, &copied).unwrap()),
        }
    }
}
