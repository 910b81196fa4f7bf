//! Limits and weights.

use serde_json::{Map, Value, json};
use vserver_types::{ContextFlags, Rlimit};

use super::Subject;
use crate::reader::Reader;
use crate::sched::{Bucket, Sched};

pub(super) fn all(subject: &Subject<'_>) -> Vec<(&'static str, Value)> {
    let config = subject.config;
    let ionice = config.ionice.map(|io| json!({"class": io.class, "priority": io.priority}));
    let setting = |(name, value): &(String, String)| json!({"setting": name, "value": value});
    let both = subject.own("sched").is_dir() && subject.own("schedule").is_file();
    vec![
        ("rlimits", rlimits(subject)),
        ("ulimits", ulimits(subject)),
        ("sched", sched(subject)),
        ("schedule_file", json!(both.then_some("ignored because sched/ exists"))),
        ("cpuset", cpuset(subject)),
        ("nice", json!(config.nice)),
        ("ionice", json!(ionice)),
        ("badness", json!(config.badness)),
        ("sysctl", config.sysctl.iter().map(setting).collect()),
        ("cgroup", cgroup(subject)),
    ]
}

fn bound(limit: Option<Rlimit>) -> Value {
    match limit {
        None => json!("keep"),
        Some(Rlimit::Infinity) => json!("inf"),
        Some(Rlimit::Value(value)) => json!(value),
    }
}

fn rlimits(subject: &Subject<'_>) -> Value {
    let all = subject.config.rlimits.iter().map(|(resource, limit)| {
        let bounds = json!({"min": bound(limit.min), "soft": bound(limit.soft), "hard": bound(limit.hard)});
        (resource.name().to_owned(), bounds)
    });
    Value::Object(all.collect::<Map<_, _>>())
}

fn ulimits(subject: &Subject<'_>) -> Value {
    let all = subject.config.ulimits.iter().map(|limit| {
        let bounds = json!({"soft": bound(limit.soft), "hard": bound(Some(limit.hard))});
        (limit.resource.name().to_owned(), bounds)
    });
    json!({
        "configured": Value::Object(all.collect::<Map<_, _>>()),
        "all_others": "hard limit raised to infinity (nofile: 1048576), soft unchanged",
    })
}

fn sched(subject: &Subject<'_>) -> Value {
    let Some(sched) = subject.config.sched.as_ref().filter(|sched| **sched != Sched::default()) else {
        return Value::Null;
    };
    let per_cpu = sched.per_cpu.iter().map(|(dir, numbers)| {
        let mut all = bucket(numbers);
        all.insert("dir".to_owned(), json!(dir));
        Value::Object(all)
    });
    json!({
        "source": if subject.own("sched").is_dir() { "sched/" } else { "schedule" },
        "global": bucket(&sched.bucket),
        "per_cpu": per_cpu.collect::<Vec<_>>(),
        "enforced": subject.config.cflags.0 & ContextFlags::SCHED_HARD != 0,
    })
}

/// Numbers that are set, under the names of their files.
fn bucket(bucket: &Bucket) -> Map<String, Value> {
    let all = [
        ("fill-rate", bucket.fill_rate),
        ("interval", bucket.interval),
        ("tokens", bucket.tokens),
        ("tokens-min", bucket.tokens_min),
        ("tokens-max", bucket.tokens_max),
        ("prio-bias", bucket.prio_bias),
        ("fill-rate2", bucket.fill_rate2),
        ("interval2", bucket.interval2),
        ("cpu-id", bucket.cpu_id),
        ("bucket-id", bucket.bucket_id),
    ];
    let mut set: Map<_, _> =
        all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), json!(value?)))).collect();
    if bucket.idle_time {
        set.insert("idle-time".to_owned(), json!(true));
    }
    set
}

fn cpuset(subject: &Subject<'_>) -> Value {
    let text = |file: &str| Reader::default().scalar(&subject.own("cpuset").join(file));
    let Some(name) = text("name") else { return Value::Null };
    let mut aliases = vec!["cpus_exclusive", "mems_exclusive"];
    aliases.retain(|file| subject.own("cpuset").join(file).is_file());
    json!({
        "name": name,
        "cpus": text("cpus"),
        "mems": text("mems"),
        "cpu_exclusive": text("cpu_exclusive"),
        "mem_exclusive": text("mem_exclusive"),
        "virtualized": text("virtualized"),
        "create": !subject.own("cpuset/nocreate").exists(),
        "ignored_by_original": aliases,
    })
}

/// The control group's place and values; the guest's directory hides the host's.
fn cgroup(subject: &Subject<'_>) -> Value {
    let (own, host) = (subject.own("cgroup").is_dir(), subject.defaults.join("cgroup"));
    if !own && subject.own("nocgroup").exists() {
        return json!({"used": false, "reason": "nocgroup"});
    }
    let text = |path: std::path::PathBuf| Reader::default().scalar(&path).filter(|text| !text.is_empty());
    let mount = text(host.join("mnt"));
    let base = text(host.join("base")).map(|base| format!("{}/", base.trim_matches('/')));
    let named = if own { subject.own("cgroup/name") } else { host.join("name") };
    let name = text(named).unwrap_or_else(|| subject.config.name.to_string());
    let path = mount.map(|mount| format!("{}/{}{name}", mount.trim_end_matches('/'), base.unwrap_or_default()));
    let values: Vec<Value> = subject.config.cgroup.iter().map(|(file, value)| json!([file, value])).collect();
    let mut inherited = vec!["cpuset.cpus".to_owned(), "cpuset.mems".to_owned()];
    inherited.extend(super::lines(&host.join("inherit")));
    inherited.dedup();
    json!({"used": true, "path": path, "values": values, "inherited": inherited})
}
