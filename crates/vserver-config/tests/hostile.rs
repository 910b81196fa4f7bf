//! No content of any file makes a reader panic; a tree that is accepted can also be described.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use proptest::prelude::*;
use vserver_config::{Boot, Error, Severity, describe, mounts, read};

/// One file for each kind of reader, and for each place that reads in a way of its own.
const FILES: [&str; 49] = [
    "name",
    "context",
    "ncontext",
    "tag",
    "shell",
    "userns",
    "apparmor",
    "bcapabilities",
    "ccapabilities",
    "ncapabilities",
    "cflags",
    "nflags",
    "umask",
    "personality",
    "badness",
    "nice",
    "schedule",
    "ionice/class",
    "ionice/priority",
    "rlimits/rss",
    "rlimits/nproc.hard",
    "ulimits/nofile",
    "sched/fill-rate",
    "sched/cpu1/interval",
    "cpuset/name",
    "cpuset/cpus",
    "cgroup/memory.limit_in_bytes",
    "uts/nodename",
    "fstab",
    "fstab.remote",
    "namespace-cleanup-skip",
    "sysctl/0/setting",
    "sysctl/0/value",
    "interfaces/bcast",
    "interfaces/mask",
    "interfaces/0/ip",
    "interfaces/0/dev",
    "interfaces/0/prefix",
    "netns/interfaces/0/host",
    "spaces/pid",
    "dlimits/0/space_total",
    "apps/vdevmap/0/device",
    "apps/vdevmap/0/flags",
    "apps/vunify/hash/method",
    "apps/init/style",
    "apps/init/killseq",
    "apps/init/environment",
    "apps/init/depends",
    "apps/vshelper/sync-timeout",
];

/// Bytes as such, and text that comes nearer to what the readers expect.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let words = "(inf|-1|0x7fffffffffffffff|18446744073709551615|[0-9]{1,20}[KMkm]?|[~!^]{0,3}[a-zA-Z_]{0,8}|/|\\.\\.|none|\
                 255\\.255\\.0\\.255|192\\.0\\.2\\.1/33|2001:db8::1|\\\\|#|,|=|:|é)";
    let text = prop::collection::vec(words, 0..12);
    let joint = prop::sample::select(vec![" ", "\n", "\t", ",", ""]);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        (text, joint, any::<bool>()).prop_map(|(words, joint, end)| {
            let end = if end { "\n" } else { "" };
            format!("{}{end}", words.join(joint)).into_bytes()
        }),
    ]
}

fn put(root: &Path, file: &str, bytes: &[u8]) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_content_makes_a_reader_panic(files in prop::collection::vec((0..FILES.len(), content()), 1..6)) {
        let tree = tempfile::tempdir().unwrap();
        let (confdir, name) = (tree.path(), "web1".parse().unwrap());
        let dir = confdir.join("web1");
        fs::create_dir(&dir).unwrap();
        symlink("/nowhere", dir.join("vdir")).unwrap();
        for (index, bytes) in &files {
            put(&dir, FILES[*index], bytes);
        }
        match read(confdir, &name) {
            Ok((config, warnings)) => {
                let _ = (config.limits(2, config.hz), config.process_limits());
                let described = describe(confdir, &config, &warnings);
                prop_assert_eq!(&described["guest"], "web1");
            }
            // Every refusal names a file, a reason and a remedy.
            Err(Error::Invalid { diagnostics }) => {
                prop_assert!(diagnostics.iter().all(|fault| fault.path.starts_with(confdir) && !fault.message.is_empty()));
                let bare = diagnostics.iter().find(|fault| fault.severity == Severity::Error && fault.hint.is_none());
                prop_assert!(bare.is_none(), "{:?} has no remedy", bare);
            }
            Err(error) => prop_assert!(false, "{}", error),
        }
        for entry in mounts(confdir, &name) {
            let _ = entry.mount_options();
        }
        let _ = Boot::read(confdir).unwrap().faults_of(confdir, &name);
    }
}

/// `commands.md` §12: a guest of the 2.4 kind is one file; each of its lines is told, with what replaces it.
#[test]
fn a_guest_that_is_one_file_is_told_line_by_line() {
    let tree = tempfile::tempdir().unwrap();
    let text = "# old\nIPROOT=\"eth0:192.0.2.1/255.255.255.0 192.0.2.2\"\nONBOOT=yes\nS_CONTEXT=7 # fixed\n\
                export S_FLAGS='lock nproc'\nULIMIT=\"-H -u 256 -n 1024 -S -s 8192\"\nFAVOURITE=x\nif true; then\n";
    put(tree.path(), "old.conf", text.as_bytes());
    let Err(Error::Invalid { diagnostics }) = read(tree.path(), &"old".parse().unwrap()) else {
        panic!("it was read");
    };
    let prefix = format!("{}/", tree.path().display());
    let said: Vec<String> = diagnostics.iter().map(|found| found.to_string().replace(&prefix, "")).collect();
    let first = "old.conf: guests of the 2.4 kind, one file each, are not supported (make the directory";
    assert!(said[0].starts_with(first), "{}", said[0]);
    assert_eq!(
        said[1..],
        [
            "old.conf:2: warning: IPROOT is not read (write '192.0.2.1' to interfaces/0/ip, 'eth0' to interfaces/0/dev, \
             '255.255.255.0' to interfaces/0/mask, '192.0.2.2' to interfaces/1/ip)",
            "old.conf:3: warning: ONBOOT is not read (write 'default' to apps/init/mark)",
            "old.conf:4: warning: S_CONTEXT is not read (write '7' to context)",
            "old.conf:5: warning: S_FLAGS is not read (write 'lock' and 'nproc' to cflags, each on a line)",
            "old.conf:6: warning: ULIMIT is not read (write '256' to ulimits/nproc.hard, '1024' to ulimits/nofile.hard, \
             '8192' and a 'K' behind it to ulimits/stack.soft)",
            "old.conf:7: warning: FAVOURITE is not read (nothing replaces it; it was never read by the tools)",
            "old.conf:8: warning: it is no variable (what it does belongs into a file in scripts/)",
        ]
    );
}

proptest! {
    #[test]
    fn no_old_file_makes_a_panic(bytes in content(), name in "(IPROOT|ULIMIT|S_FLAGS|x)=[\"']?") {
        let tree = tempfile::tempdir().unwrap();
        put(tree.path(), "old.conf", &[name.as_bytes(), &bytes].concat());
        prop_assert!(read(tree.path(), &"old".parse().unwrap()).is_err());
    }
}
