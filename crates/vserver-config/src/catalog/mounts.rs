//! What is mounted, disk limits and namespaces. Source: `config-tree.md` §5.5, §5.7.

use super::setting::{Group, Kind, Setting, cannot, honoured, partly};

pub(super) const ALL: Group = Group { title: "File systems, disk limits, namespaces", settings: SETTINGS };

const SETTINGS: &[Setting] = &[
    honoured(
        "fstab",
        Kind::Data,
        "mounted in the guest's mount namespace, symbolic links followed as inside",
        "fstab::kinds_and_options",
    ),
    honoured(
        "fstab.remote",
        Kind::Data,
        "the same from inside the guest's network context",
        "fstab::remote_ones_and_helpers",
    ),
    honoured(
        "fstab.local",
        Kind::Data,
        "older name of fstab, mounted after it",
        "host_settings::older_names_of_files",
    ),
    honoured(
        "namespace",
        Kind::Flag,
        "always so: mount namespace, pivot_root",
        "fstab::the_hosts_file_systems_are_not_shown",
    ),
    cannot("nonamespace", Kind::Flag, "a guest without a mount namespace cannot be made safe; it has one"),
    honoured(
        "namespace-cleanup",
        Kind::Flag,
        "always so: what the host has mounted is not there",
        "fstab::the_hosts_file_systems_are_not_shown",
    ),
    cannot(
        "nonamespace-cleanup",
        Kind::Flag,
        "the host's root is always detached; bind what the guest needs in fstab",
    ),
    cannot(
        "namespace-cleanup-skip",
        Kind::Arguments,
        "the host's root is always detached; bind what the guest needs in fstab",
    ),
    honoured(
        "dlimits",
        Kind::Group,
        "one directory for each limit, see there",
        "disk::a_subvolume_is_held_to_its_limit",
    ),
    partly(
        "dlimits/<x>/{directory,space_total,inodes_total,reserved}",
        Kind::Scalar,
        "quota of the guest's project on ext4 and xfs; on btrfs that of its subvolume, space alone; elsewhere nothing counts",
        "disk::ext4_project_is_held_to_its_limit",
    )
    .by_value(),
    honoured("dlimits/<x>/disabled", Kind::Flag, "that limit does not count", "disk::a_subvolume_is_held_to_its_limit"),
    honoured(
        "disk/image",
        Kind::Scalar,
        "ours: an image file of the host that is mounted as the guest's root; with the ccapability quota_ctl it has quotas of its users",
        "disk::build_gives_a_disk_of_its_own",
    ),
    partly(
        "spaces/pid",
        Kind::Scalar,
        "every guest has a PID namespace of its own; it cannot share another guest's, nor do without one",
        "security::k16_other_processes",
    )
    .by_value(),
    honoured(
        "spaces/net",
        Kind::Scalar,
        "empty: a network namespace of the guest's own; a name or number: that running guest's",
        "netns::a_stack_of_its_own",
    ),
    cannot(
        "spaces/mask",
        Kind::Scalar,
        "every guest has its own pid, mount, uts, ipc, cgroup and time namespaces, whatever the mask",
    ),
    honoured("sysvipc", Kind::Flag, "always so: IPC namespace", "security::k32_namespaces"),
];
