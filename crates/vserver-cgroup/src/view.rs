//! What a guest's own `/proc` is made of: its memory in detail, its CPUs and their time, its threads.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::{Controller, Error, GuestCgroup, Stats, cpuset, files, memory};

/// Most threads that are listed: more than `kernel.pid_max` is on most hosts.
const MOST_THREADS: usize = 1 << 16;

/// A guest's memory, bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Beyond this it is killed; `None` if there is no such limit.
    pub limit: Option<u64>,
    /// Beyond this it is slowed down (v2), or gives memory back first (v1).
    pub high: Option<u64>,
    /// Limit of swap.
    pub swap_limit: Option<u64>,
    /// In use, page cache and kernel memory included.
    pub current: u64,
    /// Swap in use.
    pub swap: u64,
    /// `memory.stat` of the guest and all below, under the names of v2.
    pub detail: BTreeMap<String, u64>,
}

impl Memory {
    /// One figure of [`Memory::detail`]; 0 where this kernel does not count it.
    pub fn of(&self, key: &str) -> u64 {
        self.detail.get(key).copied().unwrap_or(0)
    }
}

impl GuestCgroup {
    /// Its memory; `None` where this host does not count it.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn memory(&self) -> Result<Option<Memory>, Error> {
        let Some((top, v2)) = self.top_of(Controller::Memory) else { return Ok(None) };
        let number = |file: &str| {
            let text = files::read_optional(&top.join(file))?;
            Ok::<_, Error>(text.and_then(|text| text.trim().parse().ok()).unwrap_or(0))
        };
        let (limit, high, swap_limit) = memory::read(&self.knobs(Controller::Memory, &mut Vec::new()));
        let stat = files::read_optional(&top.join("memory.stat"))?.unwrap_or_default();
        let detail =
            if v2 { lines(&stat).map(|(key, value)| (key.to_owned(), value)).collect() } else { of_v1(&stat) };
        let (current, swap) = match v2 {
            true => (number("memory.current")?, number("memory.swap.current")?),
            false => (number("memory.usage_in_bytes")?, detail.get("swap").copied().unwrap_or(0)),
        };
        let [limit, high, swap_limit] = [limit, high, swap_limit].map(|limit| limit.map(|bytes| bytes.0));
        Ok(Some(Memory { limit, high, swap_limit, current, swap, detail }))
    }

    /// CPUs that it may use; `None` where that is every CPU of the host.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn cpus(&self) -> Result<Option<BTreeSet<u32>>, Error> {
        let Some((top, v2)) = self.top_of(Controller::Cpuset) else { return Ok(None) };
        let file = if v2 { "cpuset.cpus.effective" } else { "cpuset.effective_cpus" };
        let list = files::read_optional(&top.join(file))?;
        Ok(list.and_then(|list| cpuset::members(&list)).filter(|cpus| !cpus.is_empty()))
    }

    /// CPU time that it has used in programs and in the kernel.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn cpu_time(&self) -> Result<(Duration, Duration), Error> {
        let mut stats = Stats::default();
        self.cpu(&mut stats)?;
        Ok((stats.cpu_user.unwrap_or_default(), stats.cpu_system.unwrap_or_default()))
    }

    /// Host numbers of its threads, those in cgroups that it made included, at most 65 536.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn threads(&self) -> Result<Vec<i32>, Error> {
        let tree = self.layout.trees().iter().find(|tree| tree.guest(&self.name).is_dir());
        let Some(tree) = tree else { return Ok(Vec::new()) };
        let file = if tree.v2 { "cgroup.threads" } else { "tasks" };
        let mut found = Vec::new();
        for dir in files::deepest_first(&tree.guest(&self.name))? {
            let text = files::read_optional(&dir.join(file))?.unwrap_or_default();
            found.extend(text.lines().filter_map(|line| line.parse().ok()).filter(|number: &i32| *number > 0));
            if found.len() >= MOST_THREADS {
                break;
            }
        }
        found.truncate(MOST_THREADS);
        Ok(found)
    }
}

fn lines(stat: &str) -> impl Iterator<Item = (&str, u64)> {
    let pairs = stat.lines().filter_map(|line| line.split_once(' '));
    pairs.filter_map(|(key, value)| Some((key, value.trim().parse().ok()?)))
}

/// v1 counts a cgroup alone and, as `total_…`, with all below it.
fn of_v1(stat: &str) -> BTreeMap<String, u64> {
    let named = |key: &str| match key {
        "cache" => "file".to_owned(),
        "rss" => "anon".to_owned(),
        "rss_huge" => "anon_thp".to_owned(),
        "mapped_file" => "file_mapped".to_owned(),
        "dirty" => "file_dirty".to_owned(),
        "writeback" => "file_writeback".to_owned(),
        other => other.to_owned(),
    };
    lines(stat).filter_map(|(key, value)| Some((named(key.strip_prefix("total_")?), value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_have_the_same_names() {
        let v1 = of_v1("cache 1\nrss 2\ntotal_cache 30\ntotal_rss 40\ntotal_mapped_file 5\ntotal_active_file 6\n");
        let v2: BTreeMap<_, _> = lines("file 30\nanon 40\nfile_mapped 5\nactive_file 6\nodd\n")
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        assert_eq!(v1, v2);
    }
}
