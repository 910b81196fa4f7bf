//! A change of the addresses of a guest that runs.

use std::os::fd::{AsFd, BorrowedFd};

use vserver_cgroup::GuestCgroup;
use vserver_net::{Confined, Held, Steer};
use vserver_types::Unenforced;

use crate::control::{self, Reply, Request};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::plan::NetworkPlan;
use crate::record::RunRecord;

/// Whether an address is new.
pub(crate) fn gains(before: Option<&NetworkPlan>, after: Option<&NetworkPlan>) -> bool {
    let of = |plan: Option<&NetworkPlan>| plan.map(|plan| plan.policy().addresses).unwrap_or_default();
    let before = of(before);
    of(after).iter().any(|address| !before.contains(address))
}

/// Puts what the record says of its addresses into force, for what it does from now on and for sockets that are bound already.
pub(crate) fn confine(
    host: &Host,
    record: &RunRecord,
    cgroup: &GuestCgroup,
    steer: Steer,
) -> Result<Vec<Unenforced>> {
    let (Some(network), Some(directory)) = (&record.network, cgroup.v2_dir()) else {
        return Ok(Vec::new());
    };
    let policy = network.policy();
    let Confined { mut report, held } = vserver_net::confine(directory.as_fd(), &policy, steer)
        .map_err(Error::layer("hold the guest to its addresses", &record.name))?;
    if let Some(held) = &held {
        report.extend(hand_over(host, record, held).err());
    }
    report.extend(show(host, record, network).err());
    let pids = cgroup.processes().map_err(Error::layer("list the processes", &record.name))?;
    if let Err(error) = vserver_net::resettle(directory.as_fd(), &policy, &pids) {
        let reason = format!("sockets that are bound already do not follow ({error}): restart the servers");
        report.push(Unenforced::partial("addresses", reason));
    }
    Ok(report)
}

/// Lets the guest's supervisor hold what its sockets need to hear several addresses.
fn hand_over(host: &Host, record: &RunRecord, held: &Held) -> std::result::Result<(), Unenforced> {
    let mut fds = vec![held.link.as_fd()];
    if let Some(gathering) = &held.gathering {
        fds.extend([gathering.bell.as_fd(), gathering.iterator.as_fd()]);
    }
    let request = Request::Steer { gathers: held.gathering.is_some() };
    ask(host, record, &request, &fds).map_err(|why| {
        let reason = format!(
            "the guest's supervisor does not see to it ({why}): a socket bound to 0.0.0.0 or :: hears the other addresses from \
             the guest's next start on"
        );
        Unenforced::partial("wildcard bind on several addresses", reason)
    })
}

/// Lets the guest's supervisor show what it is to see of the host's network stack.
fn show(host: &Host, record: &RunRecord, network: &NetworkPlan) -> std::result::Result<(), Unenforced> {
    let shown = network.shown();
    let hides = shown.is_some();
    match ask(host, record, &Request::Show { shown }, &[]) {
        Err(why) if hides => {
            let reason =
                format!("the guest's supervisor does not see to it ({why}); it holds from the guest's next start on");
            Err(Unenforced::partial("nflags hide_netif", reason))
        }
        _ => Ok(()),
    }
}

/// The error says why it was not done.
fn ask(
    host: &Host,
    record: &RunRecord,
    request: &Request,
    fds: &[BorrowedFd<'_>],
) -> std::result::Result<(), String> {
    let asked = control::dial(&host.control(&record.name)).and_then(|socket| {
        control::send_request(socket.as_fd(), request, fds)?;
        control::receive_reply(socket.as_fd())
    });
    match asked {
        Ok(Some((Reply::Accepted, _))) => Ok(()),
        Ok(Some((Reply::Refused { reason }, _))) => Err(reason),
        Ok(_) => Err("it is gone".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
