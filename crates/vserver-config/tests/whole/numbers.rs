//! Limits, schedules, settings of the kernel.

use std::collections::BTreeMap;

use proptest::option;
use proptest::prelude::*;
use vserver_config::{Bucket, IoNice, Sched, personality_type};
use vserver_types::{CpuSet, FlagKind, Resource, ResourceLimit, Rlimit, Ulimit};

/// All that is counted.
#[derive(Clone, Debug)]
pub struct Numbers {
    pub rlimits: BTreeMap<Resource, ResourceLimit>,
    pub ulimits: Vec<Ulimit>,
    pub sched: Option<Sched>,
    pub cpuset: Option<CpuSet>,
    pub cpuset_virtualized: bool,
    pub cgroup: Vec<(String, String)>,
    pub nice: Option<i32>,
    pub ionice: Option<IoNice>,
    pub badness: Option<i64>,
    pub personality: Option<u32>,
    pub sysctl: Vec<(String, String)>,
}

/// 64 bits, but for the two largest numbers, which mean something else.
fn limit() -> impl Strategy<Value = Rlimit> {
    prop_oneof![Just(Rlimit::Infinity), (0..u64::MAX - 1).prop_map(Rlimit::Value)]
}

fn rlimits() -> impl Strategy<Value = BTreeMap<Resource, ResourceLimit>> {
    let one = (option::of(limit()), option::of(limit()), option::of(limit()), any::<bool>());
    let one = one.prop_map(|(min, soft, hard, same)| match same {
        true => ResourceLimit { min: hard, soft: hard, hard },
        false => ResourceLimit { min, soft, hard },
    });
    prop::collection::btree_map(prop::sample::select(&Resource::ALL[..]), one, 0..4).prop_map(|mut all| {
        all.retain(|_, limit| *limit != ResourceLimit::default());
        all
    })
}

/// In the order in which they are read.
fn ulimits() -> impl Strategy<Value = Vec<Ulimit>> {
    use Resource::{Core, Cpu, Data, Fsize, Locks, Memlock, Nofile, Nproc, Rss, Stack};
    let all = vec![Core, Cpu, Data, Fsize, Locks, Memlock, Nofile, Nproc, Rss, Stack];
    let resources = prop::sample::subsequence(all, 0..4);
    (resources, prop::collection::vec((option::of(limit()), limit()), 4)).prop_map(|(resources, limits)| {
        let limit = |(resource, (soft, hard)): (Resource, (Option<Rlimit>, Rlimit))| Ulimit {
            resource,
            soft: soft.map(|soft| soft.min(hard)),
            hard,
        };
        resources.into_iter().zip(limits).map(limit).collect()
    })
}

fn bucket() -> impl Strategy<Value = Bucket> {
    let most = i64::from(i32::MAX);
    let amount = move || option::of(0..=most);
    let first = (amount(), option::of(1..=most), amount(), amount(), amount(), option::of(-most..=most));
    let second = (amount(), option::of(1..=most), any::<bool>(), option::of(0i64..=65_535), amount());
    (first, second).prop_map(|(first, second)| Bucket {
        fill_rate: first.0,
        interval: first.1,
        tokens: first.2,
        tokens_min: first.3,
        tokens_max: first.4,
        prio_bias: first.5,
        fill_rate2: second.0,
        interval2: second.1,
        idle_time: second.2 || second.0.is_some() || second.1.is_some(),
        cpu_id: second.3,
        bucket_id: second.4,
    })
}

fn sched() -> impl Strategy<Value = Option<Sched>> {
    let per_cpu = prop::collection::btree_map("cpu[0-9]{1,2}", bucket(), 0..3);
    option::of((bucket(), per_cpu).prop_map(|(bucket, all)| Sched { bucket, per_cpu: all.into_iter().collect() }))
}

fn cpuset() -> impl Strategy<Value = Option<CpuSet>> {
    let list = || option::of(prop::sample::select(vec!["0", "0-3,7", "1-15:1/4"]).prop_map(str::to_owned));
    (list(), list(), any::<bool>(), any::<bool>()).prop_map(|(cpus, mems, cpu_exclusive, mem_exclusive)| {
        let any = cpus.is_some() || mems.is_some();
        any.then_some(CpuSet { cpus, mems, cpu_exclusive, mem_exclusive })
    })
}

/// A type that has a name, and flags.
fn personality() -> impl Strategy<Value = Option<u32>> {
    let names = vec!["LINUX", "LINUX32", "SVR4", "SCOSVR3", "OSR5", "BSD", "SUNOS", "UW7", "HPUX"];
    let flags = prop::sample::subsequence(FlagKind::Personality.names(), 0..4);
    option::of((prop::sample::select(names), flags).prop_map(|(name, flags)| {
        let bits = flags.iter().fold(0, |sum, (_, bits)| sum | bits);
        personality_type(name).unwrap() | u32::try_from(bits).unwrap()
    }))
}

pub fn numbers() -> impl Strategy<Value = Numbers> {
    let cgroup = prop::collection::btree_map("[a-z]{2,5}\\.[a-z_]{2,5}", "\\PC{0,6}(\n\\PC{1,6})?", 0..3);
    let sysctl = prop::collection::vec(("[a-z]{1,6}(/[a-zA-Z0-9_:-]{1,6}){1,3}", "\\PC{0,8}\n?"), 0..4);
    let ionice = (1u8..=3, option::of(0u8..=7)).prop_map(|(class, priority)| IoNice { class, priority });
    let small = (option::of(-20..=19), option::of(ionice), any::<Option<i64>>(), personality());
    (
        rlimits().boxed(),
        ulimits().boxed(),
        sched().boxed(),
        (cpuset(), any::<bool>()).boxed(),
        cgroup.boxed(),
        small.boxed(),
        sysctl.boxed(),
    )
        .prop_map(
            |(
                rlimits,
                ulimits,
                sched,
                (cpuset, cpuset_virtualized),
                cgroup,
                (nice, ionice, badness, personality),
                sysctl,
            )| {
                Numbers {
                    rlimits,
                    ulimits,
                    sched,
                    cpuset,
                    cpuset_virtualized,
                    cgroup: cgroup.into_iter().collect(),
                    nice,
                    ionice,
                    badness,
                    personality,
                    sysctl,
                }
            },
        )
}
