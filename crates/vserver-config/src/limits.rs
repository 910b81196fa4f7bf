//! From the configuration to what a cgroup holds a guest to.

use std::collections::BTreeSet;

use vserver_types::{Bytes, ContextFlags, Limits, Resource, ResourceLimit, Rlimit, Unenforced, Verdict};

use crate::catalog::Tree;
use crate::model::{GuestConfig, PAGE};
use crate::{bucket, catalog, cpus};

impl GuestConfig {
    /// The guest's limits on a host with CPUs 0 to `cpus` − 1 whose old kernel had `hz` ticks per second
    /// ([`GuestConfig::hz`]), and what of its configuration they cannot say.
    ///
    /// * memory = `rlimits/rss.hard` or, if less, `as.hard`, in pages of 4096; `memory_high` = `rss.soft` if that is less;
    /// * swap = `as.hard` − `rss.hard`; with a memory limit but not both of them, none;
    /// * pids = `nproc.hard`;
    /// * with `sched_hard` in `cflags` a token bucket, of the kernel patch's default numbers if `sched/` has none; without
    ///   it `sched/` is only a weight, 100 at the default fill of 1/4. Which CPUs a fill counts for is said in `bucket.rs`
    ///   and, for administrators, is this: those of `cpuset/cpus`, or the one in `sched/cpu-id`, or all.
    pub fn limits(&self, cpus: u32, hz: u32) -> (Limits, Vec<Unenforced>) {
        let mut limits = Limits { cpuset: self.cpuset.clone(), raw: self.cgroup.clone(), ..Limits::default() };
        let mut lost = self.memory(&mut limits);
        limits.pids = self.hard(Resource::Nproc);
        lost.extend(self.cpu(&mut limits, cpus, hz));
        lost.extend(self.rlimits.iter().filter_map(|(resource, limit)| beyond_a_cgroup(*resource, *limit)));
        (limits, lost)
    }

    /// Totals of `rlimits/` that the guest's IPC namespace counts, as settings below `/proc/sys`: `shmem` in pages, `nsems`
    /// and `semary` as fields 2 and 4 of `kernel/sem`. Source: proc_sys_kernel(5).
    pub fn ipc_settings(&self) -> Vec<(String, String)> {
        /// The kernel's defaults: semaphores per array, in all, per call; arrays.
        const SEM: [u64; 4] = [32_000, 1_024_000_000, 500, 32_000];
        /// Larger numbers do not fit the kernel's `int`.
        const MOST: u64 = i32::MAX.unsigned_abs() as u64;
        let shmem = self.hard(Resource::Shmem).map(|pages| ("kernel/shmall".to_owned(), format!("{pages}\n")));
        let (semaphores, arrays) = (self.hard(Resource::Nsems), self.hard(Resource::Semary));
        let [per_array, default_semaphores, per_call, default_arrays] = SEM;
        let (semaphores, arrays) = match (semaphores, arrays) {
            (None, None) => return shmem.into_iter().collect(),
            (semaphores, arrays) => (semaphores.unwrap_or(default_semaphores), arrays.unwrap_or(default_arrays)),
        };
        let text = format!("{per_array} {} {per_call} {}\n", semaphores.min(MOST), arrays.min(per_array));
        shmem.into_iter().chain([("kernel/sem".to_owned(), text)]).collect()
    }

    /// How many internet sockets it may have.
    pub fn socket_limit(&self) -> Option<u64> {
        self.hard(Resource::Nsock)
    }

    fn hard(&self, resource: Resource) -> Option<u64> {
        value(self.rlimits.get(&resource)?.hard)
    }

    fn memory(&self, limits: &mut Limits) -> Vec<Unenforced> {
        let (rss, space) = (self.hard(Resource::Rss), self.hard(Resource::As));
        let soft = self.rlimits.get(&Resource::Rss).and_then(|limit| value(limit.soft));
        let hard = [rss, space].into_iter().flatten().min();
        limits.memory = hard.map(bytes);
        limits.memory_high = soft.filter(|soft| hard.is_none_or(|hard| *soft < hard)).map(bytes);
        limits.swap = match (rss, space) {
            (Some(rss), Some(space)) => Some(bytes(space.saturating_sub(rss))),
            _ => hard.map(|_| Bytes(0)),
        };
        space.map(|_| Unenforced::partial("rlimits/as", catalog::how("rlimits/as"))).into_iter().collect()
    }

    fn cpu(&self, limits: &mut Limits, cpus: u32, hz: u32) -> Vec<Unenforced> {
        let hard = self.cflags.contains(ContextFlags::SCHED_HARD);
        let default = crate::Sched::default();
        let Some(sched) = self.sched.as_ref().or(hard.then_some(&default)) else {
            return Vec::new();
        };
        if bucket::uses_idle_time(sched) {
            limits.cpu_weight = Some(bucket::weight(sched));
            let mut lost = bucket::unexpressed(sched);
            lost.push(Unenforced::partial("sched/idle-time", catalog::how("sched/idle-time")));
            return lost;
        }
        if !hard {
            limits.cpu_weight = Some(bucket::weight(sched));
            return bucket::unexpressed(sched);
        }
        let (bucket, lost) = bucket::quota(sched, &self.cpus(cpus), hz);
        limits.cpu = bucket;
        lost
    }

    /// CPUs that the guest may use. If the host has none of its cpuset, the list is believed.
    fn cpus(&self, count: u32) -> BTreeSet<u32> {
        let host: BTreeSet<u32> = (0..count.max(1)).collect();
        let own = self.cpuset.as_ref().and_then(|set| cpus::parse(set.cpus.as_deref()?));
        match own {
            Some(own) if own.is_disjoint(&host) => own,
            Some(own) => own.intersection(&host).copied().collect(),
            None => host,
        }
    }
}

/// Totals that no controller counts; `rss`, `nproc` and `as` are dealt with above.
fn beyond_a_cgroup(resource: Resource, limit: ResourceLimit) -> Option<Unenforced> {
    value(limit.hard)?;
    let name = format!("rlimits/{resource}");
    let setting = catalog::lookup(Tree::Guest, &name).filter(|_| resource != Resource::As)?;
    match setting.verdict {
        Verdict::Honoured => None,
        Verdict::Partly => Some(Unenforced::partial(name, setting.how)),
        Verdict::Cannot => Some(Unenforced::none(name, setting.how)),
    }
}

fn value(limit: Option<Rlimit>) -> Option<u64> {
    match limit? {
        Rlimit::Value(value) => Some(value),
        Rlimit::Infinity => None,
    }
}

fn bytes(pages: u64) -> Bytes {
    Bytes(pages.saturating_mul(PAGE))
}
