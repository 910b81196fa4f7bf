//! What has to run before a guest, and what has to stop before it does.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use serde_json::{Value, json};
use vserver_types::GuestName;

use super::Subject;
use crate::boot::Boot;
use crate::order::{Order, Schedule};

/// The orders of a start of this guest alone, one after the other, and of a stop of the same guests. Empty if it needs a
/// guest that does not exist.
pub(super) fn boot(subject: &Subject<'_>) -> Value {
    let confdir = subject.defaults.parent().unwrap_or(&subject.defaults);
    let Ok(boot) = Boot::read(confdir) else { return Value::Null };
    let depends = boot.depends();
    let start =
        run(Order::to_start(&BTreeSet::from([subject.config.name.clone()]), &depends, NonZeroUsize::MIN).schedule);
    let all = start.iter().cloned().collect();
    let stop = run(Order::to_stop(&all, &depends, NonZeroUsize::MIN).schedule);
    let names = |order: Vec<GuestName>| order.iter().map(GuestName::to_string).collect::<Vec<_>>();
    json!({"start_order": names(start), "stop_order": names(stop)})
}

/// What a schedule does when all goes well.
fn run(mut schedule: Schedule) -> Vec<GuestName> {
    let mut order = Vec::new();
    while let Some(name) = schedule.begin() {
        schedule.ended(&name, true);
        order.push(name);
    }
    order
}
