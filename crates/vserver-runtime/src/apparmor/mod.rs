//! AppArmor, on a host that has it. Its profiles attach to programs by their paths, and what lies at a path of the guest's
//! is another program than the host's: so a guest has a policy namespace of its own, where none of the host's profiles
//! are. A profile that the administrator names holds it besides, as a label of two. Source: apparmor(7), apparmor_parser(8).

mod kernel;
mod namespace;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use vserver_config::{AppArmor, Diagnostic, GuestConfig, Severity};
use vserver_types::{GuestName, Unenforced};

use crate::error::{Error, Result};
use crate::record::RunRecord;

/// The name of the setting, and of what is told at start.
const SETTING: &str = "apparmor";

/// What AppArmor is to do with a guest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppArmorPlan {
    /// Its own policy namespace, to be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The host's profile that holds it, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

impl AppArmorPlan {
    /// Nothing: the guest's processes keep the label of whoever starts them.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What its processes get, in the kernel's notation.
    pub fn label(&self) -> Option<String> {
        let own = self.namespace.as_ref().map(|namespace| format!(":{namespace}:unconfined"));
        let parts: Vec<String> = self.profile.iter().cloned().chain(own).collect();
        (!parts.is_empty()).then(|| parts.join("//&"))
    }
}

/// What can be done of the guest's wish on this host.
pub fn plan(config: &GuestConfig) -> AppArmorPlan {
    if config.apparmor == AppArmor::Off || !kernel::is_enabled() {
        return AppArmorPlan::default();
    }
    let profile = match &config.apparmor {
        AppArmor::Profile(profile) => Some(profile.clone()),
        AppArmor::Own | AppArmor::Off => None,
    };
    AppArmorPlan { namespace: kernel::has_files().then(|| name_of(&config.name)), profile }
}

/// What of it cannot.
pub fn unapplied(config: &GuestConfig) -> Option<Unenforced> {
    let named = matches!(config.apparmor, AppArmor::Profile(_));
    match config.apparmor {
        AppArmor::Off => None,
        _ if !kernel::is_enabled() => named.then(|| {
            let reason = "this host's kernel has no AppArmor, or does not use it; remove the setting, or boot with \
                          apparmor=1 security=apparmor";
            Unenforced::none(SETTING, reason)
        }),
        _ if !kernel::has_files() => {
            Some(lost(named, "its files are not there: mount securityfs on /sys/kernel/security"))
        }
        _ => None,
    }
}

/// A guest without a namespace of its own.
fn lost(named: bool, why: &str) -> Unenforced {
    let reason = format!("the guest has no policy namespace, so the host's profiles attach to its programs ({why})");
    if named { Unenforced::partial(SETTING, reason) } else { Unenforced::none(SETTING, reason) }
}

/// A profile that nobody has loaded; only where that can be known.
pub fn fault(config: &GuestConfig) -> Option<Diagnostic> {
    let AppArmor::Profile(profile) = &config.apparmor else { return None };
    if !kernel::is_enabled() || kernel::has_profile(profile) != Some(false) {
        return None;
    }
    Some(Diagnostic {
        path: file_of(config),
        line: Some(1),
        severity: Severity::Error,
        message: format!("no profile '{}' is loaded on this host", profile.escape_debug()),
        hint: Some("load it with apparmor_parser -r, or name another one".to_owned()),
    })
}

/// The guest's, or the host's for all guests.
fn file_of(config: &GuestConfig) -> PathBuf {
    let own = config.dir.join(SETTING);
    if own.exists() { own } else { config.dir.with_file_name(".defaults").join(SETTING) }
}

/// The name of a guest has only characters that AppArmor takes.
fn name_of(guest: &GuestName) -> String {
    format!("vserver-{guest}")
}

/// Makes the namespace; what processes of the guest get as their label. What could not be done is in the record then.
pub fn make(plan: &AppArmorPlan, record: &mut RunRecord) -> Option<String> {
    let failed = plan.namespace.as_ref().and_then(|name| namespace::make(name).err());
    let Some(error) = failed else { return plan.label() };
    record.unenforced.push(lost(plan.profile.is_some(), &format!("it could not be made: {error}")));
    AppArmorPlan { namespace: None, ..plan.clone() }.label()
}

/// Takes it away again.
pub fn remove(record: &RunRecord) -> Result<()> {
    let removed = record.apparmor.as_ref().map_or(Ok(()), |name| namespace::remove(name));
    removed.map_err(Error::layer("remove its AppArmor namespace", &record.name))
}

#[cfg(test)]
mod tests {
    use super::AppArmorPlan;

    #[test]
    fn a_label_has_what_the_plan_has() {
        let own = AppArmorPlan { namespace: Some("vserver-web1".into()), profile: None };
        assert_eq!(own.label().as_deref(), Some(":vserver-web1:unconfined"));
        let both = AppArmorPlan { profile: Some("guests".into()), ..own };
        assert_eq!(both.label().as_deref(), Some("guests//&:vserver-web1:unconfined"));
        let held = AppArmorPlan { namespace: None, ..both };
        assert_eq!(held.label().as_deref(), Some("guests"));
        assert_eq!(AppArmorPlan::default().label(), None);
        assert!(AppArmorPlan::default().is_empty());
    }
}
