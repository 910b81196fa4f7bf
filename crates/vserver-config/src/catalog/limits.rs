//! What a guest may use besides its totals. Source: `config-tree.md` §5.3.2 – §5.3.6, §5.12.

use super::setting::{Group, Kind, Setting, cannot, honoured, partly};

pub(super) const ALL: Group =
    Group { title: "Processes, CPU, input and output, control groups, sysctl", settings: SETTINGS };

const SETTINGS: &[Setting] = &[
    honoured(
        "ulimits/{core,cpu,data,fsize,locks,memlock,nofile,nproc,rss,stack}{,.hard,.soft}",
        Kind::Limit,
        "setrlimit(2) of the first process and of every exec and enter",
        "flags::every_ulimit",
    ),
    honoured(
        "sched/{,<cpu>/}{fill-rate,interval}",
        Kind::Integer,
        "cpu.max with sched_hard in cflags, else cpu.weight",
        "limits::token_bucket_holds_a_quarter",
    ),
    partly(
        "sched/{,<cpu>/}tokens-max",
        Kind::Integer,
        "cpu.max.burst, at most one period's quota",
        "burst::idling_fills_the_bucket",
    )
    .by_value(),
    cannot("sched/{,<cpu>/}tokens", Kind::Integer, "a guest begins with one period's quota").by_value(),
    cannot(
        "sched/{,<cpu>/}tokens-min",
        Kind::Integer,
        "the kernel lets a held guest go on in the next period, whatever it has saved",
    )
    .by_value(),
    cannot(
        "sched/{,<cpu>/}{prio-bias,priority-bias}",
        Kind::Integer,
        "the kernel couples no priority to CPU bandwidth; use 'nice'",
    )
    .by_value(),
    partly(
        "sched/{,<cpu>/}{fill-rate2,interval2}",
        Kind::Integer,
        "idle CPU time is left to the guest without a bound; its fill rate is a weight",
        "limits::idle_time_is_left_to_the_guest",
    ),
    partly(
        "sched/{,<cpu>/}idle-time",
        Kind::Flag,
        "idle CPU time is left to the guest without a bound; its fill rate is a weight",
        "limits::idle_time_is_left_to_the_guest",
    )
    .by_value(),
    partly(
        "sched/{,<cpu>/}cpu-id",
        Kind::Integer,
        "that CPU's share is counted; to hold the guest there, use cpuset/cpus",
        "limits::a_bucket_by_its_other_names",
    )
    .by_value(),
    cannot("sched/{,<cpu>/}bucket-id", Kind::Integer, "a guest has one bucket").by_value(),
    honoured(
        "schedule",
        Kind::Lines,
        "the first six numbers of sched/ in one file, which wins over it; deprecated",
        "limits::a_bucket_by_its_other_names",
    ),
    honoured("nice", Kind::Scalar, "setpriority(2)", "flags::nice_of_every_process"),
    honoured("ionice/{class,priority}", Kind::Scalar, "ioprio_set(2)", "standing::badness_ionice_and_nice"),
    partly(
        "cpuset/name",
        Kind::Scalar,
        "the guest's own cgroup has the CPUs, under the guest's name; no set is shared by its name",
        "limits::every_key_of_cpuset",
    ),
    honoured(
        "cpuset/{cpus,mems}",
        Kind::Scalar,
        "cpuset.cpus, cpuset.mems, as far as the host has them; what it has not is said at start",
        "edges::a_cpuset_wider_than_the_host",
    ),
    partly(
        "cpuset/{cpu_exclusive,cpus_exclusive}",
        Kind::Scalar,
        "cpuset.cpus.partition (v1: cpuset.cpu_exclusive) where no other cgroup has these CPUs; else it is said at start",
        "limits::exclusive_cpus_are_had_or_said",
    ),
    partly(
        "cpuset/{mem_exclusive,mems_exclusive}",
        Kind::Scalar,
        "nothing keeps other cgroups from these nodes, which is said at start: v2 has no such thing, and on v1 it would take all nodes from the host's own",
        "limits::exclusive_cpus_are_had_or_said",
    ),
    honoured(
        "cpuset/virtualized",
        Kind::Scalar,
        "as virt_cpu: /proc/stat, /proc/cpuinfo and /sys/devices/system/cpu show the guest's processors only, counted from 0",
        "own_proc::cpuset_virtualized",
    ),
    partly(
        "cpuset/nocreate",
        Kind::Flag,
        "the cgroup is the guest's own, so it is always made and removed",
        "limits::every_key_of_cpuset",
    ),
    cannot("cgroup/name", Kind::Scalar, "each guest has a cgroup of its own, by its name"),
    cannot(
        "cgroup/{mnt,subsys,inherit,base,per-ss}",
        Kind::Data,
        "it is about the host's hierarchy and was never read here; see .defaults/cgroup",
    ),
    honoured(
        "cgroup/<file>",
        Kind::Data,
        "written to that control file of a new cgroup, names of v1 translated; what has no counterpart is said",
        "limits::cgroup_files_of_either_version",
    ),
    partly(
        "nocgroup",
        Kind::Flag,
        "the values of .defaults/cgroup do not count; the guest has a cgroup in any case",
        "host_settings::control_files_and_who_denies_them",
    ),
    partly(
        "sysctl/<x>/{setting,value}",
        Kind::Text,
        "written inside if it belongs to the guest's IPC namespace; any other would change the host",
        "standing::sysctl_of_the_guests_own_namespaces",
    ),
];
