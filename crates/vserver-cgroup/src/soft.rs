//! Whether a guest is above its soft memory limit now. `memory.stat` would tell what its processes have of their own, but the
//! kernel adds that up seconds late (seen on 6.18), and a program takes its memory in one. So the exact counter decides, which
//! has the page cache in it, and, if that is above, the sum over the processes. proc_pid_statm(5).

use crate::{Controller, Error, GuestCgroup, files, memory};

impl GuestCgroup {
    /// Whether the guest uses more memory than its soft limit (v2: `memory.high`; v1: `memory.soft_limit_in_bytes`), and its
    /// processes more than that of their own: what they share after a fork is counted for each. Not where the host counts
    /// no memory.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn is_above_soft_limit(&self) -> Result<bool, Error> {
        let Some((top, v2)) = self.top_of(Controller::Memory) else { return Ok(false) };
        let [limit, used] = match v2 {
            true => ["memory.high", "memory.current"],
            false => ["memory.soft_limit_in_bytes", "memory.usage_in_bytes"],
        };
        let amount =
            |file| Ok::<_, Error>(files::read_optional(&top.join(file))?.and_then(|text| memory::amount(&text)));
        match (amount(limit)?, amount(used)?) {
            (Some(limit), Some(used)) if used > limit => {
                Ok(self.processes()?.into_iter().map(own).sum::<u64>() > limit)
            }
            _ => Ok(false),
        }
    }
}

/// Bytes that a process has of its own, as anonymous memory is; none if it has ended.
fn own(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    own_pages(&text) * rustix::param::page_size() as u64
}

fn own_pages(statm: &str) -> u64 {
    let mut numbers = statm.split_ascii_whitespace().map(|number| number.parse().unwrap_or(0));
    let (resident, shared): (u64, u64) = (numbers.nth(1).unwrap_or(0), numbers.next().unwrap_or(0));
    resident.saturating_sub(shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_is_what_is_there_and_not_of_files() {
        assert_eq!(own_pages("2613 1150 900 220 0 371 0\n"), 250);
        assert_eq!(own_pages("2613 3 4 0 0 0 0\n") + own_pages("") + own_pages("7\n"), 0);
        assert!(own(std::process::id() as i32) > 0);
        assert_eq!(own(0), 0);
    }
}
