//! `.defaults/`: what all guests of a host share. Source: `config-tree.md` §3.

use super::apps::NO_EVENT;
use super::setting::{Group, Kind, Setting, cannot, honoured, partly};

pub(super) const GUESTS: Group = Group { title: "For all guests", settings: FOR_GUESTS };
pub(super) const APPS: Group = Group { title: "For all guests: `apps/`", settings: FOR_APPS };
pub(super) const BUILD: Group = Group { title: "For builds, and for the host", settings: FOR_BUILDS };

const CGROUP: &[&str] = &["cgroup", "nocgroup"];
const NETNS: &[&str] = &["netns", "nonetns"];
const DETACHED: &str = "the host's root is always detached; bind what a guest needs in its fstab";

const FOR_GUESTS: &[Setting] = &[
    honoured("shell", Kind::Scalar, "program for enter, one word", "enter::shell_of_the_guest_or_the_host")
        .for_guests_without(&["shell"]),
    honoured("apparmor", Kind::Scalar, "as of a guest", "apparmor::a_profile_of_the_host_holds_the_guest")
        .for_guests_without(&["apparmor"])
        .by_value(),
    cannot("keepfds", Kind::Flag, "no descriptor of the host is handed to a guest").for_guests_without(&[]),
    cannot("nonamespace", Kind::Flag, "a guest without a mount namespace cannot be made safe; it has one")
        .for_guests_without(&["namespace"]),
    cannot("nonamespace-cleanup", Kind::Flag, DETACHED)
        .for_guests_without(&["namespace-cleanup", "nonamespace-cleanup"]),
    cannot("namespace-cleanup-skip", Kind::Arguments, DETACHED).for_guests_without(&["namespace-cleanup-skip"]),
    honoured("init/mtab", Kind::Data, "beginning of /etc/mtab", "host_settings::the_beginning_of_mtab")
        .for_guests_without(&["apps/init/mtab"]),
    honoured(
        "interfaces/vlandev",
        Kind::Flag,
        "as of a guest: VLAN devices are made and removed",
        "host_settings::vlans_and_who_denies_them",
    )
    .for_guests_without(&["interfaces/novlandev"]),
    honoured(
        "netns",
        Kind::Directory,
        "every guest without a netns/ of its own uses it, as a whole",
        "netns::a_shared_one_is_left_alone",
    )
    .for_guests_without(NETNS),
    honoured("netns/name", Kind::Scalar, "as of a guest", "netns::a_shared_one_is_left_alone")
        .for_guests_without(NETNS),
    honoured("netns/shared", Kind::Flag, "as of a guest", "netns::a_shared_one_is_left_alone")
        .for_guests_without(NETNS),
    honoured("netns/firewall", Kind::Flag, "as of a guest", "netns::packet_filters_of_its_own")
        .for_guests_without(NETNS),
    honoured("netns/sctp", Kind::Flag, "as of a guest", "sctp::between_two_stacks").for_guests_without(NETNS),
    honoured(
        "netns/interfaces/<x>/{host,guest,type,bridge,switch,parent,mode,vlan,mtu,mac,antispoof}",
        Kind::Scalar,
        "as of a guest",
        "netns::a_pair_with_a_bridge",
    )
    .for_guests_without(NETNS),
    honoured(
        "netns/interfaces/<x>/{gateway,forward,trunk}",
        Kind::Lines,
        "as of a guest",
        "netns::a_pair_with_a_bridge",
    )
    .for_guests_without(NETNS),
    honoured("netns/interfaces/<x>/{routed,masquerade}", Kind::Flag, "as of a guest", "netns::a_routed_pair")
        .for_guests_without(NETNS),
    honoured(
        "cgroup/<file>",
        Kind::Data,
        "written to that control file of a new cgroup, as a guest's own",
        "host_settings::control_files_and_who_denies_them",
    )
    .for_guests_without(CGROUP),
    cannot("cgroup/name", Kind::Scalar, "each guest has a cgroup of its own, by its name").for_guests_without(CGROUP),
    partly(
        "cgroup/mnt",
        Kind::Scalar,
        "the hierarchies are looked for where they are mounted",
        "vserver-cgroup::hybrid_uses_v2_for_what_it_can",
    )
    .for_guests_without(&[]),
    partly(
        "cgroup/{subsys,per-ss}",
        Kind::Data,
        "all controllers that the host has are used, mounted together or apart",
        "vserver-cgroup::hybrid_uses_v2_for_what_it_can",
    )
    .for_guests_without(&[]),
    honoured(
        "cgroup/inherit",
        Kind::Lines,
        "not needed: what a new cgroup must have of its parent is copied",
        "limits::cpuset",
    )
    .for_guests_without(&[]),
    honoured(
        "cgroup/base",
        Kind::Scalar,
        "the directory of guests' cgroups in every hierarchy, vserver/ without it; made and removed with the guests",
        "cgroup_base::guests_live_below_it",
    )
    .for_guests_without(&[]),
    honoured(
        "sched/hz",
        Kind::Scalar,
        "ours: ticks per second that the numbers of sched/ mean, 250 without it",
        "host_settings::what_a_tick_is",
    )
    .for_guests_without(&[]),
];

const FOR_APPS: &[Setting] = &[
    honoured(
        "apps/init/environment",
        Kind::Arguments,
        "the whole environment of the first process",
        "standing::environment_is_exactly_the_file",
    )
    .for_guests_without(&["apps/init/environment"]),
    honoured(
        "apps/init/tty",
        Kind::Link,
        "where late output goes with --defaulttty",
        "host_settings::where_late_output_goes",
    )
    .for_guests_without(&["apps/init/tty"]),
    honoured(
        "apps/vshelper/action",
        Kind::Scalar,
        "what follows a guest's own end",
        "host_settings::who_answers_a_guests_end",
    )
    .for_guests_without(&["apps/vshelper/action"]),
    honoured(
        "apps/vshelper/{poweroff,restart2}",
        Kind::Program,
        "as halt and restart, where there is none of these",
        "host_settings::a_power_off_is_a_halt",
    )
    .for_guests_without(&["apps/vshelper/action"]),
    honoured(
        "apps/vshelper/{restart,halt,shutdown}",
        Kind::Program,
        "run in place of the handler",
        "host_settings::who_answers_a_guests_end",
    )
    .for_guests_without(&["apps/vshelper/action"]),
    cannot("apps/vshelper/{swsusp,startup,netup,netdown}", Kind::Program, NO_EVENT)
        .for_guests_without(&["apps/vshelper/action"]),
    honoured("apps/vshelper/disabled", Kind::Flag, "events are ignored", "host_settings::events_are_ignored")
        .for_guests_without(&[]),
    honoured(
        "apps/vshelper/sync-timeout",
        Kind::Scalar,
        "seconds that a stop waits for the guest's init",
        "host_settings::how_long_a_stop_waits",
    )
    .for_guests_without(&["apps/vshelper/sync-timeout"]),
    honoured("apps/vshelper/logfile", Kind::Link, "where handlers' output goes", "helper::action_and_methods")
        .for_guests_without(&[]),
    cannot("apps/vshelper/debug", Kind::Flag, "not read; a handler's output goes to logfile"),
    honoured(
        "apps/vshelper/warning-disabled",
        Kind::Flag,
        "always so: there is no kernel setting to warn of",
        "helper::state_files",
    ),
    honoured(
        "apps/vshelper-methods/<method>",
        Kind::Program,
        "the program of a method",
        "helper::action_and_methods",
    )
    .for_guests_without(&[]),
    honoured(
        "apps/vshelper-delegate/{restart,halt,shutdown,poweroff,restart2}",
        Kind::Program,
        "handles that event of every guest, before all else",
        "host_settings::who_answers_a_guests_end",
    )
    .for_guests_without(&[]),
    cannot("apps/vshelper-delegate/{swsusp,startup,netup,netdown}", Kind::Program, NO_EVENT),
    honoured(
        "apps/build/subvolume",
        Kind::Flag,
        "each new tree on btrfs is a subvolume",
        "snapshots::a_build_on_btrfs_is_a_subvolume_where_that_is_wished",
    )
    .not_at_start(),
    honoured(
        "apps/snapshot/keep",
        Kind::Scalar,
        "how many snapshots stay where neither the guest nor `snapshot create` says it",
        "snapshots::a_setting_says_how_many_stay",
    )
    .not_at_start(),
    honoured("apps/vunify/exclude", Kind::Data, "which files stay a guest's own", "unify::the_configuration_decides")
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
    ),
    honoured("apps/vunify/hash/<id>", Kind::Link, "where shared files lie", "unify::the_configuration_decides")
        .not_at_start(),
    honoured(
        "apps/vunify/{pkgmgmt-ignore,pkgmgmt-force,pgkmgmt-force}",
        Kind::Flag,
        "whether the packages' configuration files stay a guest's own",
        "unify::the_configuration_decides",
    )
    .not_at_start(),
    honoured(
        "apps/vlogin/disable",
        Kind::Flag,
        "enter uses no terminal of its own",
        "enter::the_proxy_can_be_switched_off",
    )
    .for_guests_without(&[]),
];

const FOR_BUILDS: &[Setting] = &[
    honoured("vdirbase", Kind::Link, "where new guests' trees are made", "host_settings::what_a_build_takes"),
    honoured(
        "cachebase",
        Kind::Link,
        "target of new guests' link cache; packages of debootstrap are kept there",
        "host_settings::what_a_build_takes",
    ),
    honoured(
        "run.rev",
        Kind::Link,
        "links from context numbers to configurations, removed at stop",
        "life::run_file_is_utilvservers",
    ),
    honoured("fstab", Kind::Data, "fstab of new guests", "host_settings::what_a_build_takes"),
    honoured(
        "context.dynamic",
        Kind::Flag,
        "new guests get their number at every start",
        "host_settings::what_a_build_takes",
    ),
    honoured(
        "context.next",
        Kind::Scalar,
        "number of the next guest built; counted up under a lock, numbers in use left out",
        "host_settings::the_number_of_the_next_guest",
    ),
    honoured(
        "apps/build/options",
        Kind::Arguments,
        "options before those of the command line",
        "host_settings::what_a_build_takes",
    ),
    honoured(
        "apps/debootstrap/{mirror,options}",
        Kind::Scalar,
        "as of the distribution, which wins",
        "vserver-config::the_host_has_defaults",
    ),
    cannot("apps/debootstrap/uri", Kind::Scalar, "debootstrap is not fetched; install it on the host"),
    cannot("apps/h2ext/desc", Kind::Data, "an archive's kind is told by its first bytes, without a table"),
    honoured(
        "files/{hosts,nsswitch.conf,krb5.conf,krb.conf,krb.realms,ldap.conf,localtime,resolv.conf}",
        Kind::Data,
        "copied to a new guest's /etc unless it has the file; that of the distribution wins",
        "host_settings::what_a_build_takes",
    ),
    honoured(
        "apps/pkgmgmt/base",
        Kind::Link,
        "the package data that the host keeps of a guest is in NAME below it",
        "outside::the_hosts_apt",
    ),
    honoured(
        "apps/pkgmgmt/apt.conf",
        Kind::Data,
        "the host's apt has it for a guest without one, from externalize on",
        "outside::the_hosts_apt",
    ),
    cannot("apps/pkgmgmt/vendor.conf", Kind::Data, "of apt-rpm, which has no successor"),
    honoured(
        "apps/vdevmap/<x>/{create,open,remap}",
        Kind::Flag,
        "as a guest's own, for each that says nothing of that device",
        "devices::the_hosts_map_reaches_guests",
    )
    .for_guests_without(&[]),
    honoured(
        "apps/vdevmap/<x>/{device,target,flags}",
        Kind::Scalar,
        "as a guest's own, for each that says nothing of that device",
        "devices::the_hosts_map_reaches_guests",
    )
    .for_guests_without(&[]),
    cannot(
        "apps/vprocunhide/files",
        Kind::Lines,
        "each guest has a /proc of its own, in which what must not be seen is masked at its start",
    )
    .seen_in("security::k33_proc_hides_what_is_not_listed"),
    cannot(
        "styles/<style>",
        Kind::Data,
        "messages are plain; colour is on a terminal only, and NO_COLOR turns it off",
    ),
];
