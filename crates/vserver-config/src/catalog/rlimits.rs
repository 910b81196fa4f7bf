//! Totals of the whole guest. Source: `config-tree.md` §5.3.1.

use super::setting::{Group, Kind, Setting, cannot, honoured, partly};

pub(super) const ALL: Group = Group { title: "Totals of the whole guest: `rlimits/`", settings: SETTINGS };

const SETTINGS: &[Setting] = &[
    honoured(
        "rlimits/rss{,.hard}",
        Kind::Limit,
        "memory.max (v1: memory.limit_in_bytes), pages of 4 KiB",
        "memory::over_the_limit_is_killed_inside",
    ),
    honoured(
        "rlimits/rss.soft",
        Kind::Limit,
        "memory.high (v1: memory.soft_limit_in_bytes)",
        "limits::soft_memory_bound",
    ),
    partly(
        "rlimits/as{,.hard}",
        Kind::Limit,
        "address space is not counted for a whole guest: it holds per process, and memory and swap together stay below it",
        "memory::address_space_fails_and_is_raised",
    )
    .by_value(),
    honoured("rlimits/nproc{,.hard}", Kind::Limit, "pids.max", "limits::processes"),
    partly(
        "rlimits/{nofile,openfd,memlock}{,.hard}",
        Kind::Limit,
        "it holds per process, there is no total",
        "limits::totals_that_hold_per_process",
    )
    .by_value(),
    partly(
        "rlimits/msgqueue{,.hard}",
        Kind::Limit,
        "it holds for each user of the guest, there is no total",
        "limits::totals_that_hold_per_process",
    )
    .by_value(),
    partly(
        "rlimits/shmem{,.hard}",
        Kind::Limit,
        "it holds for System V segments; what is in /dev/shm is counted as memory",
        "limits::totals_of_the_ipc_namespace",
    )
    .by_value(),
    honoured(
        "rlimits/{nsems,semary}{,.hard}",
        Kind::Limit,
        "kernel.sem of the guest's IPC namespace",
        "limits::totals_of_the_ipc_namespace",
    ),
    cannot("rlimits/{anon,dentry}{,.hard}", Kind::Limit, "it is counted as memory; use rlimits/rss").by_value(),
    cannot(
        "rlimits/{cpu,fsize,data,stack,core}{,.hard}",
        Kind::Limit,
        "a guest has no such total, nor had it in Linux-VServer; use ulimits/",
    )
    .by_value(),
    partly(
        "rlimits/nsock{,.hard}",
        Kind::Limit,
        "it holds for IPv4 and IPv6 sockets that the guest makes; accepted connections and other families, unix sockets among them, are not counted",
        "sockets::no_more_than_the_limit",
    )
    .by_value(),
    cannot("rlimits/locks{,.hard}", Kind::Limit, "the kernel has no such total").by_value(),
    cannot(
        "rlimits/{cpu,fsize,data,stack,core,nproc,nofile,memlock,as,locks,msgqueue,nsock,openfd,anon,shmem,semary,nsems,dentry}.soft",
        Kind::Limit,
        "a total has one bound, the hard one; only rss has a soft one",
    ),
    cannot(
        "rlimits/{cpu,fsize,data,stack,core,rss,nproc,nofile,memlock,as,locks,msgqueue,nsock,openfd,anon,shmem,semary,nsems,dentry}.min",
        Kind::Limit,
        "nothing guarantees a minimum, nor did Linux-VServer",
    ),
];
