//! `sched/`, the token buckets. The older file `schedule` is not written; it does not count beside `sched/`.

use super::super::editor::Editor;
use crate::sched::{Bucket, Sched};

pub(super) fn plan(editor: &mut Editor<'_>, now: Option<&Sched>, wanted: Option<&Sched>) {
    if now == wanted {
        return;
    }
    let Some(wanted) = wanted else {
        editor.set_aside("sched");
        return editor.remove("schedule");
    };
    editor.directory("sched");
    for name in editor.names("sched") {
        let unwanted = wanted.per_cpu.iter().all(|(shall, _)| *shall != name);
        if unwanted && editor.is_dir(&format!("sched/{name}")) {
            editor.set_aside(&format!("sched/{name}"));
        }
    }
    bucket(editor, "sched", &wanted.bucket);
    for (name, numbers) in &wanted.per_cpu {
        editor.directory(&format!("sched/{name}"));
        bucket(editor, &format!("sched/{name}"), numbers);
    }
}

fn bucket(editor: &mut Editor<'_>, dir: &str, wanted: &Bucket) {
    let Bucket {
        fill_rate,
        interval,
        tokens,
        tokens_min,
        tokens_max,
        prio_bias,
        fill_rate2,
        interval2,
        idle_time,
        cpu_id,
        bucket_id,
    } = *wanted;
    let bias = editor.value(&format!("{dir}/prio-bias")).or_else(|| editor.value(&format!("{dir}/priority-bias")));
    if bias != prio_bias.map(|bias| bias.to_string()) {
        editor.remove(&format!("{dir}/priority-bias"));
        editor.scalar(&format!("{dir}/prio-bias"), prio_bias.map(|bias| bias.to_string()).as_deref());
    }
    for (name, number) in [
        ("fill-rate", fill_rate),
        ("interval", interval),
        ("tokens", tokens),
        ("tokens-min", tokens_min),
        ("tokens-max", tokens_max),
        ("fill-rate2", fill_rate2),
        ("interval2", interval2),
        ("cpu-id", cpu_id),
        ("bucket-id", bucket_id),
    ] {
        editor.scalar(&format!("{dir}/{name}"), number.map(|number| number.to_string()).as_deref());
    }
    if fill_rate2.is_none() && interval2.is_none() {
        editor.flag(&format!("{dir}/idle-time"), idle_time);
    }
}
