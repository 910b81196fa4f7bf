//! Where everything of this host is.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use vserver_fs::Flock;
use vserver_types::GuestName;

use crate::error::{Error, Result};
use crate::vars;

/// Environment variable with the configuration root, in place of `/etc/vservers`.
pub const CONFDIR_VARIABLE: &str = "VSERVER_CONFDIR";

/// Environment variable with the directory of util-vserver's locks, in place of `/var/lock`.
pub const LOCKDIR_VARIABLE: &str = "VSERVER_LOCKDIR";

/// Environment variable with the directory of what is known of running guests and of their locks, in place of
/// `/run/vserver`. Who gives another sees no guest of the host's, and takes none of its locks.
pub const RUNDIR_VARIABLE: &str = "VSERVER_RUNDIR";

const RUN_DIR: &str = "/run/vserver";
const LOCK_DIR: &str = "/var/lock";

/// Paths of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Configuration root, `/etc/vservers`.
    pub confdir: PathBuf,
    /// Facts about running guests, `/run/vserver`: gone with a reboot, as they are.
    pub run_dir: PathBuf,
    /// Console logs, `/var/log/vserver`.
    pub log_dir: PathBuf,
    /// util-vserver's state of the helper that handles reboots, `/var/run/vshelper`.
    pub helper_dir: PathBuf,
    /// Locks that scripts of util-vserver know, `/var/lock`; ours are in `run_dir`.
    pub lock_dir: PathBuf,
    /// The program that becomes a guest's supervisor and, in init-less guests, its first process.
    pub supervisor: PathBuf,
    /// The program that serves a guest's own files in `/proc`.
    pub view: PathBuf,
    /// The command line program that cleans up after a guest has ended by itself.
    pub vserver: PathBuf,
}

impl Host {
    /// The usual places. `confdir` wins over the environment, in which `VSERVER_CONFDIR` wins over the file that
    /// `UTIL_VSERVER_VARS` names, that over `/etc/vservers`. Whoever begins a program tells of such a file's faults.
    pub fn new(confdir: Option<PathBuf>) -> Self {
        let environment = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let confdir = confdir.or_else(|| environment(CONFDIR_VARIABLE)).or_else(|| vars::confdir().ok().flatten());
        let confdir = confdir.unwrap_or_else(|| PathBuf::from("/etc/vservers"));
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        Self {
            confdir: absolute(confdir),
            run_dir: absolute(environment(RUNDIR_VARIABLE).unwrap_or_else(|| PathBuf::from(RUN_DIR))),
            log_dir: PathBuf::from("/var/log/vserver"),
            helper_dir: PathBuf::from("/var/run/vshelper"),
            lock_dir: absolute(environment(LOCKDIR_VARIABLE).unwrap_or_else(|| PathBuf::from(LOCK_DIR))),
            supervisor: program("vserver-supervisor"),
            view: program("vserver-view"),
            vserver: program("vserver"),
        }
    }

    /// What makes another program's places these ones, beside `--confdir`: `NAME=VALUE` of those that are not usual.
    pub fn environment(&self) -> Vec<OsString> {
        let places = [(RUNDIR_VARIABLE, &self.run_dir, RUN_DIR), (LOCKDIR_VARIABLE, &self.lock_dir, LOCK_DIR)];
        let own = places.into_iter().filter(|(_, path, usual)| path.as_path() != Path::new(usual));
        own.map(|(name, path, _)| [OsStr::new(name), OsStr::new("="), path.as_os_str()].into_iter().collect())
            .collect()
    }

    /// The directory with a running guest's facts.
    pub fn guest_dir(&self, name: &GuestName) -> PathBuf {
        self.run_dir.join(name.as_str())
    }

    /// The supervisor's socket.
    pub fn control(&self, name: &GuestName) -> PathBuf {
        self.guest_dir(name).join("control")
    }

    /// The guest's console log.
    pub fn console_log(&self, name: &GuestName) -> PathBuf {
        self.log_dir.join(format!("{name}.console"))
    }

    /// What the guest has sent and received in runs that have ended.
    pub fn traffic_book(&self, name: &GuestName) -> PathBuf {
        self.log_dir.join(format!("{name}.traffic"))
    }

    /// The directory with a link to its configuration for each running guest's number.
    pub fn run_reverse(&self) -> PathBuf {
        let link = self.confdir.join(".defaults/run.rev");
        let target = std::fs::read_link(&link).map(|target| link.with_file_name("").join(target));
        target.unwrap_or_else(|_| PathBuf::from("/var/run/vservers.rev"))
    }

    /// The file that is locked.
    pub fn lock_file(&self, name: &GuestName) -> PathBuf {
        self.run_dir.join("lock").join(name.as_str())
    }

    /// The file of util-vserver's lock in `lock_dir`: `vserver.<letters and digits of the configuration's path>.startup`.
    pub fn old_lock(&self, name: &GuestName) -> String {
        let path = self.confdir.join(name.as_str());
        let plain: String = path.to_string_lossy().chars().filter(char::is_ascii_alphanumeric).collect();
        format!("vserver.{plain}.startup")
    }

    /// The guest's lock: held while its state changes.
    pub fn lock(&self, name: &GuestName, timeout: Duration) -> Result<Flock> {
        make_private(&self.run_dir)?;
        make_private(&self.run_dir.join("lock"))?;
        Flock::take(&self.lock_file(name), timeout).map_err(Error::layer("take the lock", name))
    }
}

/// A directory that only root can enter; what is there stays.
pub(crate) fn make_private(dir: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    match std::fs::DirBuilder::new().mode(0o700).recursive(true).create(dir) {
        Ok(()) => Ok(()),
        Err(error) => Err(Error::io("make the directory", dir)(error)),
    }
}

/// A program of this project: beside the one that runs, or where `cargo xtask install` puts it.
fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    let beside = own.with_file_name(name);
    if beside.is_file() {
        return beside;
    }
    let prefix = own.parent().and_then(Path::parent).unwrap_or(Path::new("/usr")).to_owned();
    let installed = [prefix.join("lib/vserver").join(name), prefix.join("sbin").join(name)];
    installed.into_iter().find(|path| path.is_file()).unwrap_or(beside)
}
