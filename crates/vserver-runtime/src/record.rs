//! `state.json`: what is known of a guest from the moment its start begins until nothing of it is left.
//!
//! It is also the undo log: what a start is about to make is written here before it is made, so that any later command
//! can take it away, whoever died in between.

use std::os::fd::{OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use vserver_cgroup::GuestCgroup;
use vserver_config::PortForward;
use vserver_sandbox::nested::Around;
use vserver_types::{CgroupBase, GuestAddress, GuestName, Nid, Traffic, Unenforced, Xid};

use crate::attributes::Attributes;
use crate::choose::layout;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::plan::NetworkPlan;

/// Version of the file's format; another one is refused, not guessed.
const VERSION: u32 = 1;

/// A process that is the same one as long as pid and start time agree. Source: proc_pid_stat(5), field 22.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its pid on the host; 0 is "none yet".
    pub pid: i32,
    /// Start time in clock ticks since boot.
    pub started: u64,
}

/// An address that was put on a device for this guest and is taken off again with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddedAddress {
    /// The device.
    pub device: String,
    /// The address.
    pub address: GuestAddress,
}

/// The network namespace of a guest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpaceRecord {
    /// It was made for this guest and goes with it.
    pub own: bool,
    /// Where it is found: a name below `/run/netns`, or another guest's first process.
    pub path: Option<PathBuf>,
    /// Its number, by which it is known again.
    pub inode: u64,
    /// Ends of its links on the host, to be removed at stop.
    pub links: Vec<String>,
    /// Devices of the host that moved in, with their names there, to be moved back at stop.
    pub moved: Vec<(String, String)>,
    /// Devices inside that hang on one of the host's, to be removed at stop.
    #[serde(default)]
    pub children: Vec<String>,
    /// Its nftables table, to be removed at stop.
    #[serde(default)]
    pub table: Option<String>,
    /// Ports of the host that lead to it.
    #[serde(default)]
    pub forwards: Vec<PortForward>,
    /// A descriptor of it in this process. Who undoes what it began itself finds the namespace by that: the name leads to
    /// descriptors that are closed by then.
    #[serde(skip)]
    pub held: Option<RawFd>,
}

/// Facts about one guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Format.
    pub version: u32,
    /// The guest.
    pub name: GuestName,
    /// Its context number.
    pub xid: Xid,
    /// Its network context number.
    pub nid: Nid,
    /// Configuration root that it was started from.
    pub confdir: PathBuf,
    /// util-vserver's run file.
    pub run_file: PathBuf,
    /// Where its cgroups are, whatever the configuration says now.
    #[serde(default)]
    pub cgroup_base: CgroupBase,
    /// First host uid and gid of its range; `None` in classic mode.
    pub id_base: Option<u32>,
    /// Its supervisor's pid; 0 while it is being started.
    pub supervisor: i32,
    /// Start time of that process.
    pub supervisor_started: u64,
    /// Its first process's pid on the host; 0 while it is being started.
    pub init: i32,
    /// Start time of that process.
    pub init_started: u64,
    /// When it was started, seconds since 1970.
    #[serde(with = "unix_seconds")]
    pub started_at: SystemTime,
    /// Addresses to be taken off at stop.
    pub addresses: Vec<AddedAddress>,
    /// Devices to be removed at stop.
    #[serde(default)]
    pub made_devices: Vec<String>,
    /// Its network namespace, if it is not the host's.
    #[serde(default)]
    pub space: Option<SpaceRecord>,
    /// Disk limits to be taken off at stop.
    #[serde(default)]
    pub disk: Vec<vserver_disk::Account>,
    /// How long its stop may take, seconds.
    pub stop_timeout: u64,
    /// Its tree, if it has files of others, too: what the guest has written is to be folded into it at stop.
    #[serde(default)]
    pub shared_tree: Option<PathBuf>,
    /// It was started with `--rescue`: its configured stop does not apply.
    #[serde(default)]
    pub rescue: bool,
    /// It does not run itself: a tool works on its tree, and then all of it ends.
    #[serde(default)]
    pub errand: bool,
    /// What this kernel does not enforce.
    pub unenforced: Vec<Unenforced>,
    /// Its capabilities and flags, as they are now.
    #[serde(default)]
    pub attributes: Attributes,
    /// It has had `/dev/net/tun` since its start.
    #[serde(default)]
    pub has_tun: bool,
    /// Its configuration makes a tun or tap device for it.
    #[serde(default)]
    pub own_tuns: bool,
    /// Its AppArmor namespace, to be removed at stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apparmor: Option<String>,
    /// Devices that it was given while it runs, as lines of `devices.allow`.
    #[serde(default)]
    pub devices: Vec<String>,
    /// What its sockets are held to now.
    #[serde(default)]
    pub network: Option<NetworkPlan>,
    /// How fast it may send and receive now.
    #[serde(default)]
    pub traffic: Traffic,
}

impl RunRecord {
    /// A record of a start that begins now.
    pub fn new(name: GuestName, xid: Xid, nid: Nid, confdir: PathBuf, run_file: PathBuf) -> Self {
        Self {
            version: VERSION,
            name,
            xid,
            nid,
            confdir,
            run_file,
            cgroup_base: CgroupBase::default(),
            id_base: None,
            supervisor: 0,
            supervisor_started: 0,
            init: 0,
            init_started: 0,
            started_at: SystemTime::now(),
            addresses: Vec::new(),
            made_devices: Vec::new(),
            space: None,
            disk: Vec::new(),
            stop_timeout: 30,
            shared_tree: None,
            rescue: false,
            errand: false,
            unenforced: Vec::new(),
            attributes: Attributes::default(),
            has_tun: false,
            own_tuns: false,
            apparmor: None,
            devices: Vec::new(),
            network: None,
            traffic: Traffic::default(),
        }
    }

    /// Reads the record of `name`; `None` if there is none.
    pub fn load(host: &Host, name: &GuestName) -> Result<Option<Self>> {
        let path = Self::path(host, name);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", path)(error)),
        };
        let record: Self =
            serde_json::from_slice(&text).map_err(|e| Error::io("understand", &path)(std::io::Error::other(e)))?;
        if record.version != VERSION {
            let found = format!("its version is {}, this program knows {VERSION}", record.version);
            return Err(Error::io("understand", path)(std::io::Error::other(found)));
        }
        Ok(Some(record))
    }

    /// Its cgroups, if it has any.
    pub fn cgroup(&self) -> Result<Option<GuestCgroup>> {
        Ok(GuestCgroup::open(&layout(self)?, &self.name))
    }

    /// The v2 directory of its cgroups where its programs hang, which count. Inside of another guest there are none, and
    /// nobody may ask for them.
    pub(crate) fn counted(&self) -> Result<Option<OwnedFd>> {
        if !Around::here().is_host() {
            return Ok(None);
        }
        Ok(self.cgroup()?.and_then(|cgroup| cgroup.v2_dir()))
    }

    /// Its cgroups, which it has as long as it runs.
    pub(crate) fn cgroup_of_running(&self) -> Result<GuestCgroup> {
        self.cgroup()?.ok_or_else(|| Error::NotRunning { name: self.name.clone() })
    }

    /// Writes it, at once or not at all.
    pub fn save(&self, host: &Host) -> Result<()> {
        let path = Self::path(host, &self.name);
        crate::host::make_private(&host.guest_dir(&self.name))?;
        let text =
            serde_json::to_vec_pretty(self).map_err(|e| Error::io("write", &path)(std::io::Error::other(e)))?;
        vserver_fs::atomic::write_volatile(&path, &text, 0o600).map_err(Error::layer("write the state", &self.name))
    }

    /// Whether its supervisor lives.
    pub fn supervisor_lives(&self) -> bool {
        lives(Process { pid: self.supervisor, started: self.supervisor_started })
    }

    /// Whether its first process lives.
    pub fn init_lives(&self) -> bool {
        lives(Process { pid: self.init, started: self.init_started })
    }

    /// How long it has been running.
    pub fn age(&self) -> Duration {
        SystemTime::now().duration_since(self.started_at).unwrap_or_default()
    }

    fn path(host: &Host, name: &GuestName) -> PathBuf {
        host.guest_dir(name).join("state.json")
    }
}

/// Start time of `pid`, or `None` when there is no such process or it is a zombie.
pub fn start_time(pid: i32) -> Option<u64> {
    start_time_in(&std::fs::read(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?)
}

/// The same from the bytes of a process's `stat`. Its name is its own choice: blanks, parentheses, bytes that are no text;
/// so what follows the last parenthesis counts.
pub fn start_time_in(stat: &[u8]) -> Option<u64> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let fields: Vec<&str> = std::str::from_utf8(stat.get(end + 2..)?).ok()?.split(' ').collect();
    if matches!(*fields.first()?, "Z" | "X") {
        return None;
    }
    fields.get(19)?.parse().ok()
}

fn lives(process: Process) -> bool {
    process.pid > 0 && start_time(process.pid) == Some(process.started)
}

mod unix_seconds {
    use super::{Duration, SystemTime, UNIX_EPOCH};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(time: &SystemTime, out: S) -> Result<S::Ok, S::Error> {
        time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().serialize(out)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<SystemTime, D::Error> {
        let seconds = u64::deserialize(input)?;
        let time = UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        time.ok_or_else(|| serde::de::Error::custom(format_args!("{seconds} s is no time")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_be_anything() {
        let stat = |name: &[u8], state: &str| {
            [b"7 (", name, format!(") {state} 1{}", " 0".repeat(17)).as_bytes(), b" 4711 0\n"].concat()
        };
        for name in [&b"init"[..], b"a) Z 1 \xff", b"(", b") R 1 2", b""] {
            assert_eq!(start_time_in(&stat(name, "S")), Some(4711), "{}", String::from_utf8_lossy(name));
            assert_eq!(start_time_in(&stat(name, "Z")), None);
        }
        assert_eq!(start_time_in(b""), None);
        assert_eq!(start_time_in(b"7 (x)"), None);
    }

    #[test]
    fn a_process_is_known_by_pid_and_start_time() {
        let own = std::process::id() as i32;
        let started = start_time(own).unwrap();
        assert!(lives(Process { pid: own, started }));
        assert!(!lives(Process { pid: own, started: started + 1 }));
        assert!(!lives(Process::default()));
    }
}
