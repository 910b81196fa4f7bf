//! A configuration root, a base for trees and some tarballs, all below one temporary directory.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use vserver_build::{BuildRequest, LimitWish, Method, Template};
use vserver_config::NewGuest;

pub struct Bench {
    pub dir: PathBuf,
    _owner: Option<tempfile::TempDir>,
}

impl Bench {
    pub fn new() -> Self {
        let owner = tempfile::Builder::new().prefix("build-test-").tempdir().unwrap();
        let bench = Self { dir: owner.path().to_owned(), _owner: Some(owner) };
        std::fs::create_dir_all(bench.confdir().join(".defaults")).unwrap();
        for base in ["trees", "caches"] {
            std::fs::create_dir(bench.dir.join(base)).unwrap();
        }
        symlink(bench.dir.join("trees"), bench.confdir().join(".defaults/vdirbase")).unwrap();
        symlink(bench.dir.join("caches"), bench.confdir().join(".defaults/cachebase")).unwrap();
        bench
    }

    /// The bench of the process that started this one.
    pub fn inherited(dir: &str) -> Self {
        Self { dir: PathBuf::from(dir), _owner: None }
    }

    pub fn confdir(&self) -> PathBuf {
        self.dir.join("conf")
    }

    pub fn tree(&self, name: &str) -> PathBuf {
        self.dir.join("trees").join(name)
    }

    pub fn request(&self, name: &str, method: Method) -> BuildRequest {
        let mut guest = NewGuest::new(name.parse().unwrap());
        guest.lockfile = Some(self.dir.join("run").join(name));
        BuildRequest {
            confdir: self.confdir(),
            guest,
            method,
            distribution: None,
            force: false,
            accept_root: false,
            keep: false,
            disk: None,
            limit: LimitWish::default(),
            access: vserver_build::Access::default(),
            template_age: None,
        }
    }

    pub fn template(&self, name: &str, tarball: impl Into<PathBuf>) -> BuildRequest {
        let template = Template { tarballs: vec![tarball.into()], keep_dev: false };
        self.request(name, Method::Template(template))
    }

    /// The host's busybox as a guest, with an init, packed by gzip.
    pub fn busybox(&self) -> PathBuf {
        let path = self.dir.join("busybox.tar.gz");
        let file = std::fs::File::create(&path).unwrap();
        let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(file, flate2::Compression::fast()));
        tar.append_path_with_name("/bin/busybox", "bin/busybox").unwrap();
        for applet in ["bin/sh", "sbin/init"] {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            tar.append_link(&mut header, applet, "/bin/busybox").unwrap();
        }
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Block);
        header.set_size(0);
        header.set_device_major(8).unwrap();
        header.set_device_minor(0).unwrap();
        tar.append_data(&mut header, "dev/sda", std::io::empty()).unwrap();
        tar.into_inner().unwrap().finish().unwrap();
        path
    }

    /// Everything there is, except what a first build in a configuration root makes for all.
    pub fn names(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for dir in ["trees", "conf", "caches"] {
            for entry in std::fs::read_dir(self.dir.join(dir)).unwrap() {
                names.insert(format!("{dir}/{}", entry.unwrap().file_name().to_str().unwrap()));
            }
        }
        names.retain(|name| name != "conf/.defaults" && name != "caches/debootstrap");
        names
    }

    /// A program that stands in front of all others of its name.
    pub fn program(&self, name: &str, text: &str) -> PathBuf {
        let dir = self.dir.join("bin");
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        dir
    }
}

/// This test program again, running the one test that looks for `variable`.
pub fn again(test: &str, variable: &str, bench: &Bench) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--test-threads=1"]).env(variable, &bench.dir);
    command
}

/// The same in a mount namespace of its own, where `mount` (shell, `$B` is the bench) was done before.
pub fn again_with_mount(test: &str, variable: &str, bench: &Bench, mount: &str) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "sh", "-ec", &format!("{mount}; exec \"$@\""), "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--test-threads=1"])
        .env("B", &bench.dir)
        .env(variable, &bench.dir);
    command
}

/// Starts a program in which every thread has the signals blocked, as a program with one thread has when it builds: the
/// threads of the test harness would die of them.
pub fn spawn_blocked(command: &mut Command) -> Child {
    use nix::sys::signal::{SigSet, Signal};
    let set: SigSet = [Signal::SIGINT, Signal::SIGTERM].into_iter().collect();
    set.thread_block().unwrap();
    let child = command.spawn();
    set.thread_unblock().unwrap();
    child.unwrap()
}

pub fn wait_for(path: &Path) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !path.exists() {
        assert!(std::time::Instant::now() < end, "{} does not appear", path.display());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

pub fn signal(child: &Child, signal: nix::sys::signal::Signal) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), signal).unwrap();
}
