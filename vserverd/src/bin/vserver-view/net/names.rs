//! Which files there are. What is not listed is not there, so that nothing of a newer kernel shows the host.

use std::path::Path;

/// Where a file is from, and how its lines are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Sockets with addresses.
    Inet,
    /// Sockets whose inode number is in this column, the first being 0.
    Local { inode: usize, uid: Option<usize> },
    /// Of the shadow.
    Shadow,
}

/// One file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    pub name: &'static str,
    pub kind: Kind,
}

const UNIX: Kind = Kind::Local { inode: 6, uid: None };
const NETLINK: Kind = Kind::Local { inode: 9, uid: None };
const PACKET: Kind = Kind::Local { inode: 8, uid: Some(7) };

const INET: [&str; 10] = ["icmp", "icmp6", "raw", "raw6", "tcp", "tcp6", "udp", "udp6", "udplite", "udplite6"];
const LOCAL: [(&str, Kind); 3] = [("netlink", NETLINK), ("packet", PACKET), ("unix", UNIX)];
const SHADOW: [&str; 27] = [
    "anycast6",
    "arp",
    "dev",
    "dev_mcast",
    "fib_trie",
    "fib_triestat",
    "if_inet6",
    "igmp",
    "igmp6",
    "ipv6_route",
    "mcfilter",
    "mcfilter6",
    "netstat",
    "protocols",
    "psched",
    "ptype",
    "route",
    "rt6_stats",
    "rt_cache",
    "snmp",
    "snmp6",
    "sockstat",
    "sockstat6",
    "tr_rif",
    "wireless",
    "xfrm_stat",
    "ip6_flowlabel",
];

/// Those that this kernel has.
pub fn here() -> Vec<Name> {
    let inet = INET.into_iter().map(|name| Name { name, kind: Kind::Inet });
    let local = LOCAL.into_iter().map(|(name, kind)| Name { name, kind });
    let shadow = SHADOW.into_iter().map(|name| Name { name, kind: Kind::Shadow });
    let all = inet.chain(local).chain(shadow);
    all.filter(|one| Path::new("/proc/thread-self/net").join(one.name).exists()).collect()
}
