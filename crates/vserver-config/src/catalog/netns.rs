//! Network namespaces of guests. Source: `config-tree.md` §5.7; what is marked as ours the original leaves to scripts.

use super::setting::{Group, Kind, Setting, honoured};

pub(super) const ALL: Group = Group { title: "Network namespaces: `netns/`", settings: SETTINGS };

const SETTINGS: &[Setting] = &[
    honoured(
        "netns",
        Kind::Directory,
        "a network namespace /run/netns/NAME that `ip netns exec` knows, from before pre-start to after postpost-stop",
        "netns::a_name_that_iproute2_knows",
    ),
    honoured("netns/name", Kind::Scalar, "its name, else the guest's", "netns::a_name_that_iproute2_knows"),
    honoured(
        "netns/shared",
        Kind::Flag,
        "namespace and links are the administrator's: neither made nor removed",
        "netns::a_shared_one_is_left_alone",
    ),
    honoured(
        "netns/firewall",
        Kind::Flag,
        "ours: nft inside, for packets of the guest's own stack alone; its root has NET_ADMIN there. Needs a user namespace",
        "netns::packet_filters_of_its_own",
    ),
    honoured(
        "netns/sctp",
        Kind::Flag,
        "ours: SCTP sockets inside, for this stack alone. On any other stack they are refused, with it and without",
        "sctp::between_two_stacks",
    ),
    honoured("netns/interfaces/<x>/host", Kind::Scalar, "the host's end of a pair", "netns::a_pair_with_a_bridge"),
    honoured(
        "netns/interfaces/<x>/guest",
        Kind::Scalar,
        "the device inside, else geth0, geth1 and so on; addresses of interfaces/ with this dev are put on it",
        "netns::a_name_that_iproute2_knows",
    ),
    honoured(
        "netns/interfaces/<x>/type",
        Kind::Scalar,
        "veth; and ours: macvlan, phys, and with their kernel modules ipvlan and vlan",
        "netns::every_kind_of_link",
    ),
    honoured(
        "netns/interfaces/<x>/bridge",
        Kind::Scalar,
        "ours: the bridge that the host's end becomes a port of",
        "netns::a_pair_with_a_bridge",
    ),
    honoured(
        "netns/interfaces/<x>/routed",
        Kind::Flag,
        "ours: no bridge; the host routes the guest's addresses to the pair and is its gateway",
        "netns::a_routed_pair",
    ),
    honoured(
        "netns/interfaces/<x>/parent",
        Kind::Scalar,
        "ours: the host's device of a macvlan, ipvlan or vlan, or the one that moves in (phys)",
        "netns::every_kind_of_link",
    ),
    honoured(
        "netns/interfaces/<x>/mode",
        Kind::Scalar,
        "ours: bridge, private, vepa of macvlan; l2, l3, l3s of ipvlan",
        "netns::every_kind_of_link",
    ),
    honoured(
        "netns/interfaces/<x>/vlan",
        Kind::Scalar,
        "ours: the number of a vlan, 0 to 4094; with switch the VLAN that its port is in",
        "netns::a_module_that_is_missing_is_told_before",
    ),
    honoured(
        "netns/interfaces/<x>/{mtu,mac}",
        Kind::Scalar,
        "ours: largest packet and Ethernet address of the device inside",
        "netns::a_pair_with_a_bridge",
    ),
    honoured(
        "netns/interfaces/<x>/gateway",
        Kind::Lines,
        "ours: default routes inside, one address of each family",
        "netns::a_pair_with_a_bridge",
    ),
    honoured(
        "spaces/{ipc,uts,user}",
        Kind::Scalar,
        "every guest has its own of these, whatever they say; the original read none of them",
        "security::k32_namespaces",
    ),
    honoured(
        "ns/<x>",
        Kind::Data,
        "changes nothing, in the original neither; a guest's namespaces are its own",
        "security::k32_namespaces",
    ),
    honoured(
        "netns/interfaces/<x>/switch",
        Kind::Scalar,
        "ours: the switch (vserver-switch) that the host's end is plugged into; it is made if it is not there",
        "switch::private_and_with_the_host",
    ),
    honoured(
        "netns/interfaces/<x>/trunk",
        Kind::Lines,
        "ours: VLANs that keep their tags at the port of a switch or bridge, NUMBER or FIRST-LAST a line, 1 to 4094",
        "switch::a_trunk",
    ),
    honoured(
        "netns/interfaces/<x>/masquerade",
        Kind::Flag,
        "ours: what leaves the host from the guest's addresses there has the host's address, by an nftables table of its own",
        "nat::out_and_in",
    ),
    honoured(
        "netns/interfaces/<x>/forward",
        Kind::Lines,
        "ours: ports of the host that lead to the guest, PROTOCOL [ADDRESS:]PORT [PORT INSIDE] a line",
        "nat::out_and_in",
    ),
    honoured(
        "netns/interfaces/<x>/antispoof",
        Kind::Scalar,
        "ours: what the guest may say of itself there: full (its own Ethernet address and addresses; the default), mac \
         (its own Ethernet address; with DHCP), off; neither of the first is a router or DHCP server",
        "antispoof::on_a_bridge",
    ),
    honoured(
        "nonetns",
        Kind::Flag,
        "neither the guest's nor the host's netns/ counts",
        "netns::a_shared_one_is_left_alone",
    ),
];
