//! build: skeleton, and template from every kind of tarball; the configuration that it writes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use crate::fixture::Fixture;
use crate::needs::Need;
use crate::tree;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("build::skeleton_writes_the_configuration", skeleton_writes_the_configuration),
        Trial::new("build::a_place_for_package_data", a_place_for_package_data),
        Trial::new("build::template_of_every_compression", template_of_every_compression)
            .needs(Need::Tool("xz"))
            .needs(Need::Tool("zstd"))
            .needs(Need::Tool("bzip2"))
            .smoke(),
        Trial::new("build::template_that_dump_made", template_that_dump_made)
            .needs(Need::Tool("dump"))
            .needs(Need::Tool("mke2fs")),
        Trial::new("build::template_from_standard_input", template_from_standard_input),
        Trial::new("build::broken_template_leaves_nothing", broken_template_leaves_nothing),
        Trial::new("build::force_keeps_what_was_there", force_keeps_what_was_there),
    ]
}

/// compat/commands.md §4: `--pkgbase`. The host's tools put their data there, and it goes with the guest.
fn a_place_for_package_data() {
    let host = Fixture::new();
    let (name, xid) = host.fresh();
    let (base, cfg) = (host.scratch("pkg"), host.confdir().join(&name));
    let context = xid.to_string();
    let words =
        [name.as_str(), "build", "-m", "skeleton", "--context", &context, "--pkgbase", base.to_str().unwrap()];
    host.v(&words).ok();
    assert_eq!(fs::read_link(cfg.join("apps/pkgmgmt/base")).unwrap(), base.join(&name));
    assert!(base.join(&name).is_dir() && cfg.join("apps/pkgmgmt/internal").exists());
    host.v(&[name.as_str(), "pkgmgmt", "is-internal"]).ok();
    tree::write(&cfg, "apps/pkgmgmt/style", "debian\n", 0o644);
    host.v(&[name.as_str(), "pkgmgmt", "externalize"]).ok();
    assert!(base.join(&name).join("apt/etc").is_dir());
    assert!(!host.trees().join(".pkg").exists(), "it went to the place of all guests");
    host.v(&["--silent", name.as_str(), "delete"]).ok();
    assert!(!base.join(&name).exists() && base.is_dir() && !cfg.exists());
}

/// compat/commands.md §4 and behaviours.md §7.1.
fn skeleton_writes_the_configuration() {
    let host = Fixture::new();
    let (name, xid) = host.fresh();
    let context = xid.to_string();
    let options =
        ["--hostname", "one.example", "--interface", "nodev:127.0.9.1/8", "--interface", "a=lo:10.9.8.7/255.255.0.0"];
    let more = ["--flags", "sched_hard,virt_mem", "--initstyle", "sysv", "--cpuset", "one", "--cpusetcpus", "0:1"];
    let words =
        [&[name.as_str(), "build", "-m", "skeleton", "--context", &context], &options[..], &more[..]].concat();
    host.v(&words).ok();
    let cfg = host.confdir().join(&name);
    let expected = [
        ("context", format!("{xid}\n")),
        ("uts/nodename", "one.example\n".into()),
        ("interfaces/0/ip", "127.0.9.1\n".into()),
        ("interfaces/0/prefix", "8\n".into()),
        ("interfaces/1/name", "a\n".into()),
        ("interfaces/1/dev", "lo\n".into()),
        ("interfaces/1/mask", "255.255.0.0\n".into()),
        ("cflags", "sched_hard\nvirt_mem\n".into()),
        ("apps/init/style", "sysv\n".into()),
        ("cpuset/cpus", "0\n".into()),
    ];
    for (file, content) in expected {
        assert_eq!(fs::read_to_string(cfg.join(file)).unwrap_or_default(), content, "{file}");
    }
    assert!(cfg.join("interfaces/0/nodev").exists() && !cfg.join("apps/init/mark").exists());
    assert_eq!(fs::read_link(cfg.join("run")).unwrap(), PathBuf::from(format!("/var/run/vservers/{name}")));
    let root = cfg.join("vdir").canonicalize().unwrap();
    assert!(root.join("dev/null").exists() && root.join("proc").is_dir() && root.join("etc").is_dir());
    host.v(&["--silent", &name, "delete"]).ok();
    assert_eq!(fs::read_dir(host.trees()).unwrap().count(), 0);
}

/// A busybox tree as an archive; `suffix` picks the kind and the compression.
fn tarball(host: &Fixture, suffix: &str) -> PathBuf {
    let dir = host.scratch("tarballs");
    let root = dir.join("root");
    if !root.exists() {
        tree::busybox(&root);
        fs::hard_link(root.join("etc/passwd"), root.join("etc/passwd-")).unwrap();
    }
    if suffix == ".cpio" {
        let line = format!("cd {} && find . | busybox cpio -o -H newc >../tree.cpio", root.display());
        assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
        return dir.join("tree.cpio");
    }
    let file = dir.join(format!("busybox.tar{suffix}"));
    let packed = Command::new("tar").arg("-caf").arg(&file).arg("-C").arg(&root).arg(".").status().unwrap();
    assert!(packed.success());
    file
}

fn template_of_every_compression() {
    let host = Fixture::new();
    for suffix in ["", ".gz", ".xz", ".bz2", ".zst", ".cpio"] {
        let (name, xid) = host.fresh();
        let (file, context) = (tarball(&host, suffix), xid.to_string());
        let words = [&name, "build", "-m", "template", "--context", &context, "--initstyle", "plain", "--", "-t"];
        host.v(&[&words[..], &[file.to_str().unwrap()]].concat()).ok();
        let root = host.trees().join(&name);
        assert_eq!(fs::read_link(root.join("bin/ls")).unwrap(), PathBuf::from("busybox"), "{suffix}");
        let links = std::os::unix::fs::MetadataExt::nlink(&fs::metadata(root.join("etc/passwd")).unwrap());
        assert_eq!(links, 2, "{suffix}: hard links stay hard links");
        host.v(&[&name, "start"]).ok();
        host.v(&[&name, "exec", "cat", "/etc/inittab"]).ok();
        host.v(&["--silent", &name, "delete"]).ok();
    }
}

/// dump(8) reads no directory, only a file system: one in a file, on a loop device that goes with the shell.
const DUMP: &str = r#"
truncate -s 32M image && mke2fs -q -t ext4 -d root image && loop=$(losetup --find --show image) || exit 1
trap 'losetup --detach "$loop"' EXIT
dump -0 -q -f tree.dump "$loop"
"#;

fn template_that_dump_made() {
    let host = Fixture::new();
    tarball(&host, "");
    let dir = host.scratch("tarballs");
    assert!(Command::new("sh").args(["-c", DUMP]).current_dir(&dir).status().unwrap().success());
    assert!(Command::new("gzip").args(["-k", "tree.dump"]).current_dir(&dir).status().unwrap().success());
    let build = |file: &str| {
        let (name, xid) = host.fresh();
        let (file, context) = (dir.join(file), xid.to_string());
        let words = [&name, "build", "-m", "template", "--context", &context, "--initstyle", "plain", "--", "-t"];
        (host.v(&[&words[..], &[file.to_str().unwrap()]].concat()), name)
    };
    for file in ["tree.dump", "tree.dump.gz"] {
        let (built, name) = build(file);
        built.ok();
        let root = host.trees().join(&name);
        let links = std::os::unix::fs::MetadataExt::nlink(&fs::metadata(root.join("etc/passwd")).unwrap());
        assert_eq!(links, 2, "{file}: hard links stay hard links");
        assert!(!root.join("restoresymtable").exists());
        host.v(&[&name, "start"]).ok();
        host.v(&[&name, "exec", "cat", "/etc/inittab"]).ok();
        host.v(&["--silent", &name, "delete"]).ok();
    }
    let whole = fs::read(dir.join("tree.dump")).unwrap();
    fs::write(dir.join("torn.dump"), &whole[..whole.len() / 2]).unwrap();
    build("torn.dump").0.exits(1).says("restore");
    assert_eq!(fs::read_dir(host.trees()).unwrap().count(), 0, "nothing is left of a torn archive");
}

fn template_from_standard_input() {
    let host = Fixture::new();
    let (name, xid) = host.fresh();
    let (file, context) = (tarball(&host, ".gz"), xid.to_string());
    let words = [name.as_str(), "build", "-m", "template", "--context", &context, "--", "-t", "-"];
    host.tool_with_input("vserver", &words, &fs::read(file).unwrap()).ok();
    assert!(host.trees().join(&name).join("bin/busybox").exists());
}

fn broken_template_leaves_nothing() {
    let host = Fixture::new();
    let whole = fs::read(tarball(&host, ".gz")).unwrap();
    let broken = host.scratch("broken").join("half.tar.gz");
    fs::write(&broken, &whole[..whole.len() / 2]).unwrap();
    let (name, xid) = host.fresh();
    let context = xid.to_string();
    let words = [name.as_str(), "build", "-m", "template", "--context", &context, "--", "-t"];
    let ran = host.v(&[&words[..], &[broken.to_str().unwrap()]].concat());
    ran.exits(1).says("half.tar.gz");
    assert!(!host.confdir().join(&name).exists() && !host.trees().join(&name).exists());
    let missing = host.v(&[&words[..], &["/no/such.tar"]].concat());
    missing.exits(1).says("/no/such.tar");
    assert!(!host.confdir().join(&name).exists() && !host.trees().join(&name).exists());
}

/// compat/commands.md §4: renamed to `<path>.~<epoch seconds>~`.
fn force_keeps_what_was_there() {
    let host = Fixture::new();
    let guest = host.guest();
    host.v(&[guest.name.as_str(), "build", "-m", "skeleton", "--force", "--context", &guest.xid.to_string()]).ok();
    let kept = |dir: PathBuf| {
        let names =
            fs::read_dir(dir).unwrap().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with(&format!("{}.~", guest.name)) && name.ends_with('~')).count()
    };
    assert_eq!((kept(host.trees()), kept(host.confdir())), (1, 1));
    // What the host knows of its packages, too: where .defaults/ says, and where the command does.
    let (usual, other) = (host.scratch("packages"), host.scratch("others"));
    fs::create_dir_all(host.confdir().join(".defaults/apps/pkgmgmt")).unwrap();
    symlink(&usual, host.confdir().join(".defaults/apps/pkgmgmt/base")).unwrap();
    let xid = guest.xid.to_string();
    let build = |more: &[&str]| {
        let words = [guest.name.as_str(), "build", "-m", "skeleton", "--force", "--context", &xid];
        host.v(&[&words[..], more].concat()).ok();
    };
    for (base, more) in [(&usual, vec![]), (&other, vec!["--pkgbase", other.to_str().unwrap()])] {
        let old = base.join(&guest.name);
        fs::create_dir(&old).unwrap();
        build(&more);
        assert_eq!(kept(base.clone()), 0, "an empty one is in nobody's way");
        fs::create_dir_all(old.join("rpm/state")).unwrap();
        build(&more);
        assert_eq!(kept(base.clone()), 1);
        assert!(!old.join("rpm").exists());
    }
}
