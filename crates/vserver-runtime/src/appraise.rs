//! What becomes of each setting that a guest really has: the second half of `vserver NAME check`.

use serde::Serialize;
use vserver_cgroup::{DevicePolicy, Layout};
use vserver_config::catalog::{self, Found, Told};
use vserver_config::{Diagnostic, GuestConfig, Severity, Style};
use vserver_fs::GuestRoot;
use vserver_sandbox::nested::Around;
use vserver_types::{GuestName, Limits, Unenforced, Verdict};

use crate::attributes::{call_policy, capabilities};
use crate::choose::cpus;
use crate::error::Result;
use crate::host::Host;
use crate::plan::fit;
use crate::{devices, disk, init_style, mounts, unapplied};

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Appraisal {
    /// Its path below the guest's directory or, with `.defaults/` before it, of the host's; a flag after its file; a line
    /// after its number.
    pub setting: String,
    /// How much of it holds on a stock kernel.
    pub verdict: Verdict,
    /// By what, or why not.
    pub how: String,
}

/// Every setting that the guest has of its own or from `.defaults/`, in alphabetical order. What could not be read is as if
/// it were not there; [`crate::inspect()`] tells of it.
///
/// # Errors
/// There is no such guest, or its configuration is of a kind that is not read at all.
pub fn appraise(host: &Host, name: &GuestName) -> Result<Vec<Appraisal>> {
    let (config, findings) = vserver_config::survey(&host.confdir, name)?;
    let mut details = details(&config);
    let mut all = Vec::new();
    let settings = catalog::found(&host.confdir, &config.dir);
    for found in &settings {
        let own = all.len();
        all.push(misunderstood(found, &config, &findings).unwrap_or_else(|| of(found, &details)));
        let (mine, rest) = details.into_iter().partition(|one| belongs(&one.setting, &found.path));
        details = rest;
        all.splice(own + 1..own + 1, mine);
    }
    // What is told of several files under one name was told with each.
    details.retain(|one| !settings.iter().any(|found| general(&found.path) == one.setting));
    all.extend(details);
    Ok(all)
}

/// A file of the guest's with a fault says nothing, whatever the table has of it.
fn misunderstood(found: &Found, config: &GuestConfig, findings: &[Diagnostic]) -> Option<Appraisal> {
    let path = config.dir.join(&found.path);
    let fault = findings.iter().find(|one| one.severity == Severity::Error && one.path == path)?;
    let how = format!("it is not understood: {}", fault.message);
    Some(Appraisal { setting: found.path.clone(), verdict: Verdict::Cannot, how })
}

/// What the table says of it, or, where that depends on the value, what is lost of this value.
fn of(found: &Found, details: &[Appraisal]) -> Appraisal {
    let name = general(&found.path);
    let setting = found.path.clone();
    let told = details.iter().position(|one| one.setting == name || one.setting == setting);
    match (told, found.setting.told) {
        // Files of one total, and those of several CPUs, share it.
        (Some(at), _) => Appraisal { setting, ..details[at].clone() },
        (None, Told::ByValue) => {
            let how = match found.setting.verdict {
                Verdict::Honoured => found.setting.how,
                Verdict::Partly | Verdict::Cannot => "nothing of this value is lost",
            };
            Appraisal { setting, verdict: Verdict::Honoured, how: how.to_owned() }
        }
        (None, _) => Appraisal { setting, verdict: found.setting.verdict, how: found.setting.how.to_owned() },
    }
}

/// The name under which a start tells of a file.
fn general(path: &str) -> String {
    let total = path.strip_prefix("rlimits/").map(|rest| format!("rlimits/{}", rest.trim_end_matches(".hard")));
    let bucket = path.strip_prefix("sched/").map(|rest| {
        let file = rest.rsplit('/').next().unwrap_or(rest);
        format!("sched/{}", if file == "priority-bias" { "prio-bias" } else { file })
    });
    // The files of one disk limit.
    let disk = path.strip_prefix("dlimits/").and_then(|rest| rest.split_once('/'));
    let disk = disk.filter(|(_, file)| *file != "disabled").map(|(name, _)| format!("dlimits/{name}"));
    // Those of one device.
    let device = path.strip_prefix("apps/vdevmap/").and_then(|rest| rest.split_once('/'));
    let device = device.map(|(name, _)| format!("apps/vdevmap/{name}"));
    total.or(bucket).or(disk).or(device).unwrap_or_else(|| path.to_owned())
}

/// Flags and lines of a file.
fn belongs(detail: &str, file: &str) -> bool {
    detail.strip_prefix(file).is_some_and(|rest| rest.starts_with([' ', ':']))
}

/// What a start would tell, and the flags that hold.
fn details(config: &GuestConfig) -> Vec<Appraisal> {
    let (config, mut lost) = fit(config, Around::here());
    let config = config.as_ref();
    lost.extend(config.unapplied.iter().cloned());
    lost.extend(unapplied::found(config));
    let (limits, without) = config.limits(cpus(), config.hz);
    lost.extend(without);
    lost.extend(control_files(config, &limits));
    lost.extend(mounts::plan(config).1);
    lost.extend(disk::plan(config).1);
    lost.extend(devices::plan(config).1);
    lost.extend(refused(config));
    lost.extend(DevicePolicy::default().with_raw(&config.cgroup).1);
    lost.extend(devices::plan(config).1);
    let is_lost = |setting: &String| lost.iter().any(|one| one.setting == *setting);
    let held: Vec<_> = unapplied::flags_of(config)
        .filter(|(setting, effect)| effect.verdict != Verdict::Cannot && !is_lost(setting))
        .collect();
    let held = held.into_iter().map(|(setting, effect)| Appraisal {
        setting,
        // Of what holds in some guests only, this is one.
        verdict: Verdict::Honoured,
        how: effect.how.to_owned(),
    });
    let lost = lost.into_iter().map(|one: Unenforced| Appraisal {
        setting: one.setting,
        verdict: one.degree.into(),
        how: one.reason,
    });
    lost.chain(held).collect()
}

/// What this host does not understand of `cgroup/`, the guest's own or the host's. Without a hierarchy nothing starts at all.
fn control_files(config: &GuestConfig, limits: &Limits) -> Vec<Unenforced> {
    let mut lost = Layout::detect().map(|layout| layout.foresee(limits)).unwrap_or_default();
    if !config.dir.join("cgroup").is_dir() {
        lost.iter_mut().for_each(|one| one.setting.insert_str(0, ".defaults/"));
    }
    lost
}

/// Capabilities that no guest gets, and wishes that need a user namespace.
fn refused(config: &GuestConfig) -> Vec<Unenforced> {
    let userns = config.userns == vserver_config::Userns::Auto;
    let tree = GuestRoot::open(&config.vdir).ok();
    let plan = tree.and_then(|tree| init_style::plan(config, &tree).ok());
    // Without a tree the style has to do.
    let systemd = plan.map_or(config.init.style() == Style::Systemd, |plan| plan.systemd);
    let mode = call_policy(config, userns, systemd);
    let (_, mut refused) = capabilities(config, userns, mode);
    refused.extend(mode.unenforced());
    refused
}
