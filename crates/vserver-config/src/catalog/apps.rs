//! Helpers, unification, packages, devices. Source: `config-tree.md` §5.9 – §5.11.

use super::setting::{Group, Kind, Setting, cannot, honoured};

pub(super) const ALL: Group = Group { title: "Helpers, packages, unification, devices: `apps/`", settings: SETTINGS };

/// Of every event that a kernel without the patch does not report.
pub(super) const NO_EVENT: &str = "the kernel tells of a reboot and of an end only";

const SETTINGS: &[Setting] = &[
    honoured(
        "apps/vshelper/action",
        Kind::Scalar,
        "what follows a guest's own end: restart, or a method",
        "helper::action_and_methods",
    ),
    honoured(
        "apps/vshelper/{poweroff,restart2}",
        Kind::Program,
        "as halt and restart, which the kernel does not tell them from, where there is none of these",
        "host_settings::a_power_off_is_a_halt",
    ),
    honoured(
        "apps/vshelper/{restart,halt,shutdown}",
        Kind::Program,
        "run in place of the handler; not if a guest could have written it",
        "helper::a_program_replaces_the_handler",
    ),
    cannot("apps/vshelper/{swsusp,startup,netup,netdown}", Kind::Program, NO_EVENT),
    honoured("apps/vshelper/disabled", Kind::Flag, "events are ignored", "helper::disabled_ignores_a_reboot"),
    cannot("apps/vshelper/debug", Kind::Flag, "not read, in the original neither; use vserver --debug")
        .not_at_start(),
    honoured(
        "apps/vshelper/warning-disabled",
        Kind::Flag,
        "always so: there is no kernel setting to warn of",
        "helper::state_files",
    ),
    honoured(
        "apps/vshelper/sync-timeout",
        Kind::Scalar,
        "seconds that a stop waits for the guest's init",
        "life::init_ignoring_its_signal_is_killed_in_time",
    ),
    honoured(
        "apps/vshelper-methods/<method>",
        Kind::Program,
        "the program of a method",
        "host_settings::a_method_of_the_guest_comes_first",
    ),
    honoured(
        "apps/snapshot/keep",
        Kind::Scalar,
        "how many snapshots stay where `snapshot create` is not told; `all` deletes none",
        "snapshots::a_setting_says_how_many_stay",
    )
    .not_at_start(),
    honoured("apps/vunify", Kind::Group, "vhashify may share the guest's files", "unify::a_running_guest_is_refused")
        .not_at_start(),
    honoured(
        "apps/vunify/exclude",
        Kind::Data,
        "which files stay the guest's own",
        "unify::the_configuration_decides",
    )
    .not_at_start(),
    honoured(
        "apps/vunify/refserver.<x>",
        Kind::Link,
        "the guests that vunify compares with",
        "unify::reference_guests",
    )
    .not_at_start(),
    honoured(
        "apps/vunify/hash/method",
        Kind::Scalar,
        "the digest of a store is that of its own file 'method'",
        "vserver-unify::an_old_store_keeps_its_digest_and_a_new_one_gets_the_faster",
    )
    .not_at_start(),
    cannot(
        "apps/vunify/hash/{blocks,blocksize}",
        Kind::Scalar,
        "a digest is always made of the whole file, and files are compared besides",
    )
    .not_at_start(),
    honoured("apps/vunify/hash/<id>", Kind::Link, "where shared files lie", "unify::the_configuration_decides")
        .not_at_start(),
    honoured(
        "apps/vunify/{pkgmgmt-ignore,pkgmgmt-force,pgkmgmt-force}",
        Kind::Flag,
        "whether the packages' configuration files stay the guest's own",
        "unify::the_configuration_decides",
    )
    .not_at_start(),
    honoured(
        "apps/pkgmgmt/internal",
        Kind::Flag,
        "the guest's own tools are run inside",
        "packages::each_guest_runs_its_own_tool",
    ),
    honoured(
        "apps/pkgmgmt/style",
        Kind::Scalar,
        "which tools there are, where the guest's tree does not tell",
        "packages::pkg_finds_the_guests_tool",
    ),
    honoured(
        "apps/pkgmgmt/{base,execdir}",
        Kind::Link,
        "the data of the host's tools, and programs that come before the host's",
        "outside::out_of_the_workshop",
    ),
    honoured(
        "apps/pkgmgmt/{rpmetc,rpmstate,rpmlib,yumetc,yumcache}",
        Kind::Link,
        "lent to the host's rpm and dnf, unless a guest could change the way there",
        "outside::the_hosts_rpm_and_dnf",
    ),
    honoured(
        "apps/pkgmgmt/{aptetc,aptstate,aptcache,aptarchives}",
        Kind::Link,
        "lent to the host's apt; never the host's own archives",
        "outside::the_hosts_apt",
    ),
    cannot("apps/pkgmgmt/{urpmietc,urpmistate}", Kind::Link, "the host's tools are apt, rpm and dnf").not_at_start(),
    honoured(
        "apps/vdevmap",
        Kind::Group,
        "devices beyond those that every guest has",
        "devices::a_device_is_opened_denied_and_put_in_the_place_of_another",
    ),
    honoured(
        "apps/vdevmap/<x>/{create,open,remap}",
        Kind::Flag,
        "a rule of its device policy, and with open a node in its /dev; with none the device is taken away",
        "devices::a_device_is_opened_denied_and_put_in_the_place_of_another",
    ),
    honoured(
        "apps/vdevmap/<x>/{device,target,flags}",
        Kind::Scalar,
        "the device, what is found in its place, and create, open, remap as bits",
        "devices::a_device_is_opened_denied_and_put_in_the_place_of_another",
    ),
];
