//! The capability bounding set of a guest: VServer's secure set, adapted to a kernel without VServer's own checks, and
//! changed by the guest's `bcapabilities`.

use vserver_types::{CapSet, Capability as Cap, Unenforced};

/// Capabilities that reach the host from a guest whatever else confines it.
const NEVER: &[(Cap, &str)] = &[
    (Cap::SYS_MODULE, "it would load code into the host's kernel"),
    (Cap::SYS_RAWIO, "it would reach the host's memory, ports and disks"),
];

/// Capabilities that are refused when the guest's root is the host's uid 0.
const NOT_CLASSIC: &[(Cap, &str)] = &[
    (Cap::SYS_ADMIN, "without a user namespace it is as good as the host's root: set `userns` to `auto`"),
    (Cap::SYS_TIME, "the clock is the host's: let the host keep the time"),
];

/// Capabilities that a user namespace makes harmless because what they govern belongs to the host.
const POWERLESS: &[(Cap, &str)] = &[
    (Cap::NET_ADMIN, "the network stack is the host's"),
    (Cap::NET_RAW, "the network stack is the host's"),
    (Cap::SYS_TIME, "the clock is the host's"),
    (Cap::SYSLOG, "the kernel's log is the host's"),
    (Cap::MKNOD, "the kernel makes no device nodes in a user namespace"),
    (Cap::LINUX_IMMUTABLE, "the kernel asks for it outside the user namespace"),
    (Cap::SYS_NICE, "the kernel asks for it outside the user namespace"),
    (Cap::SYS_RESOURCE, "the kernel asks for it outside the user namespace"),
    (Cap::IPC_LOCK, "the kernel asks for it outside the user namespace"),
];

/// Capability numbers above this one are unknown, and unknown is off (CVE-2005-4418 was the opposite).
const LAST_KNOWN: u8 = Cap::CHECKPOINT_RESTORE.0;

/// The set before `bcapabilities`: differences from [`CapSet::SECURE`], each with its reason.
fn default_set(userns: bool, nesting: bool) -> CapSet {
    // SETPCAP only lowers; systemd and capsh need it. VServer had it off.
    let mut set = CapSet::SECURE.with(Cap::SETPCAP);
    if !userns {
        // Beside DAC_OVERRIDE it only adds opening by file handle, which leaves every root directory.
        set = set.without(Cap::DAC_READ_SEARCH);
    }
    if userns && nesting {
        // Mounts and namespaces of the guest's own, which its init asks for. Governs nothing outside.
        set = set.with(Cap::SYS_ADMIN);
    }
    set
}

/// The bounding set of a guest, and what of `edit` could not be given, with the reason. `edit` is the value and the mask
/// word of the guest's `bcapabilities`: bits outside the mask keep their default (see `flags.md` §1 and §2).
pub fn bounding_set(userns: bool, nesting: bool, edit: (u64, u64)) -> (CapSet, Vec<Unenforced>) {
    let (value, mask) = edit;
    let known = u64::MAX >> (63 - LAST_KNOWN);
    let mut set = CapSet((default_set(userns, nesting).0 & !mask | value & mask) & known);
    let mut refused = Vec::new();
    let classic = if userns { &[] } else { NOT_CLASSIC };
    for (cap, reason) in NEVER.iter().chain(classic) {
        if set.contains(*cap) {
            refused.push(Unenforced::none(setting(*cap), format!("{reason}; the guest does not get it")));
            set = set.without(*cap);
        }
    }
    if userns {
        let powerless = POWERLESS.iter().filter(|(cap, _)| set.contains(*cap));
        refused.extend(powerless.map(|(cap, reason)| {
            Unenforced::partial(setting(*cap), format!("{reason}: it has no effect in the guest's user namespace"))
        }));
    }
    (set, refused)
}

fn setting(cap: Cap) -> String {
    format!("bcapabilities {}", cap.name().unwrap_or("?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_EDIT: (u64, u64) = (0, 0);

    fn add(cap: Cap) -> (u64, u64) {
        (1 << cap.0, 1 << cap.0)
    }

    #[test]
    fn defaults_of_all_modes() {
        let (classic, refused) = bounding_set(false, false, NO_EDIT);
        assert!(refused.is_empty());
        assert_eq!(
            classic.to_string(),
            "CHOWN,DAC_OVERRIDE,FOWNER,FSETID,KILL,SETGID,SETUID,SETPCAP,NET_BIND_SERVICE,SYS_CHROOT,SYS_PTRACE,\
             SYS_BOOT,SYS_TTY_CONFIG,LEASE,AUDIT_WRITE,SETFCAP"
        );
        let (user, refused) = bounding_set(true, false, NO_EDIT);
        assert!(refused.is_empty());
        assert_eq!(user, classic.with(Cap::DAC_READ_SEARCH));
        let (nesting, refused) = bounding_set(true, true, NO_EDIT);
        assert!(refused.is_empty());
        assert_eq!(nesting, user.with(Cap::SYS_ADMIN));
        assert!(!bounding_set(false, true, NO_EDIT).0.contains(Cap::SYS_ADMIN), "classic guests never nest");
    }

    #[test]
    fn never_means_never() {
        for userns in [false, true] {
            let (set, refused) = bounding_set(userns, true, (u64::MAX, u64::MAX));
            assert!(!set.contains(Cap::SYS_MODULE) && !set.contains(Cap::SYS_RAWIO));
            assert_eq!(set.contains(Cap::SYS_ADMIN), userns);
            assert_eq!(set.0 >> 41, 0, "unknown capabilities are off");
            assert!(refused.iter().any(|r| r.setting == "bcapabilities SYS_MODULE"));
        }
        let (_, refused) = bounding_set(false, false, (u64::MAX, u64::MAX));
        assert_eq!(refused.len(), 4);
    }

    #[test]
    fn edits_add_and_remove() {
        let (set, refused) = bounding_set(false, false, add(Cap::NET_RAW));
        assert!(set.contains(Cap::NET_RAW) && refused.is_empty());
        let (set, refused) = bounding_set(true, false, add(Cap::NET_RAW));
        assert!(set.contains(Cap::NET_RAW));
        assert_eq!(refused.len(), 1, "no power over the host's network stack");
        let (set, _) = bounding_set(true, false, (0, 1 << Cap::KILL.0));
        assert!(!set.contains(Cap::KILL) && set.contains(Cap::CHOWN));
        let (only, refused) = bounding_set(true, true, (1 << Cap::CHOWN.0, u64::MAX));
        assert_eq!(only, CapSet::of(&[Cap::CHOWN]));
        assert!(refused.is_empty());
    }

    #[test]
    fn k05_the_clock_is_not_for_sale() {
        let (set, refused) = bounding_set(false, false, add(Cap::SYS_TIME));
        assert!(!set.contains(Cap::SYS_TIME));
        assert_eq!(refused.len(), 1);
    }
}
