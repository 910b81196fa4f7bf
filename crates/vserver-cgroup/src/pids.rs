//! Processes and threads. The same on v1 and v2; 4.3.

use cgroups_rs::MaxValue;
use cgroups_rs::pid::PidController;
use vserver_types::Limits;

use crate::knobs::{Knobs, Wish, same_text};

/// Writes `pids.max`.
pub(crate) fn apply(knobs: &mut Knobs<'_>, limits: &Limits) {
    let value = limits.pids.map_or_else(|| "max".to_owned(), |count| count.to_string());
    let lifts = limits.pids.is_none();
    knobs.set(&Wish { setting: "process limit", file: "pids.max", value: &value, lifts, same: same_text });
}

/// The limit in force.
pub(crate) fn read(knobs: &Knobs<'_>) -> Option<u64> {
    let controller = PidController::new(knobs.dir.clone()?, knobs.v2);
    match controller.get_pid_max() {
        Ok(MaxValue::Value(count)) => u64::try_from(count).ok(),
        Ok(MaxValue::Max) | Err(_) => None,
    }
}
