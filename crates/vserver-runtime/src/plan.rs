//! A plan: everything that a start will do, as data. Making one changes nothing; `vserver NAME plan` prints it.

mod nested;
mod network;
mod tun;
pub mod view;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vserver_config::{GuestConfig, NetworkSpace, Userns};
use vserver_fs::GuestRoot;
use vserver_sandbox::blueprint::{Confinement, Workshop};
use vserver_sandbox::nested::Around;
use vserver_sandbox::seccomp::{self, Filters, SeccompMode};
use vserver_types::{
    CapSet, Capability, CgroupBase, ContextCaps, ContextFlags, GuestName, Limits, NetCaps, Nid, Resource, Rlimit,
    Traffic, Ulimit, Unenforced, Xid,
};

use crate::apparmor::{self, AppArmorPlan};
use crate::attributes::{self, Attributes};
use crate::devices::{self, DevicePlan};
use crate::disk::{self, DiskPlan};
use crate::error::{Error, Result};
use crate::init_style::{self, First, InitPlan, Rescue};
use crate::mounts::{self, Mounts};
use crate::netns;
use crate::quotas;
use crate::settings::{KillStep, StopOrders};
use crate::unapplied;

pub(crate) use nested::{fit, judge, obstacle};
pub(crate) use network::network;
pub use network::{AddressPlan, NetworkPlan, TunPlan, VlanPlan};
use network::{addresses, nid, vlans};
pub use view::ViewPlan;

/// Everything that a start will do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// The guest.
    pub name: GuestName,
    /// Where it is made.
    #[serde(default, skip_serializing_if = "Around::is_host")]
    pub around: Around,
    /// It may make guests itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prolific: bool,
    /// Its tree on the host.
    pub tree: PathBuf,
    /// util-vserver's run file.
    pub run_file: PathBuf,
    /// Where its cgroups are.
    #[serde(default, skip_serializing_if = "CgroupBase::is_ours")]
    pub cgroup_base: CgroupBase,
    /// Its number.
    pub xid: Xid,
    /// Its network number.
    pub nid: Nid,
    /// First host uid and gid of its range; `None` in classic mode.
    pub id_base: Option<u32>,
    /// Host name inside.
    pub hostname: Option<String>,
    /// NIS domain name inside.
    pub domainname: Option<String>,
    /// Its clocks count from its start.
    pub virt_uptime: bool,
    /// Its own cgroup2 subtree at `/sys/fs/cgroup`.
    pub cgroupfs: bool,
    /// First process, and the way to its end.
    pub init: InitPlan,
    /// Environment of the first process.
    pub environment: Vec<String>,
    /// Disk limits, tags, a disk of its own.
    pub disk: DiskPlan,
    /// Further mounts.
    pub mounts: Mounts,
    /// Devices beyond those that every guest has.
    #[serde(default)]
    pub devices: Vec<DevicePlan>,
    /// Its tree is mounted in this one, for programs of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workshop: Option<Workshop>,
    /// Its capabilities and flags.
    pub attributes: Attributes,
    /// Settings of its own namespaces, below `/proc/sys`.
    pub sysctls: Vec<(String, String)>,
    /// Files of `/proc` that are its own.
    #[serde(default, skip_serializing_if = "ViewPlan::is_empty")]
    pub view: ViewPlan,
    /// Its AppArmor namespace and profile.
    #[serde(default, skip_serializing_if = "AppArmorPlan::is_empty")]
    pub apparmor: AppArmorPlan,
    /// What its processes are held to; without filters until [`Plan::filter`].
    pub confinement: Confinement,
    /// What the filters are made of.
    #[serde(skip)]
    pub calls: SeccompMode,
    /// How far its root may raise hard limits of processes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hard_limits: Vec<Ulimit>,
    /// What its cgroup is held to.
    pub limits: Limits,
    /// So many internet sockets it may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sockets: Option<u64>,
    /// Whose network stack it uses.
    #[serde(default)]
    pub space: NetworkSpace,
    /// VLAN devices to make first.
    #[serde(default)]
    pub vlans: Vec<VlanPlan>,
    /// tun and tap devices to make first.
    #[serde(default)]
    pub tuns: Vec<TunPlan>,
    /// Addresses to add to devices.
    pub addresses: Vec<AddressPlan>,
    /// What its sockets are held to.
    pub network: Option<NetworkPlan>,
    /// How fast it may send and receive.
    #[serde(default, skip_serializing_if = "is_free")]
    pub traffic: Traffic,
    /// Kill sequence after a stop command.
    pub killseq: Vec<KillStep>,
    /// After this time a stopping guest is killed.
    pub stop_timeout: Duration,
    /// What is known already not to be enforced.
    pub unenforced: Vec<Unenforced>,
}

/// Default of `RLIMIT_MEMLOCK`. Source: default policy, threat model §3.7.
const MEMLOCK: u64 = 8 << 20;

/// Plans without bounds stay as they were.
fn is_free(traffic: &Traffic) -> bool {
    *traffic == Traffic::default()
}

impl Plan {
    /// What starting `config` as context `xid` will do.
    pub fn from_config(config: &GuestConfig, xid: Xid, cpus: u32, rescue: Option<&Rescue>) -> Result<Self> {
        let around = Around::here();
        let (fitted, left_out) = nested::fit(config, around);
        let mut plan = Self::of(&fitted, xid, cpus, rescue)?;
        plan.around = around;
        plan.unenforced.splice(0..0, left_out);
        Ok(plan)
    }

    /// The same on a host.
    fn of(config: &GuestConfig, xid: Xid, cpus: u32, rescue: Option<&Rescue>) -> Result<Self> {
        let name = &config.name;
        let tree = GuestRoot::open(&config.vdir).map_err(Error::layer("open the tree", name))?;
        let init = match rescue {
            Some(rescue) => init_style::rescue(config, &tree, rescue),
            None => init_style::plan(config, &tree)?,
        };
        let id_base = id_base(config, xid)?;
        let nid = nid(config, xid);
        let mut unenforced = config.unapplied.clone();
        unenforced.extend(unapplied::found(config));
        let (limits, found) = config.limits(cpus, config.hz);
        unenforced.extend(found);
        let (mounts, found) = mounts::plan(config);
        unenforced.extend(found);
        let (disk, found) = disk::plan(config);
        unenforced.extend(found);
        let devices = nodes(config, &disk, &mut unenforced);
        let mode = attributes::call_policy(config, id_base.is_some(), init.systemd);
        let (confinement, calls) = confinement(config, mode, disk.quotas.is_some(), &mut unenforced);
        unenforced.extend(netns::shortfall(config, confinement.caps));
        Ok(Self {
            name: name.clone(),
            around: Around::Host,
            prolific: mode.userns && config.cflags.contains(ContextFlags::PROLIFIC),
            tree: config.vdir.clone(),
            run_file: config.run_target.clone(),
            cgroup_base: config.cgroup_base.clone(),
            xid,
            nid,
            id_base,
            hostname: config.uts.nodename.clone(),
            domainname: config.uts.domainname.clone(),
            virt_uptime: config.cflags.contains(ContextFlags::VIRT_UPTIME),
            cgroupfs: id_base.is_some(),
            environment: environment(config, &init),
            init,
            disk,
            mounts,
            devices,
            workshop: None,
            attributes: Attributes::of(config, confinement.caps, mode),
            sysctls: sysctls(config),
            view: view::plan(config),
            apparmor: apparmor::plan(config),
            hard_limits: hard_limits(config, id_base.is_some(), confinement.caps),
            confinement,
            calls,
            limits,
            sockets: config.socket_limit(),
            space: config.network_space.clone(),
            vlans: vlans(config),
            tuns: tun::plan(config, id_base)?,
            addresses: addresses(config)?,
            network: network(config, xid),
            traffic: config.traffic,
            killseq: killseq(config),
            stop_timeout: config.init.sync_timeout,
            unenforced,
        })
    }

    /// Puts in the filters of [`Plan::calls`], which take a start as long to make as all the rest of its plan.
    pub fn filter(&mut self, filters: std::result::Result<Filters, seccomp::Error>) -> Result<()> {
        let (filter, asking) = filters.map_err(Error::layer("compile the system call policy", &self.name))?;
        (self.confinement.filters, self.confinement.asking) = (vec![filter], asking);
        Ok(())
    }

    /// What a stop of this guest does.
    pub fn stop_orders(&self) -> StopOrders {
        StopOrders {
            stop: self.init.stop.clone(),
            stop_env: stop_environment(&self.environment, &self.init),
            killseq: self.killseq.clone(),
            stop_timeout: self.stop_timeout,
        }
    }
}

/// What a stop needs to know of `config`: only that part of a plan.
pub fn ending(config: &GuestConfig) -> Result<(InitPlan, StopOrders)> {
    let tree = GuestRoot::open(&config.vdir).map_err(Error::layer("open the tree", &config.name))?;
    let init = init_style::plan(config, &tree)?;
    let orders = StopOrders {
        stop: init.stop.clone(),
        stop_env: stop_environment(&environment(config, &init), &init),
        killseq: killseq(config),
        stop_timeout: config.init.sync_timeout,
    };
    Ok((init, orders))
}

/// As at start, with the run levels of a shutdown. Source: util-vserver, `behaviours.md` §4, step 6.
fn stop_environment(environment: &[String], init: &InitPlan) -> Vec<String> {
    let level = |pair: &&String| pair.starts_with("PREVLEVEL=") || pair.starts_with("RUNLEVEL=");
    let kept = environment.iter().filter(|pair| !level(pair));
    kept.cloned().chain(init.stop_levels.iter().map(|(name, value)| format!("{name}={value}"))).collect()
}

/// Devices beyond those that every guest has.
fn nodes(config: &GuestConfig, disk: &DiskPlan, unenforced: &mut Vec<Unenforced>) -> Vec<DevicePlan> {
    let (mut devices, found) = devices::plan(config);
    // An own entry of the device map wins.
    devices.splice(0..0, tun::is_allowed(config).then(devices::tun));
    unenforced.extend(found);
    devices.extend(disk.quotas.as_ref().map(quotas::node));
    devices
}

/// A file in `sysctl/` wins over a total in `rlimits/` that means the same.
fn sysctls(config: &GuestConfig) -> Vec<(String, String)> {
    let own = config.sysctl.iter().filter(|(name, _)| unapplied::is_the_guests(config, name)).cloned();
    config.ipc_settings().into_iter().chain(ping(config)).chain(own).collect()
}

/// On a stack of the guest's own `raw_icmp` is a setting of that stack: everybody may ping. icmp(7).
fn ping(config: &GuestConfig) -> Option<(String, String)> {
    let wanted = config.ncaps.contains(NetCaps::RAW_ICMP) || config.ccaps.contains(ContextCaps::RAW_ICMP);
    let everybody = || ("net/ipv4/ping_group_range".to_owned(), "0 65535".to_owned());
    (wanted && config.network_space.is_own()).then(everybody)
}

fn id_base(config: &GuestConfig, xid: Xid) -> Result<Option<u32>> {
    match config.userns {
        Userns::Off => Ok(None),
        Userns::Auto => xid.id_base().map(Some).ok_or_else(|| Error::Taken {
            name: config.name.clone(),
            what: format!("context number {xid} has no range of user ids; give it a lower one in the file 'context'"),
        }),
    }
}

fn confinement(
    config: &GuestConfig,
    mode: SeccompMode,
    quotas: bool,
    unenforced: &mut Vec<Unenforced>,
) -> (Confinement, SeccompMode) {
    let userns = mode.userns;
    let (caps, refused) = attributes::capabilities(config, userns, mode);
    unenforced.extend(refused);
    unenforced.extend(mode.unenforced());
    let names = !userns || !caps.contains(Capability::SYS_ADMIN);
    let limits = !hard_limits(config, userns, caps).is_empty();
    let sysinfo = view::plan(config).answers_sysinfo();
    let confinement = Confinement {
        userns,
        caps,
        filters: Vec::new(),
        asking: None,
        ulimits: ulimits(config),
        nice: config.nice,
        ionice: config.ionice.map(|ionice| i32::from(ionice.class) << 13 | i32::from(ionice.priority.unwrap_or(4))),
        // The original's bias had 64 bits.
        oom_score_adj: config
            .badness
            .filter(|_| unapplied::can_set_badness(config.badness))
            .map(|bias| i32::try_from(bias.clamp(-1000, 1000)).unwrap_or(0)),
        oom_adjust: config.ccaps.contains(ContextCaps::OOM_ADJUST) && unapplied::commands_resources(),
        personality: config.personality.or_else(|| unapplied::machine_domain(config)),
        label: None,
    };
    (confinement, SeccompMode { names, limits, sysinfo, quotas, ..mode })
}

/// How far the guest's root may raise hard limits by its supervisor's help; nothing if it may not, or needs none.
fn hard_limits(config: &GuestConfig, userns: bool, caps: CapSet) -> Vec<Ulimit> {
    let able = !userns && caps.contains(Capability::SYS_RESOURCE);
    let asks = config.ccaps.contains(ContextCaps::SET_RLIMIT) && !able;
    if asks { config.highest_limits() } else { Vec::new() }
}

/// The configured limits over the default policy: no core files, a modest amount of locked memory.
fn ulimits(config: &GuestConfig) -> Vec<Ulimit> {
    let mut all = config.process_limits();
    for limit in &mut all {
        let configured = config.ulimits.iter().any(|own| own.resource == limit.resource);
        match limit.resource {
            Resource::Core if !configured => limit.soft = Some(Rlimit::Value(0)),
            Resource::Memlock if !configured => limit.soft = Some(Rlimit::Value(MEMLOCK)),
            _ => {}
        }
    }
    all
}

fn environment(config: &GuestConfig, init: &InitPlan) -> Vec<String> {
    let term = std::env::var("TERM").ok();
    let mut all = config.init.start_environment(term.as_deref());
    if matches!(init.first, First::Init(_)) {
        all.push("container=vserver".to_owned());
    }
    all
}

fn killseq(config: &GuestConfig) -> Vec<KillStep> {
    let steps = config.init.killseq.iter();
    steps.map(|step| KillStep { signal: step.signal, wait: step.wait.unwrap_or(Duration::from_secs(1)) }).collect()
}
