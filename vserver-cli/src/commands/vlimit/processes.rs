//! A limit of setrlimit(2) for every process of a guest.

use std::io;

use vserver_sys::prlimit::{self, Limit};

use crate::commands::members::Members;
use crate::error::CliError;

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Processes that have a hard limit below what was asked for, and got that.
    pub capped: u64,
}

/// Sets the soft limit `number` of each process to `value`, and with `hard` the hard one too, which needs
/// `CAP_SYS_RESOURCE` to rise.
pub fn limit_all(members: &Members, number: u8, value: u64, hard: bool) -> Result<Done, CliError> {
    let mut done = Done::default();
    members.each(&format!("set limit {number}"), |pid| {
        done.capped += u64::from(limit_one(pid, number, value, hard)?);
        Ok(())
    })?;
    Ok(done)
}

/// Whether the process had to stay below `value`.
fn limit_one(pid: i32, number: u8, value: u64, hard: bool) -> io::Result<bool> {
    let bound = if hard { value } else { prlimit::get(pid, number)?.hard };
    prlimit::set(pid, number, Limit { soft: value.min(bound), hard: bound })?;
    Ok(bound < value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_limits_fall_and_rise_below_the_hard_one() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let address_space = 9;
        let bound = prlimit::get(pid, address_space).unwrap().hard;
        let capped = limit_one(pid, address_space, 1 << 30, false);
        let lowered = prlimit::get(pid, address_space);
        let raised = limit_one(pid, address_space, 1 << 40, false).and_then(|_| prlimit::get(pid, address_space));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!capped.unwrap());
        assert_eq!(lowered.unwrap(), Limit { soft: 1 << 30, hard: bound });
        assert_eq!(raised.unwrap().soft, (1 << 40).min(bound));
    }
}
