//! `/proc/meminfo` and `/proc/swaps` of a guest. proc_meminfo(5); compat/config-tree.md §5.3.1: with `virt_mem` the memory of
//! a guest is its soft limit, and what it may have beyond that up to its hard one is shown as swap.

use std::fmt::Write;

use vserver_cgroup::Memory;

/// What the host has, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Whole {
    pub memory: u64,
    pub swap: u64,
}

impl Whole {
    /// From the text of the host's `/proc/meminfo`.
    pub fn of(host: &str) -> Self {
        Self { memory: value(host, "MemTotal"), swap: value(host, "SwapTotal") }
    }
}

/// One figure of a `/proc/meminfo`, bytes.
pub fn value(host: &str, key: &str) -> u64 {
    let line = host.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// What a guest has of it, bytes. No part is more than its whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    pub total: u64,
    pub free: u64,
    pub available: u64,
    pub cached: u64,
    pub shared: u64,
    pub reclaimable: u64,
    pub swap_total: u64,
    pub swap_free: u64,
}

impl Share {
    /// Of a guest with these limits and figures.
    pub fn of(whole: Whole, memory: &Memory) -> Self {
        let hard = memory.limit.unwrap_or(u64::MAX).min(whole.memory);
        let total = memory.high.unwrap_or(u64::MAX).min(hard);
        // Memory between the two limits is swap to those who look.
        let beyond = memory.limit.map_or(0, |_| hard - total);
        let swap_total = memory.swap_limit.unwrap_or(u64::MAX).min(whole.swap) + beyond;
        let swap_used = memory.swap.saturating_add(memory.current.saturating_sub(total).min(beyond));
        let used = memory.current.min(total);
        // The figures are not all of the same moment.
        let cached = memory.of("file").min(used);
        let reclaimable = memory.of("slab_reclaimable").min(used - cached);
        let pages = memory.of("active_file").saturating_add(memory.of("inactive_file")).min(cached);
        let free = total - used;
        Self {
            total,
            free,
            available: free + pages + reclaimable,
            cached,
            shared: memory.of("shmem").min(cached),
            reclaimable,
            swap_total,
            swap_free: swap_total.saturating_sub(swap_used),
        }
    }
}

/// The guest's `/proc/meminfo`: the lines of the host's that a guest's figures are known for, and those that say how the
/// machine works.
pub fn meminfo(host: &str, memory: &Memory) -> String {
    let share = Share::of(Whole::of(host), memory);
    let mut text = String::with_capacity(host.len());
    for line in host.lines() {
        let Some((key, _)) = line.split_once(':') else { continue };
        match figure(key, &share, memory) {
            Some(Figure::Bytes(bytes)) => {
                writeln!(text, "{:<15} {:>8} kB", format!("{key}:"), bytes / 1024).ok();
            }
            Some(Figure::AsItIs) => {
                writeln!(text, "{line}").ok();
            }
            None => {}
        }
    }
    text
}

enum Figure {
    Bytes(u64),
    AsItIs,
}

/// `None` for what is of the whole machine only, or not known.
fn figure(key: &str, share: &Share, memory: &Memory) -> Option<Figure> {
    let of = |key: &str| memory.of(key).min(share.total);
    let slab = of("slab").max(share.reclaimable);
    Some(Figure::Bytes(match key {
        "MemTotal" => share.total,
        "MemFree" => share.free,
        "MemAvailable" => share.available,
        "Cached" => share.cached,
        "SwapCached" => of("swapcached"),
        "Active" => of("active_anon").saturating_add(of("active_file")).min(share.total),
        "Inactive" => of("inactive_anon").saturating_add(of("inactive_file")).min(share.total),
        "Active(anon)" => of("active_anon"),
        "Inactive(anon)" => of("inactive_anon"),
        "Active(file)" => of("active_file"),
        "Inactive(file)" => of("inactive_file"),
        "Unevictable" | "Mlocked" => of("unevictable"),
        "SwapTotal" => share.swap_total,
        "SwapFree" => share.swap_free,
        "Zswap" => of("zswap"),
        "Zswapped" => of("zswapped"),
        "Dirty" => of("file_dirty"),
        "Writeback" => of("file_writeback"),
        "AnonPages" => of("anon"),
        "Mapped" => of("file_mapped"),
        "Shmem" => share.shared,
        "KReclaimable" | "SReclaimable" => share.reclaimable,
        "Slab" => slab,
        "SUnreclaim" => slab - share.reclaimable,
        "KernelStack" => of("kernel_stack"),
        "PageTables" => of("pagetables"),
        "SecPageTables" => of("sec_pagetables"),
        "CommitLimit" => share.total.saturating_add(share.swap_total),
        "Committed_AS" => of("anon").saturating_add(share.shared).saturating_add(memory.swap),
        "VmallocUsed" => of("vmalloc"),
        "Percpu" => of("percpu"),
        "AnonHugePages" => of("anon_thp"),
        "ShmemHugePages" => of("shmem_thp"),
        "FileHugePages" => of("file_thp"),
        "Buffers" | "NFS_Unstable" | "Bounce" | "WritebackTmp" | "VmallocChunk" | "HardwareCorrupted"
        | "ShmemPmdMapped" | "FilePmdMapped" | "Hugetlb" => 0,
        "VmallocTotal" | "Hugepagesize" => return Some(Figure::AsItIs),
        _ => return None,
    }))
}

/// The guest's `/proc/swaps`. proc_swaps(5).
pub fn swaps(host: &str, memory: &Memory) -> String {
    let share = Share::of(Whole::of(host), memory);
    let mut text = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n".to_owned();
    if share.swap_total > 0 {
        let (size, used) = (share.swap_total / 1024, (share.swap_total - share.swap_free) / 1024);
        writeln!(text, "{:<39} virtual\t\t{size}\t\t{used}\t\t-2", "none").ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "MemTotal:        4194304 kB\nMemFree:          100000 kB\nMemAvailable:    2000000 kB\n\
                        Buffers:            1000 kB\nCached:           900000 kB\nShmem:                 9 kB\n\
                        SwapTotal:       1048576 kB\nSwapFree:        1048576 kB\nVmallocTotal:   34359738367 kB\n\
                        Slab:               5000 kB\nSReclaimable:       3000 kB\nSUnreclaim:         2000 kB\n\
                        HugePages_Total:       7\nDirectMap4k:       81920 kB\n";
    const MIB: u64 = 1 << 20;

    fn memory(current: u64, pairs: &[(&str, u64)]) -> Memory {
        let detail = pairs.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect();
        Memory { limit: Some(512 * MIB), current, detail, ..Memory::default() }
    }

    #[test]
    fn the_limit_is_all_there_is() {
        let used =
            memory(100 * MIB, &[("file", 60 * MIB), ("inactive_file", 50 * MIB), ("slab_reclaimable", 4 * MIB)]);
        let text = meminfo(HOST, &used);
        for line in [
            "MemTotal:         524288 kB\n",
            "MemFree:          421888 kB\n",
            "MemAvailable:     477184 kB\n",
            "Buffers:               0 kB\n",
            "Cached:            61440 kB\n",
            "SwapTotal:       1048576 kB\n",
            "VmallocTotal:   34359738367 kB\n",
            "SReclaimable:       4096 kB\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
        assert!(!text.contains("DirectMap") && !text.contains("HugePages_Total"), "{text}");
    }

    #[test]
    fn what_is_between_the_limits_is_swap() {
        let soft = Memory { high: Some(384 * MIB), swap_limit: Some(0), ..memory(400 * MIB, &[]) };
        let share = Share::of(Whole::of(HOST), &soft);
        assert_eq!((share.total, share.free), (384 * MIB, 0));
        assert_eq!((share.swap_total, share.swap_free), (128 * MIB, 112 * MIB));
        assert!(
            swaps(HOST, &soft).contains("none") && swaps(HOST, &soft).contains("virtual\t\t131072\t\t16384\t\t-2\n")
        );
        let none = Memory { swap_limit: Some(0), ..memory(0, &[]) };
        assert_eq!(swaps(HOST, &none).lines().count(), 1);
    }

    #[test]
    fn no_part_is_more_than_its_whole() {
        let odd = memory(u64::MAX, &[("file", u64::MAX), ("slab_reclaimable", u64::MAX), ("active_file", u64::MAX)]);
        let share = Share::of(Whole::of(HOST), &odd);
        assert!(share.free + share.cached + share.reclaimable <= share.total, "{share:?}");
        assert!(
            share.available <= share.total && share.shared <= share.cached && share.swap_free <= share.swap_total
        );
        let unlimited = Share::of(Whole::of(HOST), &Memory::default());
        assert_eq!((unlimited.total, unlimited.free), (4096 * MIB, 4096 * MIB));
        assert_eq!(unlimited.swap_total, 1024 * MIB);
    }
}
