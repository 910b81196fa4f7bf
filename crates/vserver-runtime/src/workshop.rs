//! A root from which programs of the host work on a guest's tree: the host's `/usr`, read-only and with its owners
//! unmapped, a few files of our own, the data of the package tools, and the guest's tree at `/guest`. It is raised in
//! place of the guest's tree, with everything that holds the guest: what a package's scripts do with chroot(2) and out of
//! it, they do as the guest's root, and find nothing of the host but what every user of it may read of its programs.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::Mode;
use vserver_config::{GuestConfig, Userns};
use vserver_fs::{GuestRoot, Owner};
use vserver_sandbox::blueprint::Workshop;
use vserver_sys::mount::{NODEV, NOSUID, RDONLY, attach, clone_tree, set_attributes};
use vserver_types::Xid;

use crate::error::{Error, Result};
use crate::host::{Host, make_private};
use crate::mounts::is_always_there;
use crate::scripts::Trust;

/// Where the guest's tree is, for the tools.
pub const GUEST: &str = "/guest";

/// Directories of programs. On a host where one is a link into another, it is one here.
const PROGRAMS: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];
/// What programs cannot do without. Source: Debian's policy on alternatives, and what OpenSSL and dnf trust.
const SETTINGS: [&str; 6] = [
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ssl/certs",
    "/etc/ca-certificates",
    "/etc/pki",
    "/etc/crypto-policies",
];
const DIRECTORIES: [(&str, u32); 12] = [
    ("etc", 0o755),
    ("root", 0o700),
    ("tmp", 0o1777),
    ("run", 0o755),
    ("var", 0o755),
    ("var/tmp", 0o1777),
    ("var/lib", 0o755),
    ("var/cache", 0o755),
    ("var/log", 0o755),
    ("proc", 0o755),
    ("dev", 0o755),
    ("sys", 0o755),
];
/// The only users that the tools need know by name.
const FILES: [(&str, &str); 4] = [
    ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"),
    ("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
    ("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
    ("etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost\n"),
];
/// Largest resolver configuration that is taken from the guest, bytes.
const RESOLVER: u64 = 64 << 10;

/// A file or directory of the host that the tools find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lent {
    /// On the host.
    pub source: PathBuf,
    /// In the workshop, absolute.
    pub target: PathBuf,
    /// The tools write there, as the guest's root: the data of this guest's packages. Else it is read-only.
    pub writable: bool,
}

/// What a tool finds beside the guest's tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Toolbox {
    /// Files and directories of the host.
    pub lent: Vec<Lent>,
    /// Files that are made for it, by their absolute paths.
    pub files: Vec<(PathBuf, Vec<u8>)>,
}

/// Where the guest's own tree is, and its workshop's shape.
pub(crate) struct Made {
    pub place: PathBuf,
    pub workshop: Workshop,
}

/// Makes the workshop in the outer mount namespace that we are in; it goes with that namespace. All that a guest could
/// have a hand in is refused.
pub(crate) fn make(host: &Host, config: &GuestConfig, xid: Xid, toolbox: &Toolbox) -> Result<Made> {
    let name = &config.name;
    let refuse = |path: &Path, what: String| Error::Taken {
        name: name.clone(),
        what: format!("'{}' is not given to the host's package tools: {what}", path.display()),
    };
    let base = if config.userns == Userns::Off { 0 } else { xid.id_base().unwrap_or(0) };
    let tree = GuestRoot::open(&config.vdir).map_err(Error::layer("open the tree", name))?;
    for directory in ["proc", "sys", "dev"] {
        tree.create_dir_all(directory, 0o755).map_err(Error::layer("make a mount point in its tree", name))?;
    }
    let place = host.run_dir.join(".workshop");
    make_private(&place)?;
    let options = format!("mode=0755,uid={base},gid={base}");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("workshop"), &place, Some("tmpfs"), flags, Some(options.as_str()))
        .map_err(Error::layer("mount a place for the host's tools", name))?;
    let bench = Bench {
        root: GuestRoot::open(&place).map_err(Error::layer("open the place of the tools", name))?,
        base,
        config,
    };
    bench.furnish(&tree, toolbox)?;
    let mut foreign = Vec::new();
    for path in PROGRAMS.iter().chain(&SETTINGS).map(Path::new) {
        foreign.extend(bench.lend_of_the_host(path)?);
    }
    let trust = Trust::new(host);
    for lent in &toolbox.lent {
        if lent.source.components().count() < 3 {
            return Err(refuse(&lent.source, "it is no directory of one guest's package data".to_owned()));
        }
        if let Some(why) = trust.refuses(&lent.source) {
            return Err(refuse(&lent.source, why));
        }
        let target = bench.lend(&lent.source, &lent.target, !lent.writable)?;
        foreign.extend((!lent.writable).then_some(target));
    }
    Ok(Made { place, workshop: Workshop { guest: relative(Path::new(GUEST)), foreign } })
}

impl Made {
    /// The guest's configuration with the workshop for its tree: its own mounts are made where its tree is now.
    pub(crate) fn config_for(&self, config: &GuestConfig) -> GuestConfig {
        let mut config = config.clone();
        config.vdir.clone_from(&self.place);
        config.fstab.retain(|entry| !is_always_there(&entry.target) && !entry.target.trim_matches('/').is_empty());
        for entry in &mut config.fstab {
            entry.target = format!("{GUEST}/{}", entry.target.trim_start_matches('/'));
        }
        config
    }
}

struct Bench<'a> {
    root: GuestRoot,
    base: u32,
    config: &'a GuestConfig,
}

impl Bench<'_> {
    /// What is made, and the guest's tree, so that data can be lent into it.
    fn furnish(&self, tree: &GuestRoot, toolbox: &Toolbox) -> Result<()> {
        for (path, mode) in DIRECTORIES {
            self.root.create_dir_all(path, mode).map_err(self.failed(path))?;
            self.root.chmod(path, mode).map_err(self.failed(path))?;
            self.root.chown(path, self.owner()).map_err(self.failed(path))?;
        }
        let own = FILES.map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec()));
        for (path, text) in own.iter().chain(&toolbox.files) {
            self.write(path, text)?;
        }
        if let Ok(text) = tree.read("etc/resolv.conf", RESOLVER) {
            self.write(Path::new("etc/resolv.conf"), &text)?;
        }
        let copy = clone_tree(tree.as_fd(), c"", true).map_err(self.failed(GUEST))?;
        self.attach(copy, Path::new(GUEST), false).map(drop)
    }

    fn write(&self, path: &Path, text: &[u8]) -> Result<()> {
        let (shown, path) = (path.display().to_string(), relative(path));
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            self.root.create_dir_all(parent, 0o755).map_err(self.failed(&shown))?;
        }
        self.root.write_atomic(path, text, 0o644, Some(self.owner())).map_err(self.failed(&shown))
    }

    /// One of the usual places; it need not exist.
    fn lend_of_the_host(&self, path: &Path) -> Result<Option<PathBuf>> {
        match path.symlink_metadata() {
            Err(_) => Ok(None),
            Ok(found) if found.is_symlink() => {
                let target = std::fs::read_link(path).map_err(Error::io("read the link", path))?;
                let made = self.root.symlink(target, relative(path));
                made.map(|()| None).map_err(self.failed(&path.display().to_string()))
            }
            Ok(_) => self.lend(path, path, true).map(Some),
        }
    }

    fn lend(&self, source: &Path, target: &Path, read_only: bool) -> Result<PathBuf> {
        let source_fd = open(source, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty());
        let source_fd = source_fd.map_err(Error::io("open", source))?;
        let copy = clone_tree(source_fd.as_fd(), c"", false).map_err(Error::io("copy the mount of", source))?;
        let directory = File::from(source_fd).metadata().is_ok_and(|found| found.is_dir());
        if read_only {
            set_attributes(copy.as_fd(), RDONLY | NOSUID | NODEV, 0, false)
                .map_err(Error::io("make read-only the mount of", source))?;
        }
        self.attach(copy, target, !directory)
    }

    fn attach(&self, copy: OwnedFd, target: &Path, file: bool) -> Result<PathBuf> {
        let shown = target.display().to_string();
        let place = self.root.place(relative(target)).map_err(self.failed(&shown))?;
        let point = self.root.mount_point(&place, file).map_err(self.failed(&shown))?;
        attach(copy.as_fd(), point.as_fd()).map_err(self.failed(&shown))?;
        Ok(relative(&place))
    }

    fn owner(&self) -> Owner {
        Owner { uid: self.base, gid: self.base }
    }

    fn failed<E: Into<Box<dyn std::error::Error + Send + Sync>>>(&self, path: &str) -> impl FnOnce(E) -> Error {
        Error::layer(format!("put {path} where the host's tools work on its tree"), &self.config.name)
    }
}

fn relative(path: &Path) -> PathBuf {
    path.strip_prefix("/").unwrap_or(path).to_owned()
}
