//! A guest as its directory describes it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use vserver_types::{
    CgroupBase, ContextCaps, ContextFlags, CpuSet, FlagEdit, GuestAddress, GuestName, NetCaps, NetFlags, Nid,
    Resource, ResourceLimit, Rlimit, Traffic, Ulimit, Unenforced, Xid,
};

use crate::apparmor::AppArmor;
use crate::init::Init;
use crate::mounts::FstabEntry;
use crate::network_space::NetworkSpace;
use crate::sched::Sched;

/// Everything that `CONFDIR/<name>/` says, with inherited and default values filled in. Nothing of the host but the
/// configuration tree was looked at, so paths need not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestConfig {
    /// The guest's name: the base name of its directory.
    pub name: GuestName,
    /// Its directory, absolute.
    pub dir: PathBuf,
    /// What `vserver-stat` shows (`name`); nothing else uses it.
    pub display_name: String,
    /// The guest's root: the target of the link `vdir` made absolute but not resolved, or `vdir` itself if it is a
    /// directory.
    pub vdir: PathBuf,
    /// The file that holds the context number while the guest runs: the target of the link `run`.
    pub run_target: PathBuf,
    /// Target of the link `cache`.
    pub cache: Option<PathBuf>,
    /// Static context number (`context`, 2–49151); `None` is "give it one at start".
    pub context: Option<Xid>,
    /// Network context number: `ncontext`, else the context's.
    pub ncontext: Option<Nid>,
    /// The guest is not confined to its addresses (`noncontext`).
    pub no_ncontext: bool,
    /// Left out by boot and by commands for all guests; an explicit start works.
    pub disabled: bool,
    /// Program for `enter`, one word (`shell`, else `.defaults/shell`).
    pub shell: Option<String>,
    /// Descriptors above 2 stay open when the guest is entered.
    pub keepfds: bool,
    /// Tell more at start and stop.
    pub noisy: bool,
    /// User namespace: our own file `userns`.
    pub userns: Userns,
    /// What AppArmor does with it: our own file `apparmor`, else `.defaults/apparmor`.
    pub apparmor: AppArmor,
    /// Changes to the capability bounding set; the base is the runtime's, as it depends on [`Userns`].
    pub bcaps: FlagEdit,
    /// Context capabilities, final.
    pub ccaps: ContextCaps,
    /// Context flags, final, without the one-time state flags.
    pub cflags: ContextFlags,
    /// Network capabilities, final.
    pub ncaps: NetCaps,
    /// Network flags, final; the base is the kernel patch's default.
    pub nflags: NetFlags,
    /// Changes to the set of namespaces that the guest may make (`umask`).
    pub umask: FlagEdit,
    /// How it starts and stops.
    pub init: Init,
    /// Host name and the other five names.
    pub uts: Uts,
    /// Its addresses, in order: the first is the default source.
    pub interfaces: Vec<Interface>,
    /// Whose network stack it uses (`netns/`, `spaces/net`).
    pub network_space: NetworkSpace,
    /// Its private loopback address (`interfaces/lback`); unless set it follows from the network context number.
    pub lback: Option<Ipv4Addr>,
    /// Broadcast address that it may use (`interfaces/bcast`).
    pub bcast: Option<Ipv4Addr>,
    /// How fast it may send and receive: our own `traffic/`.
    pub traffic: Traffic,
    /// Totals of the whole guest, in the units of [`Resource`].
    pub rlimits: BTreeMap<Resource, ResourceLimit>,
    /// Limits of each process that have a file in `ulimits/`; see [`GuestConfig::process_limits`] for all.
    pub ulimits: Vec<Ulimit>,
    /// CPU token bucket.
    pub sched: Option<Sched>,
    /// Ticks per second that the bucket's numbers mean (`.defaults/sched/hz`).
    pub hz: u32,
    /// CPUs and memory nodes.
    pub cpuset: Option<CpuSet>,
    /// `/proc` and `/sys` show those CPUs only (`cpuset/virtualized`).
    pub cpuset_virtualized: bool,
    /// Control files, name and value, in alphabetical order, names of cgroup v1 or v2 as found.
    pub cgroup: Vec<(String, String)>,
    /// Where the cgroups of all guests are (`.defaults/cgroup/base`).
    pub cgroup_base: CgroupBase,
    /// Absolute nice value, −20 to 19.
    pub nice: Option<i32>,
    /// I/O class and level.
    pub ionice: Option<IoNice>,
    /// Bias on the OOM killer's choice: 64 bit in the original, wants clamping to ±1000 for `oom_score_adj`.
    pub badness: Option<i64>,
    /// Execution domain, as personality(2) takes it.
    pub personality: Option<u32>,
    /// What is mounted: `fstab`, `fstab.local`, `fstab.remote`, without `swap` and `noauto` entries.
    pub fstab: Vec<FstabEntry>,
    /// The number that marks its files (`tag`); unless set it is the context's.
    pub tag: Option<Xid>,
    /// What it may use of file systems (`dlimits/`), without those that are switched off.
    pub dlimits: Vec<DiskLimit>,
    /// The image file that is mounted as its root: our own file `disk/image`.
    pub image: Option<PathBuf>,
    /// What it may do with single devices: its own entries of `apps/vdevmap/`.
    pub devices: Vec<DeviceMap>,
    /// Settings of `/proc/sys`, with slashes, and what is written to them.
    pub sysctl: Vec<(String, String)>,
    /// Settings that were found and that nothing applies: to be reported at start, and refused with `--strict`.
    pub unapplied: Vec<Unenforced>,
}

/// Whether a guest gets a user namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Userns {
    /// Its root is nobody on the host.
    #[default]
    Auto,
    /// Its root is uid 0 with a reduced bounding set, as in Linux-VServer.
    Off,
}

/// Names of the guest's system; `None` is the host's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uts {
    /// `uname -s`
    pub sysname: Option<String>,
    /// Host name.
    pub nodename: Option<String>,
    /// `uname -r`
    pub release: Option<String>,
    /// `uname -v`
    pub version: Option<String>,
    /// `uname -m`
    pub machine: Option<String>,
    /// NIS domain name.
    pub domainname: Option<String>,
}

/// One address of a guest: a directory below `interfaces/`. Disabled ones are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Name of its directory.
    pub dir: String,
    /// Address and prefix length.
    pub address: GuestAddress,
    /// Device; with `nodev` only a remark.
    pub dev: Option<String>,
    /// The address is on the host already: neither added nor removed.
    pub nodev: bool,
    /// Whole label, `dev:name`.
    pub label: Option<String>,
    /// Broadcast address, computed from the prefix unless given; none for IPv6 and for prefixes above 30.
    pub broadcast: Option<Ipv4Addr>,
    /// Other end of a point-to-point link.
    pub peer: Option<String>,
    /// Address scope, as text; see [`crate::scope_number`].
    pub scope: Option<String>,
    /// Set the link up.
    pub up: bool,
    /// The device is a VLAN that is made at start.
    pub vlan: Option<Vlan>,
    /// The device is a tun or tap device that is made at start.
    pub tun: Option<Tun>,
}

/// A tun or tap device to make for the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tun {
    /// It carries Ethernet frames (`tap`), not packets (`tun`).
    pub tap: bool,
    /// Packets without checksums (`nocsum`).
    pub nocsum: bool,
    /// It is not only this guest's.
    pub shared: bool,
    /// The guest's user whose programs may use it.
    pub uid: Option<u32>,
    /// The guest's group whose programs may use it.
    pub gid: Option<u32>,
    /// Type of the link, `ARPHRD_*` of `include/uapi/linux/if_arp.h`.
    pub linktype: Option<u16>,
}

/// A VLAN device to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vlan {
    /// Device that carries it.
    pub parent: String,
    /// Number, 0–4094.
    pub id: u16,
}

/// What a guest may use of one file system: a directory below `dlimits/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskLimit {
    /// Name of its directory.
    pub name: String,
    /// A directory of the file system, on the host.
    pub directory: PathBuf,
    /// Space in KiB; `None` is no limit.
    pub space: Option<u64>,
    /// Inodes; `None` is no limit.
    pub inodes: Option<u64>,
    /// Percent that is kept for the guest's root.
    pub reserved: u8,
}

/// What a guest may do with a device: a directory below `apps/vdevmap/`. With neither `create` nor `open` it may do
/// nothing with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceMap {
    /// Name of its directory.
    pub name: String,
    /// The device, by its absolute path on the host; the guest's node has the same name.
    pub device: PathBuf,
    /// Make nodes of it.
    pub create: bool,
    /// Open it.
    pub open: bool,
    /// The guest finds this device of the host in its place.
    pub target: Option<PathBuf>,
}

/// I/O priority, as in ionice(1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoNice {
    /// 1 real-time, 2 best effort, 3 idle.
    pub class: u8,
    /// 0 (first) to 7.
    pub priority: Option<u8>,
}

/// How long `stop` waits unless `apps/vshelper/sync-timeout` says otherwise.
pub const SYNC_TIMEOUT: Duration = Duration::from_secs(30);

impl GuestConfig {
    /// Whether its sockets are held to its addresses on the host's network stack. On a stack of its own it has what is
    /// there, and with `noncontext` it is the host's.
    pub fn shares_the_stack(&self) -> bool {
        !self.no_ncontext && self.network_space == NetworkSpace::Host
    }

    /// The project of its files: `tag`, else the static context number. A number that is given at start marks nothing.
    pub fn project(&self) -> Option<u32> {
        self.tag.or(self.context).map(|number| number.0)
    }

    /// The ten limits of setrlimit(2) that each process of the guest starts with, and `as` if `rlimits/as` has a hard
    /// bound. What has no file gets its hard limit raised to infinity (`nofile`: 1 048 576) and keeps its soft one.
    /// Totals that no cgroup counts lower them: `as`, `nofile`, `openfd` and `memlock` of `rlimits/` hold per process.
    pub fn process_limits(&self) -> Vec<Ulimit> {
        self.within_totals(ULIMITS.iter().map(|resource| self.ulimit(*resource)).collect())
    }

    /// The same if nothing stood in `ulimits/`: as far as a guest's root may raise the hard limits of its processes.
    pub fn highest_limits(&self) -> Vec<Ulimit> {
        let free = |resource: &Resource| Ulimit { resource: *resource, soft: None, hard: raised(*resource) };
        self.within_totals(ULIMITS.iter().map(free).collect())
    }

    fn within_totals(&self, mut all: Vec<Ulimit>) -> Vec<Ulimit> {
        let mut total = |from: Resource, to: Resource, unit: u64| {
            let Some(Rlimit::Value(value)) = self.rlimits.get(&from).and_then(|limit| limit.hard) else {
                return;
            };
            let bound = Rlimit::Value(value.saturating_mul(unit));
            match all.iter_mut().find(|limit| limit.resource == to) {
                Some(limit) => {
                    limit.hard = limit.hard.min(bound);
                    limit.soft = limit.soft.map(|soft| soft.min(limit.hard));
                }
                None => all.push(Ulimit { resource: to, soft: Some(bound), hard: bound }),
            }
        };
        total(Resource::As, Resource::As, PAGE);
        total(Resource::Nofile, Resource::Nofile, 1);
        total(Resource::Openfd, Resource::Nofile, 1);
        total(Resource::Memlock, Resource::Memlock, PAGE);
        total(Resource::Msgqueue, Resource::Msgqueue, 1);
        all
    }

    fn ulimit(&self, resource: Resource) -> Ulimit {
        let hard = raised(resource);
        let configured = self.ulimits.iter().copied().find(|limit| limit.resource == resource);
        configured.unwrap_or(Ulimit { resource, soft: None, hard })
    }
}

/// The hard limit per process that nobody configured. No kernel takes "infinity" for descriptors.
pub(crate) fn raised(resource: Resource) -> Rlimit {
    if resource == Resource::Nofile { Rlimit::Value(1 << 20) } else { Rlimit::Infinity }
}

/// Bytes in a page, the unit of several resources: 4 KiB, as on the machines that the files were written for.
pub(crate) const PAGE: u64 = 4096;

/// Resources that `ulimits/` knows; `as` is not among them although `rlimits/` has it. Source: `config-tree.md` §5.3.2.
pub(crate) const ULIMITS: [Resource; 10] = [
    Resource::Core,
    Resource::Cpu,
    Resource::Data,
    Resource::Fsize,
    Resource::Locks,
    Resource::Memlock,
    Resource::Nofile,
    Resource::Nproc,
    Resource::Rss,
    Resource::Stack,
];
