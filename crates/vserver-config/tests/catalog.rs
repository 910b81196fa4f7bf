//! The table of settings is complete, its tests exist, what it says cannot be is told at start, and `docs/config.md` is made
//! from it (`UPDATE_DOCS=1` writes it).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use vserver_config::catalog::{Kind, Reach, Setting, Told, Tree, found, groups, lookup, settings, strays_of_host};
use vserver_config::survey;
use vserver_types::Verdict;

const TREES: [(Tree, &str); 4] =
    [(Tree::Guest, "guest"), (Tree::Defaults, "defaults"), (Tree::Distribution, "distribution"), (Tree::Top, "top")];

const HEAD: &str = include_str!("data/config-head.md");

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The paths of the list, each with its tree.
fn list() -> Vec<(Tree, &'static str)> {
    let lines = include_str!("data/paths.txt").lines().filter(|line| !line.starts_with('#'));
    let entry = |line: &'static str| {
        let (word, path) = line.split_once(' ').expect("a tree and a path");
        let tree = TREES.iter().find(|(_, name)| *name == word).expect("the name of a tree");
        (tree.0, path)
    };
    lines.map(entry).collect()
}

#[test]
fn every_path_of_the_tree_has_an_entry() {
    for (tree, path) in list() {
        assert!(lookup(tree, path).is_some(), "{tree:?} {path}");
    }
}

/// What is ours alone, and the directories that hold the paths of the list.
const BEYOND: [&str; 11] = [
    "userns",
    "disk/image",
    "sched/hz",
    "dlimits",
    "apps/vdevmap",
    "cgroup/{mnt,subsys,inherit,base,per-ss}",
    "<guest>",
    "<guest>.conf",
    ".defaults",
    ".distributions",
    "{zypp.repos.d,apk,pacman}",
];

#[test]
fn every_entry_is_of_the_tree_and_every_path_has_one_entry_only() {
    for (tree, _) in TREES {
        let listed: BTreeSet<&str> = list().into_iter().filter(|(of, _)| *of == tree).map(|(_, path)| path).collect();
        let mut seen = BTreeSet::new();
        for setting in settings(tree) {
            assert!(!setting.how.is_empty(), "{}", setting.path);
            for path in setting.examples() {
                assert!(seen.insert(path.clone()), "{tree:?}: {path} has two entries");
                let entry = lookup(tree, &path).expect("an entry");
                assert_eq!(entry.path, setting.path, "{tree:?} {path}");
                let known = listed.iter().any(|listed| lookup(tree, listed).unwrap().path == setting.path);
                assert!(known || BEYOND.contains(&setting.path), "{tree:?} {path} is not in the list");
            }
        }
    }
}

#[test]
fn what_holds_has_a_test_and_every_test_is_there() {
    let root = sources(&repository().join("tests/root/src"));
    for setting in TREES.iter().flat_map(|(tree, _)| settings(*tree)) {
        assert!(setting.verdict == Verdict::Cannot || !setting.test.is_empty(), "{} has no test", setting.path);
        match setting.test.split_once("::") {
            None => assert!(setting.test.is_empty(), "{}", setting.test),
            Some((crate_name, test)) if crate_name.starts_with("vserver-") => {
                let text = sources(&repository().join("crates").join(crate_name));
                let is_there = text.contains(&format!("fn {test}()"));
                assert!(is_there, "{}: no test {}", setting.path, setting.test);
            }
            Some(_) => {
                let is_there = root.contains(&format!("\"{}\"", setting.test));
                assert!(is_there, "{}: no test {}", setting.path, setting.test);
            }
        }
    }
}

/// A limit holds inside or it does not: what reads its file is no witness.
#[test]
fn what_holds_of_limits_is_seen_in_a_guest() {
    const LIMITS: [&str; 7] = ["rlimits/", "ulimits/", "sched", "cpuset/", "nice", "ionice/", "badness"];
    let is_limit = |path: &str| LIMITS.iter().chain(&["dlimits/"]).any(|limit| path.starts_with(limit));
    let limits = settings(Tree::Guest).filter(|setting| is_limit(setting.path));
    let mut seen = 0;
    for setting in limits.filter(|setting| setting.verdict != Verdict::Cannot) {
        assert!(!setting.test.starts_with("vserver-"), "{}: {} is no root test", setting.path, setting.test);
        seen += 1;
    }
    assert!(seen > 15, "{seen}");
}

/// All Rust below a directory, as text.
fn sources(dir: &Path) -> String {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let text = |path: PathBuf| match path.is_dir() {
        true => sources(&path),
        false if path.extension().is_some_and(|end| end == "rs") => fs::read_to_string(path).unwrap(),
        false => String::new(),
    };
    entries.map(text).collect()
}

fn put(dir: &Path, path: &str, kind: Kind) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    match kind {
        // The guest's own link is there already.
        Kind::Link if path.is_symlink() => {}
        Kind::Directory => fs::create_dir_all(path).unwrap(),
        Kind::Group => {
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("x"), "").unwrap();
        }
        _ => fs::write(path, "\n").unwrap(),
    }
}

/// A configuration root with the guest `g` that leads to its own tree.
fn tree() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("g")).unwrap();
    symlink("/nowhere/g", root.path().join("g/vdir")).unwrap();
    root
}

/// Whatever the table says cannot be, in any guest or in `.defaults/`, is told when a guest starts with it.
#[test]
fn what_cannot_be_is_named() {
    for (tree_of, dir, before) in [(Tree::Guest, "g", ""), (Tree::Defaults, ".defaults", ".defaults/")] {
        let told = |setting: &&Setting| {
            let reaches = tree_of == Tree::Guest || matches!(setting.reach, Reach::Guests(_));
            setting.told == Told::ByBeingThere && reaches && setting.path != "legacy"
        };
        for setting in settings(tree_of).filter(told) {
            for path in setting.examples() {
                let root = tree();
                put(&root.path().join(dir), &path, setting.kind);
                let (config, _) = survey(root.path(), &"g".parse().unwrap()).unwrap();
                let named = config.unapplied.iter().any(|one| format!("{before}{path}").starts_with(&one.setting));
                assert_eq!(named, setting.verdict == Verdict::Cannot, "{before}{path}: {:?}", config.unapplied);
            }
        }
    }
}

/// A guest's own file hides the host's where the table says so, and nothing else does.
#[test]
fn what_the_guest_has_hides_what_the_host_has() {
    for setting in settings(Tree::Defaults) {
        let Reach::Guests(hidden_by) = setting.reach else { continue };
        for path in setting.examples() {
            let root = tree();
            put(&root.path().join(".defaults"), &path, setting.kind);
            let shared = |root: &Path| {
                let all = found(root, &root.join("g"));
                all.iter().any(|one| one.path == format!(".defaults/{path}"))
            };
            assert!(shared(root.path()), "{path}");
            put(&root.path().join("g"), "name", Kind::Scalar);
            assert!(shared(root.path()), "{path}");
            if setting.kind == Kind::Program {
                put(&root.path().join("g"), &path, Kind::Program);
                assert!(!shared(root.path()), "{path} in spite of the guest's own");
            }
            for hiding in hidden_by {
                let root = tree();
                put(&root.path().join(".defaults"), &path, setting.kind);
                put(&root.path().join("g"), hiding, Kind::Flag);
                assert!(!shared(root.path()), "{path} in spite of {hiding}");
            }
        }
    }
}

#[test]
fn a_slip_is_told_with_the_nearest_name_at_every_depth() {
    let root = tree();
    let dir = root.path().join("g");
    for (path, hint) in [
        ("contxt", "context"),
        ("apps/vshelpr", "vshelper"),
        ("apps/vshelper/sync-timeuot", "sync-timeout"),
        ("apps/vdevmap/x/opne", "open"),
        ("netns/interfaces/0/hots", "host"),
        ("dlimits/0/space-total", "space_total"),
        ("interfaces/0/prefx", "prefix"),
        ("sched/cpu0/fillrate", "fill-rate"),
        ("sysctl/0/setings", "setting"),
        ("scripts/pre-strat", "pre-start"),
        ("rlimits/nproc.hrad", "nproc.hard"),
        ("killseq", "apps/init/killseq"),
    ] {
        put(&dir, path, Kind::Scalar);
        let (_, warnings) = survey(root.path(), &"g".parse().unwrap()).unwrap();
        let at = dir.join(path);
        let said = warnings.iter().find(|one| one.path == at && one.message == "nothing reads this");
        assert_eq!(said.unwrap_or_else(|| panic!("{path}")).hint, Some(format!("did you mean '{hint}'?")));
        fs::remove_dir_all(&dir).unwrap();
        fs::create_dir(&dir).unwrap();
        symlink("/nowhere/g", dir.join("vdir")).unwrap();
    }
}

#[test]
fn slips_in_the_hosts_part_are_told_too() {
    let root = tree();
    for (path, hint) in [
        (".defaults/shel", "shell"),
        (".defaults/apps/init/enviroment", "environment"),
        (".defaults/cgroup/nam/x", "name"),
        (".distributions/bookworm/debootstrap.miror", "debootstrap.mirror"),
    ] {
        put(root.path(), path, Kind::Scalar);
        let all = strays_of_host(root.path());
        let at = root.path().join(path.trim_end_matches("/x"));
        let said = all.iter().find(|one| one.path == at).unwrap_or_else(|| panic!("{path}: {all:?}"));
        assert_eq!(said.hint, Some(format!("did you mean '{hint}'?")), "{path}");
    }
    put(root.path(), "README", Kind::Scalar);
    let last = strays_of_host(root.path()).into_iter().find(|one| one.path == root.path().join("README")).unwrap();
    assert_eq!(
        last.to_string(),
        format!("{}/README: warning: nothing reads this (it is known as a directory only)", root.path().display())
    );
    let fine = tree();
    for (tree_of, dir) in [(Tree::Defaults, ".defaults"), (Tree::Distribution, ".distributions/x")] {
        for setting in settings(tree_of) {
            setting.examples().iter().for_each(|path| put(&fine.path().join(dir), path, setting.kind));
        }
    }
    assert_eq!(strays_of_host(fine.path()), []);
}

/// One table for each group.
fn page() -> String {
    let mut page = HEAD.to_owned();
    let chapters = [
        (Tree::Guest, "# A guest's directory: `/etc/vservers/NAME/`"),
        (Tree::Defaults, "# All guests: `/etc/vservers/.defaults/`"),
        (Tree::Distribution, "# Distributions: `/etc/vservers/.distributions/NAME/`"),
        (Tree::Top, "# The root: `/etc/vservers/`"),
    ];
    for (tree, chapter) in chapters {
        page.push_str(&format!("\n#{chapter}\n"));
        for group in groups(tree) {
            page.push_str(&format!("\n### {}\n\n", group.title));
            page.push_str(
                "| path | holds | in `.defaults/` | verdict | how, or why not | test |\n|---|---|---|---|---|---|\n",
            );
            group.settings.iter().for_each(|setting| page.push_str(&row(tree, setting)));
        }
    }
    page
}

fn row(tree: Tree, setting: &Setting) -> String {
    let code = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
    let shared = match tree {
        Tree::Guest => code(host_setting(setting).unwrap_or_default()),
        Tree::Defaults if matches!(setting.reach, Reach::Guests(_)) => "reaches guests".to_owned(),
        _ => String::new(),
    };
    let Setting { path, kind, verdict, how, test, .. } = setting;
    format!("| `{path}` | {kind} | {shared} | {verdict} | {how} | {} |\n", code(test))
}

/// The path of `.defaults/` that counts where the guest has none of its own.
fn host_setting(setting: &Setting) -> Option<&'static str> {
    let own = setting.examples();
    let mut shared = settings(Tree::Defaults).filter(|host| match host.reach {
        Reach::Host => false,
        Reach::Guests(hidden_by) => {
            let same = host.examples().iter().any(|path| own.contains(path));
            same || hidden_by.iter().any(|path| own.iter().any(|own| own == path)) && host.path.ends_with("mtab")
        }
    });
    shared.next().map(|host| host.path)
}

#[test]
fn the_page_is_made_from_the_table() {
    let path = repository().join("docs/config.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, page()).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page(),
        "docs/config.md is not what the table says: run it with UPDATE_DOCS=1 and look at the difference"
    );
}
