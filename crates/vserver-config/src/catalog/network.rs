//! Addresses. Source: `config-tree.md` §5.6.

use super::setting::{Group, Kind, Setting, cannot, honoured};

pub(super) const ALL: Group = Group { title: "Addresses: `interfaces/`", settings: SETTINGS };

const NEVER: &str = "the original never finished this mode";

const SETTINGS: &[Setting] = &[
    honoured(
        "traffic/{egress,ingress}",
        Kind::Scalar,
        "ours: AVERAGE [PEAK [BURST]] that the guest sends and receives at, such as '10mbit 20mbit 1M'",
        "traffic::held_to_its_rates",
    ),
    honoured(
        "interfaces/<x>/ip",
        Kind::Scalar,
        "added to the host's device; programs on the guest's cgroup let it use no other",
        "address::added_at_start_and_removed_at_stop",
    ),
    honoured(
        "interfaces/{,<x>/}dev",
        Kind::Scalar,
        "where the address is added",
        "address::added_at_start_and_removed_at_stop",
    ),
    honoured(
        "interfaces/{,<x>/}{prefix,mask}",
        Kind::Scalar,
        "length of the prefix; prefix wins over mask, an inherited one, too",
        "host_settings::prefix_and_mask",
    ),
    honoured(
        "interfaces/{,<x>/}bcast",
        Kind::Scalar,
        "broadcast address; the one for all may also be used by the guest",
        "address::every_part_of_an_interface",
    ),
    honoured(
        "interfaces/lback",
        Kind::Scalar,
        "the guest's private loopback address, else one by its number",
        "address::loopback_is_private",
    ),
    honoured("interfaces/<x>/name", Kind::Scalar, "label DEV:NAME", "address::every_part_of_an_interface"),
    honoured(
        "interfaces/{,<x>/}scope",
        Kind::Scalar,
        "scope of an IPv4 address: global, site, link, host, nowhere or a number; the original did not use it",
        "address::every_part_of_an_interface",
    ),
    honoured(
        "interfaces/<x>/peer",
        Kind::Scalar,
        "other end of a point-to-point link",
        "address::every_part_of_an_interface",
    ),
    honoured("interfaces/<x>/disabled", Kind::Flag, "left out", "address::every_part_of_an_interface"),
    honoured(
        "interfaces/<x>/nodev",
        Kind::Flag,
        "the address is on the host already: neither added nor removed",
        "address::foreign_address_is_refused",
    ),
    honoured("interfaces/<x>/only_ip", Kind::Flag, "older name of nodev", "host_settings::older_names_of_files"),
    honoured("interfaces/<x>/down", Kind::Flag, "the link is not set up", "address::every_part_of_an_interface"),
    honoured(
        "interfaces/{,<x>/}vlandev",
        Kind::Flag,
        "a device with a dot in its name is made as a VLAN and removed at stop (kernel module 8021q)",
        "address::vlans_are_made_and_removed",
    ),
    honoured(
        "interfaces/{,<x>/}novlandev",
        Kind::Flag,
        "no VLAN device is made for it, or for those that do not say vlandev themselves",
        "host_settings::vlans_and_who_denies_them",
    ),
    honoured(
        "interfaces/<x>/{tun,tap}",
        Kind::Flag,
        "a persistent device of this kind is made on the host's network stack at start and removed at stop; the guest has \
         /dev/net/tun and may use this one, as long as no other device on the host is everybody's",
        "tun::made_for_the_guest_and_removed",
    ),
    honoured(
        "interfaces/<x>/{uid,gid}",
        Kind::Scalar,
        "the guest's user and group whose programs may use the device; root if none is named",
        "tun::only_its_owner_may_use_it",
    ),
    honoured(
        "interfaces/<x>/shared",
        Kind::Flag,
        "without a uid the device belongs to nobody: every guest with tun_create may use it, and every user of the host",
        "tun::a_shared_device_is_for_every_guest_with_tun",
    ),
    honoured(
        "interfaces/<x>/linktype",
        Kind::Scalar,
        "type of the link, as a number",
        "tun::made_for_the_guest_and_removed",
    ),
    cannot("interfaces/<x>/nocsum", Kind::Flag, "no kernel of today takes notice of it"),
    cannot("interfaces/<x>/indirect", Kind::Flag, NEVER),
    cannot("interfaces/<x>/mac", Kind::Scalar, NEVER),
    cannot("interfaces/{,<x>/}extip", Kind::Scalar, NEVER),
];
