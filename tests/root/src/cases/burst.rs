//! After idling, a guest spends what its bucket has saved.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use super::limits::{Ahead, busy, cpu_used, quarter, rest};
use crate::fixture::{Fixture, Guest};
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![Trial::new("burst::idling_fills_the_bucket", idling_fills_the_bucket)]
}

/// Time that the kernel granted beyond the quota.
fn granted(guest: &Guest<'_>) -> Duration {
    let text = fs::read_to_string(guest.cgroup("cpu").join("cpu.stat")).unwrap();
    let v1 = text.lines().find_map(|line| line.strip_prefix("burst_time ")).map(|n| n.parse::<u64>().unwrap() / 1000);
    let v2 = text.lines().find_map(|line| line.strip_prefix("burst_usec ")).map(|n| n.parse::<u64>().unwrap());
    Duration::from_micros(v1.or(v2).expect("this kernel has no burst (5.14)"))
}

fn idling_fills_the_bucket() {
    let host = Fixture::new();
    let guest = host.guest();
    quarter(&guest);
    guest.set("sched/tokens-max", "250\n").start();
    let mut seen = Vec::new();
    // Another test may have put its own guest ahead on this CPU: then this one may not even get its quota.
    for _ in 0..8 {
        let _ahead = Ahead::of(&guest);
        sleep(Duration::from_secs(3));
        let (before, used) = (granted(&guest), cpu_used(&guest));
        let child = busy(&host, &guest);
        sleep(Duration::from_millis(1500));
        let burst = granted(&guest).saturating_sub(before);
        seen.push(cpu_used(&guest) - used);
        rest(&guest, child);
        if !burst.is_zero() {
            return;
        }
    }
    panic!("nothing beyond the quota was granted; it used {seen:?} in 1.5 s each");
}
