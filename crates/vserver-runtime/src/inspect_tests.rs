use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

/// A configuration root, guests in it, and the place of their trees.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A guest without any fault: a tree with an init, and nothing configured but its style.
    fn guest(&self, name: &str) {
        let root = self.0.path().join("trees").join(name);
        fs::create_dir_all(root.join("sbin")).unwrap();
        fs::write(root.join("sbin/init"), "").unwrap();
        fs::set_permissions(root.join("sbin/init"), fs::Permissions::from_mode(0o755)).unwrap();
        self.set(name, "apps/init/style", "plain\n");
        symlink(root, self.0.path().join("etc").join(name).join("vdir")).unwrap();
    }

    fn set(&self, name: &str, file: &str, text: &str) {
        let path = self.0.path().join("etc").join(name).join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// What is said of it, errors only, without the path of the root.
    fn faults(&self, name: &str) -> Vec<String> {
        let host = Host::new(Some(self.0.path().join("etc")));
        let mut found = inspect(&host, &name.parse().unwrap()).unwrap();
        found.retain(|finding| finding.severity == Severity::Error);
        assert!(found.iter().all(|finding| finding.hint.is_some()), "a remedy is missing: {found:#?}");
        let own = format!("{}/", self.0.path().join("etc").join(name).display());
        found.iter().map(|finding| finding.to_string().replace(&own, "")).collect()
    }
}

#[track_caller]
fn begin(lines: &[String], expected: &[&str]) {
    let fits =
        lines.len() == expected.len() && lines.iter().zip(expected).all(|(line, begun)| line.starts_with(begun));
    assert!(fits, "{lines:#?} do not begin with {expected:#?}");
}

#[test]
fn a_guest_without_faults_has_none() {
    let tree = Tree::new();
    tree.guest("web");
    assert!(tree.faults("web").is_empty());
}

/// The list, on one guest, in one run. A dangling root has no links in it: that one is the next test's.
#[test]
fn every_kind_of_fault_of_one_guest_is_found_at_once() {
    let tree = Tree::new();
    ["web", "db"].iter().for_each(|name| tree.guest(name));
    for (name, file, text) in [
        ("web", "context", "101\n"),
        ("db", "context", "101\n"),
        ("web", "apps/init/depends", "# needs\ndb\n"),
        ("db", "apps/init/depends", "web\n"),
        ("web", "rlimits/rss", "1G\n"),
        ("web", "bcapabilities", "CHOWN\nCAP_SYS_ADMN\n"),
        ("web", "cflags", "virt_memm\n"),
        ("web", "fstab", "none /tmp tmpfs defaults 0 0\n/srv /srv/data none bind 0 0\n"),
    ] {
        tree.set(name, file, text);
    }
    let root = tree.0.path().join("trees/web");
    symlink("/outside/of/it", root.join("srv")).unwrap();
    let mut expected = vec![
        "bcapabilities:2: Unknown bcap 'CAP_SYS_ADMN' (did you mean 'sys_admin'?)",
        "cflags:1: Unknown flag 'virt_memm' (did you mean 'virt_mem'?)",
        "rlimits/rss:1: Invalid limit: '1G' has the unknown suffix 'G' (a number in C notation with at most one of K, M (1024), \
         k, m (1000) right after it, or 'inf')",
        "context:1: context 101 belongs to guest 'db' already (give one of them another number)",
        "apps/init/depends:2: guests depend on each other in a circle: web -> db -> web (remove one of these lines",
        "fstab:2: the target '/srv/data' leads out of the guest's tree",
    ];
    begin(&tree.faults("web"), &expected);

    fs::remove_dir_all(&root).unwrap();
    expected[5] = "vdir: it leads to '";
    begin(&tree.faults("web"), &expected);
}

#[test]
fn every_line_of_a_file_is_looked_at() {
    let tree = Tree::new();
    tree.guest("web");
    tree.set("web", "bcapabilities", "NO_SUCH\n# fine\nCHOWN,NEITHER\nNOR_THIS\n");
    tree.set("web", "fstab", "none /proc\n\nnone /a/../.. tmpfs defaults 0 0\nx y\n");
    tree.set("web", "apps/init/depends", "nobody\nno one\n");
    tree.set("web", "apps/init/killseq", "15\nfast\n9\nslow\n");
    let faults = tree.faults("web");
    for place in [
        "bcapabilities:1:",
        "bcapabilities:3:",
        "bcapabilities:4:",
        "fstab:1:",
        "fstab:3:",
        "fstab:4:",
        "apps/init/depends:1:",
        "apps/init/depends:2:",
        "apps/init/killseq:2:",
        "apps/init/killseq:4:",
    ] {
        assert!(faults.iter().any(|fault| fault.starts_with(place)), "{place} is not in {faults:#?}");
    }
    assert_eq!(faults.len(), 10, "{faults:#?}");
}

/// A link below what an earlier line mounts is not the one that counts.
#[test]
fn what_a_mount_covers_is_not_judged_before_it_is_there() {
    let tree = Tree::new();
    tree.guest("web");
    fs::create_dir_all(tree.0.path().join("trees/web/srv")).unwrap();
    symlink("/outside", tree.0.path().join("trees/web/srv/data")).unwrap();
    let covered = "none /srv tmpfs defaults 0 0\nnone /srv/data tmpfs defaults 0 0\n";
    tree.set("web", "fstab", covered);
    assert!(tree.faults("web").is_empty());
    tree.set("web", "fstab", "none /srv/data tmpfs defaults 0 0\n");
    begin(&tree.faults("web"), &["fstab:1: the target '/srv/data' leads out"]);
}

#[test]
fn a_root_that_is_no_guests_is_a_fault() {
    let tree = Tree::new();
    tree.guest("web");
    let vdir = tree.0.path().join("etc/web/vdir");
    fs::remove_file(&vdir).unwrap();
    symlink("/", &vdir).unwrap();
    begin(&tree.faults("web"), &["vdir: "]);
}

#[test]
fn a_handler_that_cannot_be_executed_is_told() {
    let tree = Tree::new();
    tree.guest("web");
    tree.set("web", "apps/vshelper/halt", "#!/bin/sh\n");
    let host = Host::new(Some(tree.0.path().join("etc")));
    let found = inspect(&host, &"web".parse().unwrap()).unwrap();
    let lines: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].ends_with(
        "web/apps/vshelper/halt: warning: it is not executable, so it is passed over (chmod +x it, or remove it)"
    ));
}

/// What a start would refuse is not called honoured.
#[test]
fn a_value_that_is_not_understood_has_no_verdict_of_the_table() {
    let tree = Tree::new();
    tree.guest("web");
    tree.set("web", "rlimits/nproc", "many\n");
    let host = Host::new(Some(tree.0.path().join("etc")));
    let all = crate::appraise(&host, &"web".parse().unwrap()).unwrap();
    let own = all.iter().find(|one| one.setting == "rlimits/nproc").unwrap();
    assert_eq!(own.verdict, vserver_types::Verdict::Cannot);
    assert_eq!(own.how, "it is not understood: Invalid limit: 'many' is not a number");
}

#[test]
fn a_control_file_that_means_nothing_here_is_told_before_a_start() {
    let tree = Tree::new();
    tree.guest("web");
    tree.set("web", "cgroup/net_cls.classid", "1\n");
    let host = Host::new(Some(tree.0.path().join("etc")));
    let all = crate::appraise(&host, &"web".parse().unwrap()).unwrap();
    let told: Vec<_> = all.iter().filter(|one| one.setting == "cgroup/net_cls.classid").collect();
    assert_eq!((told.len(), told[0].verdict), (1, vserver_types::Verdict::Cannot), "{told:#?}");
}
