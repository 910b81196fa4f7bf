//! A guest inside of a guest (`cflags` `prolific`): what of its configuration is for the guest around it to decide, or for
//! nobody there. It shares the user namespace, the network stack, the devices and the addresses of that one, whose programs
//! hold for all cgroups below its own.

use std::borrow::Cow;

use vserver_config::{GuestConfig, NetworkSpace, Userns};
use vserver_sandbox::nested::Around;
use vserver_types::{ContextCaps, ContextFlags, FlagKind, Resource, Traffic, Unenforced};

use crate::error::{Error, Result};

const NO_USERNS: &str = "a guest inside of another has no user namespace of its own, but that of the guest around it";
const NO_LISTENER: &str = "inside of another guest nobody answers its calls: a process can be heard by one supervisor only, the \
                           outer guest's";
const NO_CLOCK: &str = "inside of another guest nobody may set clocks: it has those of the guest around it";

/// Flags that hold on a host alone.
const CCAPS: [(u64, &str); 2] = [
    (ContextCaps::SET_UTSNAME | ContextCaps::SET_RLIMIT | ContextCaps::QUOTA_CTL, NO_LISTENER),
    (
        ContextCaps::SECURE_MOUNT
            | ContextCaps::SECURE_REMOUNT
            | ContextCaps::BINARY_MOUNT
            | ContextCaps::ADMIN_CLOOP
            | ContextCaps::NAMESPACE,
        NO_USERNS,
    ),
];
const CFLAGS: [(u64, &str); 3] = [
    (ContextFlags::VIRT_UPTIME, NO_CLOCK),
    (ContextFlags::VIRT_MEM | ContextFlags::VIRT_CPU | ContextFlags::VIRT_LOAD | ContextFlags::FORK_RSS, NO_LISTENER),
    (ContextFlags::PROLIFIC, NO_USERNS),
];

/// Refuses a guest that cannot be made here at all.
pub(crate) fn judge(config: &GuestConfig, around: Around) -> Result<()> {
    match obstacle(config, around) {
        None => Ok(()),
        Some((what, remedy)) => Err(Error::Taken { name: config.name.clone(), what: format!("{what}: {remedy}") }),
    }
}

/// Why it cannot, and what to do.
pub(crate) fn obstacle(config: &GuestConfig, around: Around) -> Option<(&'static str, &'static str)> {
    if !around.allows_guests() {
        let what = "this is a guest, or another container, that may make no guests";
        return Some((what, "give it the flag 'prolific' (file 'cflags') on its host, and start it again"));
    }
    let what = "inside of another guest it cannot have a network stack of its own";
    let own = !around.is_host() && config.network_space != NetworkSpace::Host;
    own.then_some((what, "remove 'netns' and 'spaces/net' from its configuration"))
}

/// What of `config` can be had, and what of it cannot. On a host that is the whole of it.
pub(crate) fn fit(config: &GuestConfig, around: Around) -> (Cow<'_, GuestConfig>, Vec<Unenforced>) {
    if around.is_host() {
        return (Cow::Borrowed(config), Vec::new());
    }
    let (mut fitted, mut found) = (config.clone(), Vec::new());
    let mut lose = |is_set: bool, setting: &str, reason: &str| {
        found.extend(is_set.then(|| Unenforced::none(setting, reason)));
    };
    lose(config.userns == Userns::Auto, "userns", NO_USERNS);
    let has = "those of the guest around it: give that one, on its host, what this one needs";
    lose(true, "devices", &format!("inside of another guest it has {has}"));
    lose(true, "addresses", &format!("inside of another guest it has {has}"));
    lose(
        !config.devices.is_empty(),
        "apps/vdevmap",
        "a guest makes no device nodes; its guests have those of its own /dev",
    );
    lose(
        config.traffic != Traffic::default(),
        "traffic",
        "nobody counts inside of a guest: hold the guest around it",
    );
    lose(
        config.socket_limit().is_some(),
        "rlimits/nsock",
        "nobody counts inside of a guest: hold the guest around it",
    );
    lose(!config.dlimits.is_empty(), "dlimits", "quotas are the host's to set: limit the guest around it");
    lose(config.tag.is_some(), "tag", "tags are the host's to set: those of the guest around it hold");
    lose(config.cpuset_virtualized, "cpuset/virtualized", NO_LISTENER);
    for (kind, file, word, masks) in [
        (FlagKind::Ccap, "ccapabilities", config.ccaps.0, &CCAPS[..]),
        (FlagKind::Cflag, "cflags", config.cflags.0, &CFLAGS),
    ] {
        for (mask, reason) in masks {
            kind.effects_of(word & mask).for_each(|flag| lose(true, &format!("{file} {}", flag.name), reason));
        }
    }
    fitted.userns = Userns::Off;
    (fitted.no_ncontext, fitted.traffic, fitted.cpuset_virtualized) = (true, Traffic::default(), false);
    fitted.interfaces.clear();
    fitted.devices.clear();
    fitted.dlimits.clear();
    (fitted.tag, fitted.umask.value) = (None, 0);
    fitted.rlimits.remove(&Resource::Nsock);
    fitted.ccaps.0 &= !CCAPS.iter().fold(0, |all, (mask, _)| all | mask);
    fitted.cflags.0 &= !CFLAGS.iter().fold(0, |all, (mask, _)| all | mask);
    (Cow::Owned(fitted), found)
}
