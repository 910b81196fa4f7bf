//! The cache of built trees: first filled, then cloned, checked, refreshed, carried to another host.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::fixture::Fixture;
use crate::needs::Need;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("templates::a_second_debian_is_cloned", a_second_debian_is_cloned)
            .needs(Need::Tool("debootstrap"))
            .needs(Need::Mirror)
            .on_host_network()
            .within(1200),
    ]
}

/// Where each run of debootstrap leaves a line: a program of that name that is found first.
struct Count {
    path: OsString,
    lines: PathBuf,
}

impl Count {
    fn new(host: &Fixture) -> Self {
        let dir = host.scratch("count");
        let (lines, program) = (dir.join("lines"), dir.join("debootstrap"));
        let own = std::env::var_os("PATH").unwrap();
        let find = |dir: PathBuf| Some(dir.join("debootstrap")).filter(|program| program.is_file());
        let real = std::env::split_paths(&own).find_map(find).unwrap();
        let script = format!("#!/bin/sh\necho run >>{}\nexec {} \"$@\"\n", lines.display(), real.display());
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let path = std::env::join_paths([dir].into_iter().chain(std::env::split_paths(&own))).unwrap();
        Self { path, lines }
    }

    fn runs(&self) -> usize {
        fs::read_to_string(&self.lines).unwrap_or_default().lines().count()
    }
}

/// Builds a guest of minbase, and says where its tree is.
fn build(host: &Fixture, count: &Count, more: &[&str]) -> (String, PathBuf) {
    let (name, xid) = host.fresh();
    let context = xid.to_string();
    let method = ["-m", "debootstrap", "--", "-d", "bookworm", "--", "--variant=minbase", "--include=openssh-server"];
    let words = [&[name.as_str(), "build", "--context", &context], more, &method].concat();
    let ran = host.command("vserver").args(words).env("PATH", &count.path).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let root = host.trees().join(&name);
    (name, root)
}

fn list(host: &Fixture) -> serde_json::Value {
    let listed = host.tool("vserver-template", &["list", "--json"]);
    serde_json::from_str(&listed.ok().out).unwrap()
}

fn a_second_debian_is_cloned() {
    let host = Fixture::new();
    let count = Count::new(&host);
    let (one, root) = build(&host, &count, &[]);
    assert_eq!(count.runs(), 1);
    let all = list(&host);
    assert_eq!((&all[0]["suite"], &all[0]["whole"]), (&"bookworm".into(), &true.into()));
    let name = all[0]["name"].as_str().unwrap().to_owned();
    let kept = host.trees().join(".templates").join(&name).join("root");
    let sources = fs::read_to_string(kept.join("etc/apt/sources.list")).unwrap_or_default();
    assert!(!sources.contains("bookworm-updates"), "what a guest gets is not in it: {sources}");
    let (two, clone) = build(&host, &count, &["--hostname", "two.example", "--initstyle", "plain"]);
    assert_eq!(count.runs(), 1, "the second build installs nothing");
    assert_eq!(list(&host)[0]["whole"], true, "a further name breaks no seal");
    assert_eq!(fs::read_to_string(clone.join("etc/hostname")).unwrap(), "two.example\n");
    assert_eq!(fs::read(root.join("bin/bash")).unwrap(), fs::read(clone.join("bin/bash")).unwrap());
    keys_of_its_own([&kept, &root, &clone]);
    one_inode_for_what_is_shared(&root, &kept, &clone);
    a_running_one_changes_only_its_own(&host, &two, &[&kept, &root]);
    host.v(&["--silent", &two, "delete"]).ok();
    assert_eq!(list(&host)[0]["whole"], true);
    an_initpost_gets_a_tree_of_its_own(&host, &count, &kept);
    a_changed_one_is_not_used(&host, &count, &name);
    carried(&host, &name);
    host.v(&["--silent", &one, "delete"]).ok();
}

/// Whoever is root in one guest cannot answer for another one.
fn keys_of_its_own(trees: [&Path; 3]) {
    for kind in ["rsa", "ecdsa", "ed25519"] {
        for half in ["", ".pub"] {
            let name = format!("etc/ssh/ssh_host_{kind}_key{half}");
            let [kept, first, clone] = trees.map(|tree| fs::read_to_string(tree.join(&name)).unwrap());
            assert!(kept != first && first != clone && clone != kept, "{name}");
        }
    }
}

fn inode(path: &Path) -> u64 {
    path.symlink_metadata().unwrap().ino()
}

/// What guests share is not copied, what tools of the host write to is; the first guest has nobody to share with.
fn one_inode_for_what_is_shared(first: &Path, kept: &Path, clone: &Path) {
    for (name, shared) in [("usr/bin/bash", true), ("usr/lib/os-release", true), ("etc/passwd", false)] {
        assert_eq!(inode(&kept.join(name)) == inode(&clone.join(name)), shared, "{name}");
        assert_ne!(inode(&kept.join(name)), inode(&first.join(name)), "{name}");
    }
}

fn a_running_one_changes_only_its_own(host: &Fixture, guest: &str, others: &[&Path]) {
    let init = host.confdir().join(guest).join("apps/init");
    fs::create_dir_all(&init).unwrap();
    fs::write(init.join("cmd.start"), "/bin/sleep\n1000\n").unwrap();
    let state = |tree: &Path| {
        let found = tree.join("usr/bin/bash").metadata().unwrap();
        (found.len(), found.mode(), found.uid(), fs::read(tree.join("usr/lib/os-release")).unwrap())
    };
    let before: Vec<_> = others.iter().map(|tree| state(tree)).collect();
    host.v(&[guest, "start"]).ok();
    let script = "set -e; echo more >>/usr/lib/os-release; chmod 700 /usr/bin/bash; chown 33 /usr/bin/bash; \
                  echo more >>/usr/bin/bash; rm /usr/bin/perl";
    host.v(&[guest, "exec", "sh", "-c", script]).ok();
    host.v(&[guest, "stop"]).ok();
    let own = state(&host.trees().join(guest));
    assert!(own.3.ends_with(b"more\n") && own.1 & 0o7777 == 0o700 && own.2 == 33, "{:o} {}", own.1, own.2);
    assert_eq!(others.iter().map(|tree| state(tree)).collect::<Vec<_>>(), before);
    assert!(others.iter().all(|tree| tree.join("usr/bin/perl").exists()));
}

/// It may write into any file, as the host's root.
fn an_initpost_gets_a_tree_of_its_own(host: &Fixture, count: &Count, kept: &Path) {
    let dir = host.confdir().join(".distributions/bookworm");
    fs::create_dir_all(&dir).unwrap();
    let program = dir.join("initpost");
    fs::write(&program, "#!/bin/sh\necho more >>\"$1/vdir/usr/lib/os-release\"\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let before = fs::read(kept.join("usr/lib/os-release")).unwrap();
    let (guest, root) = build(host, count, &[]);
    fs::remove_file(&program).unwrap();
    assert_eq!(count.runs(), 1);
    assert!(fs::read(root.join("usr/lib/os-release")).unwrap().ends_with(b"more\n"));
    assert_eq!(fs::read(kept.join("usr/lib/os-release")).unwrap(), before);
    host.v(&["--silent", &guest, "delete"]).ok();
}

fn a_changed_one_is_not_used(host: &Fixture, count: &Count, name: &str) {
    let file = host.trees().join(".templates").join(name).join("root/etc/issue");
    fs::write(&file, "changed\n").unwrap();
    assert_eq!(list(host)[0]["whole"], false);
    host.tool("vserver-template", &["export", name, "-"]).exits(1).says("somebody has changed it");
    let (guest, root) = build(host, count, &[]);
    assert_eq!(count.runs(), 2);
    assert_ne!(fs::read_to_string(root.join("etc/issue")).unwrap(), "changed\n");
    assert_eq!(list(host)[0]["whole"], true, "the build has made it anew");
    host.v(&["--silent", &guest, "delete"]).ok();
}

fn carried(host: &Fixture, name: &str) {
    let file = host.scratch("carried").join("template.tar.zst");
    let word = file.to_str().unwrap();
    host.tool("vserver-template", &["export", name, word]).ok();
    host.tool("vserver-template", &["import", word]).exits(1).says("already");
    host.tool("vserver-template", &["delete", name]).ok();
    assert_eq!(list(host), serde_json::json!([]));
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    host.tool("vserver-template", &["import", word]).exits(1);
    assert_eq!(list(host), serde_json::json!([]));
    fs::write(&file, &whole).unwrap();
    host.tool("vserver-template", &["import", word]).ok();
    assert_eq!(list(host)[0]["whole"], true);
    let left: Vec<_> =
        fs::read_dir(host.trees().join(".templates")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{left:?}");
    host.tool("vserver-template", &["delete", "none"]).exits(1).says("vserver-template list");
    host.tool("vserver-template", &["refresh", "--older-than", "5"]).ok();
    host.tool("vserver-template", &["list"]).ok().says(name);
}
