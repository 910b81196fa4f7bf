//! A context as `/proc/virtual`, `/proc/PID/vinfo` and `ninfo` of the patched kernel showed it, for scripts that read
//! those. What this kernel does not count is 0, what it does not limit -1. Source: util-vserver, `behaviours.md` §10.

use std::fmt::Write;

use vserver_cgroup::Stats;
use vserver_net::SocketCount;
use vserver_runtime::RunRecord;
use vserver_types::Limits;

use super::subject::Subject;
use crate::error::CliError;

/// Bytes in a page, which memory is counted in.
const PAGE: u64 = 4096;

/// `/proc/PID/vinfo` of a process of this guest, or of the host.
pub fn vinfo(subject: &Subject) -> String {
    let Some(record) = &subject.record else {
        return "XID:\t0\n".to_owned();
    };
    let words = &record.attributes;
    format!(
        "XID:\t{}\nBCaps:\t{:016x}\nCCaps:\t{:016x}\nCFlags:\t{:016x}\nCIPid:\t{}\n",
        record.xid, words.bcaps.0, words.ccaps.0, words.cflags.0, record.init
    )
}

/// `/proc/PID/ninfo` likewise.
pub fn ninfo(subject: &Subject) -> String {
    let Some(record) = &subject.record else {
        return "NID:\t0\n".to_owned();
    };
    let network = record.network.as_ref();
    let lback = network.map(|network| format!("Lback:\t{}\n", network.loopback)).unwrap_or_default();
    let addresses = network.iter().flat_map(|network| network.addresses.iter().enumerate());
    let addresses: String = addresses.map(|(index, address)| format!("{index}:\t{address}\n")).collect();
    format!("NID:\t{}\n{lback}{addresses}", record.nid)
}

/// A file of `/proc/virtual/XID`; `None` for one that is not there or a context that does not run.
pub fn file(subject: &Subject, name: Option<&str>) -> Result<Option<String>, CliError> {
    let Some(record) = &subject.record else {
        return Ok(None);
    };
    let Some(cgroup) = record.cgroup()? else {
        return Ok(None);
    };
    Ok(match name {
        Some("info") => Some(format!("ID:\t{}\nInfo:\t0000000000000000\nInit:\t{}\n", record.xid, record.init)),
        Some("status") => Some(status(record, cgroup.processes()?.len())),
        Some("limit") => Some(limit(&cgroup.stats()?, &cgroup.limits()?, record.sockets()?)),
        Some("cvirt") => Some(cvirt(record, &cgroup.stats()?)),
        _ => None,
    })
}

fn status(record: &RunRecord, tasks: usize) -> String {
    let words = &record.attributes;
    format!(
        "UseCnt:\t{tasks}\nTasks:\t{tasks}\nFlags:\t{:016x}\nBCaps:\t{:016x}\nCCaps:\t{:016x}\nUmask:\t{:16x}\n",
        words.cflags.0, words.bcaps.0, words.ccaps.0, words.umask
    )
}

/// One line per limit; only processes, memory and, if they are limited, sockets are counted for a guest as a whole.
fn limit(stats: &Stats, limits: &Limits, sockets: Option<SocketCount>) -> String {
    let mut text = "Limit\t current\t     min/max\t\t    soft/hard\t\thits\n".to_owned();
    let pages = |bytes: Option<vserver_types::Bytes>| bytes.map(|bytes| bytes.0 / PAGE);
    for name in [
        "PROC", "VM", "VML", "RSS", "ANON", "RMAP", "FILES", "OFD", "LOCKS", "SOCK", "MSGQ", "SHM", "SEMA", "SEMS",
        "DENT",
    ] {
        let (now, most, soft, hard, hits) = match name {
            "PROC" => (stats.pids_current, None, None, limits.pids, None),
            "RSS" => {
                let most = pages(stats.memory_peak);
                (pages(stats.memory_current), most, pages(limits.memory_high), pages(limits.memory), stats.oom_kills)
            }
            "SOCK" => match sockets {
                Some(all) => (Some(all.now), Some(all.most), None, all.limit, Some(all.refused)),
                None => Default::default(),
            },
            "ANON" => (pages(stats.memory_anon), None, None, None, None),
            _ => (None, None, None, None, None),
        };
        let number = |value: Option<u64>| value.map_or("-1".to_owned(), |value| value.to_string());
        let (now, hits) = (now.unwrap_or(0), hits.unwrap_or(0));
        let most = most.unwrap_or(now);
        // A string takes any number of digits: nothing is cut.
        let _ =
            writeln!(text, "{name}:\t{now:8}\t{:8}/{most:8}\t{:>8}/{:>8}\t{hits:6}", 0, number(soft), number(hard));
    }
    text
}

/// Its uptime is the host's minus this bias. The load averages of a guest alone are not known.
fn cvirt(record: &RunRecord, stats: &Stats) -> String {
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let host: f64 = uptime.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0);
    let bias = (host - record.age().as_secs_f64()).max(0.0);
    format!("BiasUptime:\t{bias:.2}\nnr_threads:\t{}\nloadavg:\t0.00 0.00 0.00\n", stats.pids_current.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// compat/behaviours.md §10.3, the line of a limit.
    #[test]
    fn a_limit_to_the_byte() {
        let limits = Limits { pids: Some(200), ..Limits::default() };
        let stats = Stats { pids_current: Some(17), ..Stats::default() };
        let text = limit(&stats, &limits, None);
        assert_eq!(text.lines().nth(1), Some("PROC:\t      17\t       0/      17\t      -1/     200\t     0"));
        assert_eq!(text.lines().count(), 16);
        assert_eq!(text.lines().nth(10), Some("SOCK:\t       0\t       0/       0\t      -1/      -1\t     0"));
        let sockets = SocketCount { limit: Some(30), now: 4, most: 9, refused: 2 };
        let text = limit(&stats, &limits, Some(sockets));
        assert_eq!(text.lines().nth(10), Some("SOCK:\t       4\t       0/       9\t      -1/      30\t     2"));
    }
}
