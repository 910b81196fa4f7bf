//! Which sockets of the host's stack are the guest's.

use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};

use vserver_cgroup::GuestCgroup;
use vserver_runtime::settings::Shown;

use super::table::{Judge, Socket};

/// Ids that a guest has.
const RANGE: u32 = 65_536;
/// Who is none of its users. user_namespaces(7)
const NOBODY: u32 = 65_534;
/// Most descriptors of its processes that are looked at.
const MOST: usize = 1 << 18;

/// The guest, as owner of sockets.
pub struct Owner {
    /// First of its uids; `None` in classic mode, where they say nothing.
    base: Option<u32>,
    addresses: Vec<IpAddr>,
    /// Its private loopback address, if that is shown as 127.0.0.1.
    hidden: Option<Ipv4Addr>,
    cgroup: GuestCgroup,
}

/// For one table.
pub struct Once<'a> {
    owner: &'a Owner,
    /// Everything is kept.
    all: bool,
    /// What its processes hold, once it is known.
    held: Option<HashSet<u64>>,
}

impl Owner {
    /// `base` is 0 in classic mode.
    pub fn new(base: u32, shown: Option<&Shown>, cgroup: GuestCgroup) -> Self {
        let loopback = shown.and_then(|shown| shown.loopback);
        let hidden = loopback.filter(|_| shown.is_some_and(|shown| shown.hide_lback));
        let own = shown.map(|shown| shown.addresses.clone()).unwrap_or_default();
        let addresses = own.iter().map(IpAddr::to_canonical).chain(loopback.map(IpAddr::V4)).collect();
        Self { base: (base > 0).then_some(base), addresses, hidden, cgroup }
    }

    /// With `all`, nothing is hidden but what its kernel would not tell it.
    pub fn judge(&self, all: bool) -> Once<'_> {
        Once { owner: self, all, held: None }
    }

    /// Numbers of the sockets that its processes have as descriptors.
    fn held(&self) -> HashSet<u64> {
        let mut found = HashSet::new();
        let pids = self.cgroup.processes().unwrap_or_default();
        let entries = pids.iter().filter_map(|pid| fs::read_dir(format!("/proc/{pid}/fd")).ok()).flatten().flatten();
        for entry in entries.take(MOST) {
            // It may be closed meanwhile.
            let Ok(link) = fs::read_link(entry.path()) else { continue };
            let number: Option<u64> =
                link.to_str().and_then(|link| link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
            found.extend(number);
        }
        found
    }
}

impl Once<'_> {
    fn holds(&mut self, inode: u64) -> bool {
        self.held.get_or_insert_with(|| self.owner.held()).contains(&inode)
    }
}

impl Judge for Once<'_> {
    fn keeps(&mut self, socket: Socket) -> bool {
        if self.all {
            return true;
        }
        let owner = self.owner;
        match (socket.local, socket.uid, owner.base) {
            (Some(_), Some(uid), Some(base)) if (base..base.saturating_add(RANGE)).contains(&uid) => true,
            // Nobody holds it any more, and the kernel may have forgotten who did: whose its address is.
            (Some(local), Some(uid), _) if socket.inode == 0 && (uid == 0 || owner.base.is_none()) => {
                owner.addresses.contains(&local.to_canonical())
            }
            (Some(_), _, Some(_)) => false,
            _ => self.holds(socket.inode),
        }
    }

    fn uid(&self, host: u32) -> u32 {
        match self.owner.base {
            None => host,
            Some(base) => match host.checked_sub(base) {
                Some(own) if own < RANGE => own,
                // Of those that nobody holds.
                _ if host == 0 && !self.all => 0,
                _ => NOBODY,
            },
        }
    }

    fn address(&self, ip: IpAddr) -> IpAddr {
        let hidden = self.owner.hidden.is_some_and(|hidden| ip.to_canonical() == hidden);
        if hidden && !self.all { Ipv4Addr::LOCALHOST.into() } else { ip }
    }
}
