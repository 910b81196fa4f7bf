//! Which guest a process belongs to.

use std::str::FromStr;

use procfs::process::Process;
use vserver_types::{CgroupBase, GuestName};

use crate::Error;

/// The guest that process `pid` is in, of those below `bases`; `Ok(None)` for a process of the host, and `Err` if there is
/// no such process.
pub fn owner(pid: i32, bases: &[CgroupBase]) -> Result<Option<GuestName>, Error> {
    let failed = |source| Error::Read { pid, file: "cgroup", source };
    let process = Process::new(pid).map_err(failed)?;
    read_owner(&process, bases, &mut Vec::new()).map_err(failed)
}

/// The guest that the text of a `/proc/PID/cgroup` names: `<base>/<name>/guest…` at the top of any hierarchy. A base
/// that begins with another one comes before it.
///
/// Only the top counts. What lies deeper was named by the guest, which may make a `vserver/other/guest` of its own there.
pub fn owner_in(cgroup: &str, bases: &[CgroupBase]) -> Option<GuestName> {
    cgroup.lines().find_map(|line| {
        let path = line.splitn(3, ':').nth(2)?.strip_prefix('/')?;
        let below = |base: &CgroupBase| path.strip_prefix(base.as_str())?.strip_prefix('/');
        let mut parts = bases.iter().find_map(below)?.split('/');
        let name = parts.next()?;
        (parts.next()? == "guest").then(|| GuestName::from_str(name).ok())?
    })
}

/// Reads `cgroup` of an opened process, using `buffer` for the text.
pub(crate) fn read_owner(
    process: &Process,
    bases: &[CgroupBase],
    buffer: &mut Vec<u8>,
) -> procfs::ProcResult<Option<GuestName>> {
    use std::io::Read;

    buffer.clear();
    process.open_relative("cgroup")?.read_to_end(buffer)?;
    Ok(owner_in(&String::from_utf8_lossy(buffer), bases))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Option<String> {
        let bases = ["vservers.slice/web", "vservers.slice", "vserver"].map(|base| base.parse().unwrap());
        owner_in(text, &bases).map(String::from)
    }

    #[test]
    fn any_hierarchy_may_name_the_guest() {
        assert_eq!(name("9:name=systemd:/\n1:cpu:/vserver/web1/guest\n0::/\n").as_deref(), Some("web1"));
        assert_eq!(name("0::/vserver/web1/guest/system.slice/ssh.service\n").as_deref(), Some("web1"));
        assert_eq!(name("0::/vserver/web1/guest/a:b\n").as_deref(), Some("web1"));
    }

    #[test]
    fn the_host_and_the_supervisors_are_nobodys() {
        for host in ["", "0::/\n", "0::/vserver/.supervisors\n", "0::/vserver/web1\n", "0::/vserver/web1/x\n"] {
            assert_eq!(name(host), None, "{host}");
        }
    }

    #[test]
    fn a_guest_cannot_pretend_to_be_another() {
        assert_eq!(name("0::/vserver/web1/guest/vserver/web2/guest\n").as_deref(), Some("web1"));
        assert_eq!(name("0::/user.slice/vserver/web2/guest\n"), None);
    }

    #[test]
    fn guests_may_be_below_other_bases() {
        assert_eq!(name("0::/vservers.slice/web1/guest/a\n").as_deref(), Some("web1"));
        assert_eq!(name("0::/vservers.slice/web/web2/guest\n").as_deref(), Some("web2"));
        for host in ["0::/vservers.slice/web1\n", "0::/vservers.slices/web1/guest\n", "0::/other/web1/guest\n"] {
            assert_eq!(name(host), None, "{host}");
        }
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        assert!(owner(i32::MAX, &[]).is_err());
        assert_eq!(owner(1, &[CgroupBase::default()]).unwrap(), None);
    }
}
