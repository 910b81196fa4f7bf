//! Real builds, their failures, and what they leave. Root only.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod bench;

use std::process::Stdio;

use bench::{Bench, again, again_with_mount, signal, spawn_blocked, wait_for};
use nix::sys::signal::Signal;
use vserver_build::{BuildRequest, Debootstrap, Error, Method, Silent, build, delete};
use vserver_config::Style;

fn run(request: &BuildRequest) -> Result<vserver_build::Built, Error> {
    build(request, &mut Silent)
}

fn debootstrap() -> Method {
    Method::Debootstrap(Debootstrap {
        suite: Some("bookworm".to_owned()),
        mirror: Some("file:/nowhere".to_owned()),
        packages: vec!["nginx".to_owned()],
        ..Debootstrap::default()
    })
}

#[test]
fn a_skeleton_is_a_guest_that_can_be_read_back_and_deleted() {
    let bench = Bench::new();
    let mut request = bench.request("web1", Method::Skeleton);
    request.guest.hostname = Some("web1.example.org".to_owned());
    let before = bench.names();
    let built = run(&request).unwrap();
    assert_eq!(built.root, bench.tree("web1").canonicalize().unwrap());
    assert_eq!(built.init_style, None);
    let (config, diagnostics) = vserver_config::read(&bench.confdir(), &request.guest.name).unwrap();
    assert_eq!(diagnostics, []);
    assert_eq!(config.uts.nodename.as_deref(), Some("web1.example.org"));
    assert_eq!(std::fs::read_to_string(built.config.join("rlimits/rss")).unwrap(), "131072\n");
    assert_eq!(std::fs::read_to_string(built.config.join("rlimits/nproc")).unwrap(), "1024\n");
    assert!(built.root.join("dev/null").exists() && built.root.join("proc").is_dir());
    std::fs::create_dir(bench.dir.join("caches/web1")).unwrap();
    delete(&bench.confdir(), &request.guest.name).unwrap();
    assert_eq!(bench.names(), before);
    assert!(matches!(delete(&bench.confdir(), &request.guest.name).unwrap_err(), Error::Config(_)));
}

#[test]
fn a_template_becomes_a_guest_with_its_own_init_and_a_clean_dev() {
    let bench = Bench::new();
    let built = run(&bench.template("web1", bench.busybox())).unwrap();
    assert_eq!(built.init_style, Some(Style::Plain));
    assert_eq!(std::fs::read_to_string(built.config.join("apps/init/style")).unwrap(), "plain\n");
    assert!(built.notes[0].contains("'dev/sda'"), "{:?}", built.notes);
    assert!(!built.root.join("dev/sda").exists() && built.root.join("dev/null").exists());
    let mut shell = std::process::Command::new("chroot");
    shell.arg(&built.root).args(["/bin/sh", "-c", "echo $((6*7))"]);
    assert_eq!(shell.output().unwrap().stdout, b"42\n");
    assert_eq!(bench.names().len(), 2, "the guest and its tree: {:?}", bench.names());
}

#[test]
fn what_is_there_is_not_touched_unless_force_moves_it_aside() {
    let bench = Bench::new();
    let request = bench.request("web1", Method::Skeleton);
    let built = run(&request).unwrap();
    std::fs::write(built.root.join("precious"), "1").unwrap();
    let message = run(&request).unwrap_err().to_string();
    let root = bench.confdir().join(".defaults/vdirbase/web1");
    let wanted = format!(
        "vserver-topdirectory '{}' and/or configuration at '{}' exist already; please try to use '--force', or remove \
         them manually.",
        root.display(),
        built.config.display()
    );
    assert_eq!(message, wanted);
    assert!(built.root.join("precious").exists());
    // A forced build that fails at its very last step puts everything back.
    let mut forced = BuildRequest { force: true, ..request.clone() };
    forced.guest.hostname = Some("x".repeat(100));
    let before = bench.names();
    assert!(matches!(run(&forced).unwrap_err(), Error::Config(_)));
    assert_eq!(bench.names(), before);
    assert!(built.root.join("precious").exists());
    run(&BuildRequest { force: true, ..request.clone() }).unwrap();
    assert!(!built.root.join("precious").exists());
    let old: Vec<_> = bench.names().into_iter().filter(|name| name.ends_with('~')).collect();
    assert_eq!(old.len(), 2, "{old:?}");
    assert!(bench.dir.join(&old[1]).join("precious").exists());
}

#[test]
fn a_tree_that_is_there_can_be_accepted_and_an_empty_one_needs_no_word() {
    let bench = Bench::new();
    let request = bench.request("web1", Method::Skeleton);
    std::fs::create_dir(bench.tree("web1")).unwrap();
    std::fs::write(bench.tree("web1").join("mine"), "1").unwrap();
    assert!(matches!(run(&request).unwrap_err(), Error::Exists { .. }));
    run(&BuildRequest { accept_root: true, ..request }).unwrap();
    assert!(bench.tree("web1").join("mine").exists() && bench.tree("web1").join("dev/null").exists());
    std::fs::create_dir(bench.tree("web2")).unwrap();
    run(&bench.request("web2", Method::Skeleton)).unwrap();
    assert_eq!(bench.names().len(), 4, "{:?}", bench.names());
}

#[test]
fn a_failed_build_leaves_nothing_unless_asked_to_keep_it() {
    let bench = Bench::new();
    let tarball = bench.busybox();
    let bytes = std::fs::read(&tarball).unwrap();
    std::fs::write(&tarball, &bytes[..bytes.len() / 2]).unwrap();
    let request = bench.template("web1", &tarball);
    let error = run(&request).unwrap_err();
    assert!(matches!(error, Error::Unpack { .. }), "{error}");
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("bin/busybox"), "{error:?}");
    assert!(bench.names().is_empty(), "{:?}", bench.names());
    assert!(run(&bench.template("web1", bench.dir.join("none.tar"))).is_err());
    assert!(bench.names().is_empty());
    let error = run(&BuildRequest { keep: true, ..request.clone() }).unwrap_err();
    let Error::Kept { path, .. } = error else { panic!("{error}") };
    // What a killed build left is removed by the next one; what was kept is not.
    std::fs::create_dir_all(bench.tree(".web1.build-4194305/root/etc")).unwrap();
    run(&request).unwrap_err();
    assert!(path.join("root/bin/busybox").exists());
    assert_eq!(bench.names().len(), 1);
}

#[test]
fn a_tree_of_two_guests_is_not_removed() {
    let bench = Bench::new();
    let request = bench.request("web1", Method::Skeleton);
    let built = run(&request).unwrap();
    run(&bench.request("web2", Method::Skeleton)).unwrap();
    let link = bench.confdir().join("web2/vdir");
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&built.root, &link).unwrap();
    assert!(matches!(delete(&bench.confdir(), &request.guest.name).unwrap_err(), Error::Shared { .. }));
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("/", &link).unwrap();
    assert!(delete(&bench.confdir(), &"web2".parse().unwrap()).is_err());
    assert!(built.root.join("dev").is_dir());
}

/// A build that waits for more of a tarball on standard input.
#[test]
fn ctrl_c_while_unpacking_leaves_nothing() {
    if let Ok(dir) = std::env::var("BUILD_UNPACK") {
        let error = run(&Bench::inherited(&dir).template("web1", "-")).unwrap_err();
        assert!(matches!(error, Error::Interrupted { signal: "SIGINT" }), "{error}");
        return;
    }
    let bench = Bench::new();
    let tarball = std::fs::read(bench.busybox()).unwrap();
    let mut command = again("ctrl_c_while_unpacking_leaves_nothing", "BUILD_UNPACK", &bench);
    let mut child = spawn_blocked(command.stdin(Stdio::piped()));
    let mut input = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, &tarball[..tarball.len() / 2]).unwrap();
    let stage = bench.tree(&format!(".web1.build-{}", child.id()));
    wait_for(&stage.join("root/bin/busybox"));
    signal(&child, Signal::SIGINT);
    assert!(child.wait().unwrap().success());
    assert!(bench.names().is_empty(), "{:?}", bench.names());
}

/// A build whose debootstrap has children that outlive it, if they can.
#[test]
fn ctrl_c_in_debootstrap_ends_all_its_processes_and_leaves_nothing() {
    const NAME: &str = "ctrl_c_in_debootstrap_ends_all_its_processes_and_leaves_nothing";
    if let Ok(dir) = std::env::var("BUILD_DEBOOTSTRAP") {
        let error = run(&Bench::inherited(&dir).request("web1", debootstrap())).unwrap_err();
        assert!(matches!(error, Error::Interrupted { signal: "SIGTERM" }), "{error}");
        return;
    }
    let bench = Bench::new();
    let bin = bench.program(
        "debootstrap",
        "#!/bin/sh\nfor w; do case $w in */root) r=$w;; esac; done\ntrap '' TERM INT HUP\n\
         (trap '' TERM INT HUP; while :; do date >>$r/$$; mkdir -p $r/a/b; sleep 0.01; done) &\n\
         echo I: Working; touch $r/started; sleep 98765\n",
    );
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut child = spawn_blocked(again(NAME, "BUILD_DEBOOTSTRAP", &bench).env("PATH", path));
    wait_for(&bench.tree(&format!(".web1.build-{}", child.id())).join("root/started"));
    signal(&child, Signal::SIGTERM);
    assert!(child.wait().unwrap().success());
    assert!(bench.names().is_empty(), "{:?}", bench.names());
    let left = std::process::Command::new("pgrep").args(["-fx", "sleep 98765"]).output().unwrap();
    assert!(left.stdout.is_empty(), "{left:?}");
}

#[test]
fn a_failing_debootstrap_is_a_failing_build_and_its_last_words_are_shown() {
    const NAME: &str = "a_failing_debootstrap_is_a_failing_build_and_its_last_words_are_shown";
    if let Ok(dir) = std::env::var("BUILD_FAILING") {
        let error = run(&Bench::inherited(&dir).request("web1", debootstrap())).unwrap_err();
        let Error::Program { program: "debootstrap", tail, .. } = error else { panic!("{error}") };
        assert!(
            tail[0].starts_with("--include=nginx --cache-dir=") && tail[0].ends_with("file:/nowhere"),
            "{tail:?}"
        );
        assert_eq!(tail[1], "E: It broke");
        return;
    }
    let bench = Bench::new();
    let bin = bench.program("debootstrap", "#!/bin/sh\necho \"$@\"; echo \"E: It broke\" >&2; exit 1\n");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    assert!(again(NAME, "BUILD_FAILING", &bench).env("PATH", path).status().unwrap().success());
    assert!(bench.names().is_empty(), "{:?}", bench.names());
}

#[test]
fn a_full_disk_is_called_by_its_name() {
    if let Ok(dir) = std::env::var("BUILD_FULL") {
        let bench = Bench::inherited(&dir);
        let error = run(&bench.template("web1", bench.dir.join("busybox.tar.gz"))).unwrap_err();
        let Error::DiskFull { filesystem, .. } = &error else { panic!("{error}") };
        assert_eq!(filesystem, &bench.dir.join("trees").canonicalize().unwrap());
        assert!(bench.names().is_empty(), "{:?}", bench.names());
        return;
    }
    let bench = Bench::new();
    bench.busybox();
    let mount = "mount -t tmpfs -o size=256k tmpfs \"$B/trees\"";
    let mut command = again_with_mount("a_full_disk_is_called_by_its_name", "BUILD_FULL", &bench, mount);
    assert!(command.status().unwrap().success());
    assert!(bench.names().is_empty(), "{:?}", bench.names());
}

/// R05.
#[test]
fn a_guest_with_something_mounted_in_its_tree_is_not_deleted() {
    const NAME: &str = "a_guest_with_something_mounted_in_its_tree_is_not_deleted";
    if let Ok(dir) = std::env::var("BUILD_MOUNTED") {
        let bench = Bench::inherited(&dir);
        let error = delete(&bench.confdir(), &"web1".parse().unwrap()).unwrap_err().to_string();
        assert!(error.contains("trees/web1/etc"), "{error}");
        return;
    }
    let bench = Bench::new();
    let built = run(&bench.request("web1", Method::Skeleton)).unwrap();
    let mount = "mkdir \"$B/canary\"; touch \"$B/canary/f\"; mount --bind \"$B/canary\" \"$B/trees/web1/etc\"";
    assert!(again_with_mount(NAME, "BUILD_MOUNTED", &bench, mount).status().unwrap().success());
    assert!(bench.dir.join("canary/f").exists() && built.root.join("dev").exists() && built.config.exists());
}
