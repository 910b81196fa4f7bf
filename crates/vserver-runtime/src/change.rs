//! What of a running guest's words changes while it runs, under its lock.

use vserver_cgroup::{DevicePolicy, GuestCgroup};
use vserver_net::Steer;
use vserver_types::{ContextCaps, ContextFlags, FlagKind, GuestName, Limits, NetCaps, Unenforced};

use crate::addresses::{confine, gains};
use crate::attributes::Attributes;
use crate::choose::cpus;
use crate::devices;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::plan::NetworkPlan;
use crate::record::RunRecord;
use crate::start::LOCK_PATIENCE;

/// Flags that are remembered and change nothing: what they say is always so here, or means nothing. Source: `flags.md` §4:
/// lock, nproc, fakeinit, hideinfo, ulimit, namespace, hide_mount, hide_netif, hide_vinfo, the three state flags,
/// sc_helper, reboot_kill.
const REMEMBERED: u64 = 0x1 | 0x4 | 0x10 | 0x20 | 0x40 | 0x80 | 0x700_0000 | 0x7 << 32 | 1 << 36 | 1 << 37;
/// Of these, what is taken off once and never set again. Source: `flags.md` §4.
const ONE_TIME: u64 = 0x7 << 32;
/// Flags that take effect at once.
const LIVE: u64 =
    ContextFlags::SCHED_PAUSE | ContextFlags::SCHED_HARD | ContextFlags::SCHED_PRIO | ContextFlags::PRIVATE;
/// Context capabilities that do, or change nothing.
const LIVE_CCAPS: u64 = ContextCaps::RAW_ICMP | ContextCaps::AUDIT_CONTROL;

/// Gives a running guest the words `wanted` as far as that is possible now. Returns what is not enforced, and the
/// changes that need a restart, by name.
pub fn change_attributes(
    host: &Host,
    name: &GuestName,
    wanted: Attributes,
) -> Result<(Vec<Unenforced>, Vec<String>)> {
    let _lock = host.lock(name, LOCK_PATIENCE)?;
    let mut record = running(host, name)?;
    let now = record.attributes;
    let cgroup = record.cgroup_of_running()?;
    let changed = now.cflags.0 ^ wanted.cflags.0;
    let taken = |now: u64, wanted: u64, mask: u64| now & !mask | wanted & mask;
    let cflags = taken(now.cflags.0, wanted.cflags.0, LIVE | REMEMBERED);
    record.attributes.cflags = ContextFlags(cflags & !(ONE_TIME & !now.cflags.0));
    record.attributes.ccaps = ContextCaps(taken(now.ccaps.0, wanted.ccaps.0, LIVE_CCAPS));
    let mut report = Vec::new();
    if changed & (ContextFlags::SCHED_HARD | ContextFlags::SCHED_PRIO) != 0 {
        report.extend(apply_bucket(&record, &cgroup)?);
    }
    if now.ccaps != record.attributes.ccaps {
        report.extend(follow(host, &mut record, &cgroup)?);
    }
    if changed & ContextFlags::SCHED_PAUSE != 0 {
        let pause = wanted.cflags.contains(ContextFlags::SCHED_PAUSE);
        let done = if pause { cgroup.freeze() } else { cgroup.thaw() };
        done.map_err(Error::layer("put it on hold or let it go", name))?;
    }
    record.save(host)?;
    Ok((report, later(now, wanted)))
}

/// Changes what a running guest's sockets are held to, at once: `change` edits it, and `false` leaves all as it was.
pub fn change_network(
    host: &Host,
    name: &GuestName,
    change: impl FnOnce(&mut NetworkPlan, &mut Attributes) -> bool,
) -> Result<Vec<Unenforced>> {
    let _lock = host.lock(name, LOCK_PATIENCE)?;
    let mut record = running(host, name)?;
    let Some(mut network) = record.network.clone() else {
        let what = "it has no network context (file 'noncontext'): all addresses of the host are its own".to_owned();
        return Err(Error::Taken { name: name.clone(), what });
    };
    let before = record.attributes.ncaps.contains(NetCaps::TUN_CREATE);
    if !change(&mut network, &mut record.attributes) {
        return Ok(Vec::new());
    }
    let earlier = record.network.replace(network);
    let cgroup = record.cgroup_of_running()?;
    // What was bound to a wildcard before shall hear what comes, also in a guest with one address.
    let steer = if gains(earlier.as_ref(), record.network.as_ref()) { Steer::Always } else { Steer::Yes };
    let mut report = confine(host, &record, &cgroup, steer)?;
    if record.attributes.ncaps.contains(NetCaps::TUN_CREATE) != before {
        report.extend(follow_tun(&mut record, &cgroup)?);
    }
    record.save(host)?;
    Ok(report)
}

/// Lets a running guest use the devices that `line` names (as in `devices.allow`), or takes them away again.
pub fn change_devices(host: &Host, name: &GuestName, line: &str, allow: bool) -> Result<Vec<Unenforced>> {
    let _lock = host.lock(name, LOCK_PATIENCE)?;
    let mut record = running(host, name)?;
    let cgroup = record.cgroup_of_running()?;
    let report = let_or_deny(&mut record, &cgroup, line, allow)?;
    record.save(host)?;
    Ok(report)
}

fn let_or_deny(record: &mut RunRecord, cgroup: &GuestCgroup, line: &str, allow: bool) -> Result<Vec<Unenforced>> {
    let (config, _) = vserver_config::read(&record.confdir, &record.name)?;
    record.devices.retain(|own| own != line);
    let mut rules = config.cgroup.clone();
    let (mapped, _) = devices::plan(&config);
    rules.extend(devices::rules(&mapped).filter(|(file, _)| file == "devices.deny"));
    if allow {
        record.devices.push(line.to_owned());
    } else {
        rules.push(("devices.deny".to_owned(), line.to_owned()));
    }
    rules.extend(record.devices.iter().map(|line| ("devices.allow".to_owned(), line.clone())));
    let (policy, report) = DevicePolicy::default().with_raw(&rules);
    cgroup.device_policy(&policy).map_err(Error::layer("restrict the devices", &record.name))?;
    Ok(report)
}

/// `tun_create` given or taken: the device at once, its node only from the next start on. A guest for which the
/// configuration makes a device keeps it.
fn follow_tun(record: &mut RunRecord, cgroup: &GuestCgroup) -> Result<Vec<Unenforced>> {
    let wanted = record.attributes.ncaps.contains(NetCaps::TUN_CREATE);
    let mut report = let_or_deny(record, cgroup, devices::TUN_RULE, wanted || record.own_tuns)?;
    if wanted && !record.has_tun {
        let reason = "its /dev has the node net/tun from its next start on, if 'ncapabilities' says so";
        report.push(Unenforced::partial("ncapabilities tun_create", reason));
    }
    Ok(report)
}

pub(crate) fn running(host: &Host, name: &GuestName) -> Result<RunRecord> {
    let record = RunRecord::load(host, name)?.filter(RunRecord::supervisor_lives);
    record.ok_or_else(|| Error::NotRunning { name: name.clone() })
}

fn follow(host: &Host, record: &mut RunRecord, cgroup: &GuestCgroup) -> Result<Vec<Unenforced>> {
    let words = record.attributes;
    if let Some(network) = &mut record.network {
        network.follow(words.ncaps, words.ccaps, words.nflags);
    }
    confine(host, record, cgroup, Steer::Yes)
}

/// The token bucket of the configuration as a bound (`sched_hard`) or as a weight.
fn apply_bucket(record: &RunRecord, cgroup: &GuestCgroup) -> Result<Vec<Unenforced>> {
    let (mut config, _) = vserver_config::read(&record.confdir, &record.name)?;
    config.cflags = record.attributes.cflags;
    let (wanted, mut report) = config.limits(cpus(), config.hz);
    report.retain(|item| item.setting.starts_with("sched/"));
    let failed = |action: &'static str| Error::layer(action, &record.name);
    let now = cgroup.limits().map_err(failed("read the limits"))?;
    let limits = Limits { cpu: wanted.cpu, cpu_weight: wanted.cpu_weight, raw: Vec::new(), ..now };
    report.extend(cgroup.apply(&limits).map_err(failed("set the limits"))?);
    Ok(report)
}

/// What a running process cannot be given or denied any more.
fn later(now: Attributes, wanted: Attributes) -> Vec<String> {
    let words = [
        ("bcapabilities", FlagKind::Bcap, now.bcaps.0 ^ wanted.bcaps.0),
        ("ccapabilities", FlagKind::Ccap, (now.ccaps.0 ^ wanted.ccaps.0) & !LIVE_CCAPS),
        ("cflags", FlagKind::Cflag, (now.cflags.0 ^ wanted.cflags.0) & !(LIVE | REMEMBERED)),
        ("umask", FlagKind::Space, now.umask ^ wanted.umask),
    ];
    let changed = words.into_iter().filter(|(_, _, bits)| *bits != 0);
    changed.map(|(file, kind, bits)| format!("{file} {}", kind.print(bits))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_restart_is_named() {
        let now = Attributes::default();
        let mut wanted = now;
        wanted.cflags = ContextFlags(LIVE | REMEMBERED);
        wanted.ccaps = ContextCaps(ContextCaps::RAW_ICMP);
        assert!(later(now, wanted).is_empty());
        wanted.cflags = ContextFlags(ContextFlags::PERSISTENT | ContextFlags::SCHED_PAUSE);
        wanted.bcaps = vserver_types::CapSet(1 << 13);
        assert_eq!(later(now, wanted), ["bcapabilities NET_RAW", "cflags persistent"]);
    }
}
