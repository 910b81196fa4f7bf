//! Trees as hosts of those years had them, each one file in `corpus/`, and what its guest `g` comes to.
//!
//! A line of a `.tree` is `PATH = CONTENT` or `PATH -> TARGET`; `\n`, `\r` and `\t` stand for themselves, `*` after a
//! path is a program. Expectations are those of util-vserver's readers.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod compare;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use compare::missing;
use serde_json::Value;
use vserver_config::{describe, read, survey, write};

fn grow(tree: &str, confdir: &Path) {
    fs::create_dir_all(confdir.join("g")).unwrap();
    symlink("/vservers/g", confdir.join("g/vdir")).unwrap();
    for line in tree.lines() {
        if let Some((path, target)) = line.split_once(" -> ") {
            symlink(target, place(confdir, path)).unwrap();
            continue;
        }
        let (path, content) = line.split_once(" =").unwrap();
        let content = content.strip_prefix(' ').unwrap_or(content);
        let content = content.replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t");
        let file = place(confdir, path.trim_end_matches('*'));
        fs::write(&file, content).unwrap();
        let mode = if path.ends_with('*') { 0o755 } else { 0o644 };
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    }
}

fn place(confdir: &Path, path: &str) -> PathBuf {
    let path = confdir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    path
}

#[test]
fn every_tree_is_understood_as_the_original_understood_it() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut trees: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    trees.retain(|path| path.extension().is_some_and(|end| end == "tree"));
    trees.sort();
    let mut out = Vec::new();
    for tree in &trees {
        let root = tempfile::tempdir().unwrap();
        grow(&fs::read_to_string(tree).unwrap(), root.path());
        let at = tree.file_stem().unwrap().to_str().unwrap();
        let wanted: Value = serde_json::from_slice(&fs::read(tree.with_extension("json")).unwrap()).unwrap();
        match read(root.path(), &"g".parse().unwrap()) {
            Ok((config, warnings)) => missing(&wanted, &describe(root.path(), &config, &warnings), at, &mut out),
            Err(error) => out.push(format!("{at}: {error}")),
        }
    }
    assert!(out.is_empty(), "{}", out.join("\n"));
    assert!(trees.len() >= 34, "a tree is missing");
}

/// What is told of a guest that has these files.
fn told(tree: &str) -> Vec<String> {
    let root = tempfile::tempdir().unwrap();
    grow(tree, root.path());
    let findings = survey(root.path(), &"g".parse().unwrap()).unwrap().1;
    let dir = format!("{}/", root.path().join("g").display());
    findings.iter().map(|finding| finding.to_string().replace(&dir, "")).collect()
}

#[test]
fn files_from_another_system_are_told_as_such() {
    let found = told(
        "g/context = 5\\r\\n\ng/cflags = virt_mem\\r\\n\ng/uts/nodename = web\\r\\n\n\
         g/apps/init/cmd.start = /sbin/init\\r\\n",
    );
    let hint = "(end its lines with a newline alone, as dos2unix(1) does)";
    for line in ["context:1: its line ends in CR LF", "cflags:1: its line ends in CR LF"]
        .into_iter()
        .chain(["uts/nodename:1: its line ends in CR LF"])
        .chain(["apps/init/cmd.start:1: warning: the CR at its end belongs to the argument"])
    {
        assert!(found.contains(&format!("{line} {hint}")), "{line}: {found:?}");
    }
}

#[test]
fn a_value_of_an_interface_that_lost_its_say_is_told() {
    let found = told(
        "g/interfaces/prefix = 24\\n\ng/interfaces/dev = eth0\\n\ng/interfaces/0/ip = 192.0.2.1\\n\n\
         g/interfaces/0/prefix = 16",
    );
    let wanted = "interfaces/0/prefix: warning: does not end on newline, so interfaces/prefix counts as it did in the \
                  original (remove it, or end it with a newline to give it a say)";
    assert_eq!(found, [wanted]);
}

#[test]
fn what_is_written_to_an_interface_counts_where_its_own_value_did_not() {
    let root = tempfile::tempdir().unwrap();
    grow(
        "g/interfaces/prefix = 24\\n\ng/interfaces/0/ip = 192.0.2.1\\n\ng/interfaces/0/nodev =\n\
         g/interfaces/0/prefix = 16\ng/interfaces/0/bcast = 192.0.2.9",
        root.path(),
    );
    let mut config = read(root.path(), &"g".parse().unwrap()).unwrap().0;
    assert_eq!(config.interfaces[0].address.prefix, Some(24));
    config.interfaces[0].address.prefix = Some(16);
    config.bcast = Some("192.0.2.99".parse().unwrap());
    write(root.path(), &config).unwrap();
    let again = read(root.path(), &config.name).unwrap().0;
    assert_eq!(again.interfaces, config.interfaces);
    assert_eq!(fs::read_to_string(root.path().join("g/interfaces/0/prefix")).unwrap(), "16\n");
}

#[test]
fn words_of_other_programs_are_told_by_their_names_here() {
    let found = told(
        "g/uts/hostname = web\\n\ng/dlimits/0/disabled =\ng/dlimits/0/space = 1\\n\ng/interfaces/0/disabled =\n\
                      g/interfaces/0/netmask = 255.0.0.0\\n\ng/interfaces/0/perfix = 8\\n",
    );
    let pairs = [
        ("dlimits/0/space", "space_total"),
        ("interfaces/0/netmask", "mask"),
        ("interfaces/0/perfix", "prefix"),
        ("uts/hostname", "nodename"),
    ];
    assert_eq!(
        found,
        pairs.map(|(path, near)| format!("{path}: warning: nothing reads this (did you mean '{near}'?)"))
    );
}

#[test]
fn what_nothing_reads_is_told_with_what_is_read_there() {
    let found = told(
        "g/onboot = yes\\n\ng/rlimits/mem = 1\\n\ng/rlimits/rss.max = 1\\n\ng/apps/vshelper/foo =\ng/readme =\n\
         g/scripts/pre-start.d/10 -> nowhere",
    );
    for line in [
        "onboot: warning: nothing reads this (did you mean 'apps/init/mark'?)",
        "rlimits/mem: warning: nothing reads this (did you mean 'rss'?)",
        "rlimits/rss.max: warning: nothing reads this (the names here are: anon[.hard|.min|.soft] as[.hard|.min|.soft] ",
        "apps/vshelper/foo: warning: nothing reads this (the names here are: action ",
        "readme: warning: nothing reads this (docs/config.md lists what is read; remove it, or let its name end in '~')",
        "scripts/pre-start.d/10: warning: it is a link that leads nowhere, and so is not read (make it a file, or remove it)",
    ] {
        assert!(found.iter().any(|told| told.starts_with(line)), "{line}: {found:#?}");
    }
    assert_eq!(found.len(), 6, "{found:#?}");
}

#[test]
fn an_interface_that_the_kernel_would_refuse_is_told() {
    let found = told(
        "g/interfaces/dev = eth0\\n\ng/interfaces/0/ip = 192.0.2.1\\n\ng/interfaces/0/name = a.very.long.name\\n\n\
         g/interfaces/1/ip = 192.0.2.2\\n\ng/interfaces/1/peer = nobody\\n\ng/interfaces/2/ip = 0.0.0.0\\n\n\
         g/interfaces/3/ip = ff02::1\\n",
    );
    for line in [
        "interfaces/0/name:1: the label 'eth0:a.very.long.name' has more than 15 bytes (",
        "interfaces/1/peer:1: 'nobody' is not a valid address: it is neither IPv4 nor IPv6 (",
        "interfaces/2/ip:1: 0.0.0.0 is not the address of one host (",
        "interfaces/3/ip:1: ff02::1 is not the address of one host (",
    ] {
        assert!(found.iter().any(|told| told.starts_with(line)), "{line}: {found:#?}");
    }
    assert_eq!(found.len(), 4, "{found:#?}");
}

/// Each variable of a 2.4 guest has its place in the tree of today.
#[test]
fn a_guest_in_one_file_is_told_where_its_settings_go() {
    let root = tempfile::tempdir().unwrap();
    let text = "# old\nIPROOT=\"10.0.0.1 eth1:10.0.0.2\"\nIPROOTDEV=eth0\nIPROOTMASK=255.255.255.0\nONBOOT=yes\n\
                S_CONTEXT=33\nS_HOSTNAME=web\nS_NICE=5\nS_FLAGS=\"lock nproc\"\nS_CAPS=CAP_NET_RAW\nULIMIT=\"-H -u 200\"\n\
                mount --bind /a /b\n";
    fs::write(root.path().join("old.conf"), text).unwrap();
    let error = survey(root.path(), &"old".parse().unwrap()).unwrap_err().to_string();
    let lines: Vec<_> = error.lines().map(|line| line.rsplit_once("/old.conf:").unwrap().1).collect();
    assert!(lines[0].contains("guests of the 2.4 kind, one file each, are not supported"), "{error}");
    for (number, place) in [
        (2, "interfaces/0/ip"),
        (3, "interfaces/dev"),
        (4, "interfaces/mask"),
        (5, "apps/init/mark"),
        (6, "'33' to context"),
        (7, "uts/nodename"),
        (8, "'5' to nice"),
        (9, "cflags"),
        (10, "bcapabilities"),
        (11, "ulimits/nproc.hard"),
        (12, "scripts/"),
    ] {
        let told = lines.iter().find(|line| line.starts_with(&format!("{number}:")));
        assert!(told.is_some_and(|told| told.contains(place)), "{number}: {place}: {error}");
    }
}
