//! Numbers, links, capabilities, flags and names. Source: `config-tree.md` §5.1, §5.2, §5.4.

use super::setting::{Group, Kind, Setting, cannot, honoured, partly};

pub(super) const LINKS: Group = Group { title: "Identity and links", settings: LINK };
pub(super) const FLAGS: Group = Group { title: "Capabilities, flags, personality", settings: FLAG };
pub(super) const UTS: Group = Group { title: "Names of the system: `uts/`", settings: NAMES };

const LINK: &[Setting] = &[
    honoured(
        "vdir",
        Kind::Link,
        "the guest's tree, which becomes its root by pivot_root",
        "fstab::the_hosts_file_systems_are_not_shown",
    ),
    honoured(
        "cache",
        Kind::Link,
        "shown; nothing has to be kept there, as usage is not counted by a walk",
        "vserver-config::identities_and_links",
    ),
    honoured(
        "run",
        Kind::Link,
        "its target holds the context number while the guest runs",
        "life::run_file_is_utilvservers",
    ),
    honoured(
        "name",
        Kind::Scalar,
        "what vserver-stat shows, as in the original nothing else uses it",
        "watch::the_shown_name_is_the_configured_one",
    ),
    honoured(
        "context",
        Kind::Scalar,
        "number of the guest, of its user ids and its private loopback address; without it one is given at start",
        "bad_input::context_in_use",
    ),
    honoured(
        "ncontext",
        Kind::Scalar,
        "number of its addresses: private loopback address, naddress, nattribute",
        "address::the_loopback_address_follows_ncontext",
    ),
    partly(
        "tag",
        Kind::Scalar,
        "project of the guest's files on ext4 and xfs, by which limits count; btrfs and others keep none, which is said at start",
        "disk::a_tag_is_set_or_its_absence_is_said",
    )
    .by_value(),
    honoured(
        "noncontext",
        Kind::Flag,
        "no address filter is attached to its cgroup",
        "address::noncontext_holds_nobody",
    ),
    honoured(
        "disabled",
        Kind::Flag,
        "left out when boot or a command starts all guests; one that runs is stopped with the others",
        "host_settings::a_disabled_guest_is_left_out",
    ),
    honoured("noisy", Kind::Flag, "start and stop tell more", "options::noisy_and_verbose_tell_more"),
    honoured("shell", Kind::Scalar, "program for enter, one word", "enter::shell_of_the_guest_or_the_host"),
    cannot("keepfds", Kind::Flag, "no descriptor of the host is handed to a guest")
        .seen_in("security::e04_inherited_descriptors"),
    cannot("legacy", Kind::Flag, "a guest of the 2.4 kind is refused; move its settings and remove the file"),
    honoured(
        "apparmor",
        Kind::Scalar,
        "ours: a profile of the host that holds all of the guest, or unconfined; without it the guest has a policy namespace of its own, where AppArmor is",
        "apparmor::a_profile_of_the_host_holds_the_guest",
    )
    .by_value(),
    honoured(
        "userns",
        Kind::Scalar,
        "ours: auto (the guest's root is nobody on the host) or off (as in Linux-VServer)",
        "life::classic_mode_without_user_namespace",
    ),
];

const FLAG: &[Setting] = &[
    honoured(
        "bcapabilities",
        Kind::Lines,
        "capability bounding set; those over the host are refused or without effect, and said",
        "flags::bcapabilities_are_a_list_of_changes",
    ),
    honoured("ccapabilities", Kind::Lines, "each flag as in flags.md", "flags::secure_mount_and_secure_remount"),
    honoured("cflags", Kind::Lines, "each flag as in flags.md", "flags::what_cannot_be_is_said_at_start"),
    honoured(
        "flags",
        Kind::Lines,
        "older name of cflags, which counts if both are there",
        "host_settings::older_names_of_files",
    ),
    honoured("nflags", Kind::Lines, "each flag as in flags.md", "flags_net::single_ip"),
    honoured("ncapabilities", Kind::Lines, "each flag as in flags.md", "flags_net::raw_icmp"),
    honoured(
        "umask",
        Kind::Lines,
        "namespaces that the guest may make: system call filter",
        "flags::umask_names_the_namespaces_to_be_made",
    ),
    cannot("capabilities", Kind::Lines, "this list is of the 2.4 kernels; use bcapabilities"),
    honoured("personality", Kind::Lines, "personality(2)", "flags::personality"),
    honoured(
        "badness",
        Kind::Scalar,
        "oom_score_adj, at most 1000; one below nought asks for CAP_SYS_RESOURCE of the host's root",
        "standing::badness_ionice_and_nice",
    )
    .by_value(),
];

/// Why the other names are as they are.
const FIXED: &str =
    "a UTS namespace has its own host and domain name only; remove the file, or give it the host's value";

const NAMES: &[Setting] = &[
    honoured("uts/nodename", Kind::Text, "UTS namespace", "standing::names"),
    honoured("uts/domainname", Kind::Text, "UTS namespace", "standing::names"),
    cannot("uts/{sysname,release,version}", Kind::Text, FIXED).by_value().seen_in("standing::names"),
    partly("uts/machine", Kind::Text, FIXED, "standing::names").by_value(),
    honoured(
        "uts/context",
        Kind::Text,
        "changes nothing, in the original neither",
        "vserver-config::what_cannot_be_is_named",
    ),
    cannot("hostname", Kind::Scalar, "of the 2.4 kernels; use uts/nodename"),
    cannot("domainname", Kind::Scalar, "of the 2.4 kernels; use uts/domainname"),
];
