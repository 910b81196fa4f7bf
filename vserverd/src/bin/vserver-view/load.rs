//! The load average of a guest, as the kernel makes the host's: every five seconds, in fixed-point numbers.
//! `include/linux/sched/loadavg.h`, `kernel/sched/loadavg.c`.

use std::time::{Duration, Instant};

use crate::tasks::Tasks;

/// Bits behind the point.
const SHIFT: u32 = 11;
const ONE: u64 = 1 << SHIFT;
/// exp(-5 s / 1, 5, 15 min).
const DECAY: [u64; 3] = [1884, 2014, 2037];
/// Between two looks.
const PERIOD: Duration = Duration::from_secs(5);
/// Bits behind the point of sysinfo(2).
const SYSINFO_SHIFT: u32 = 16;

/// The averages over 1, 5 and 15 minutes.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    averages: [u64; 3],
    next: Instant,
}

impl Load {
    /// Nothing has run yet.
    pub fn begin(now: Instant) -> Self {
        Self { averages: [0; 3], next: now + PERIOD }
    }

    /// When it wants to be told.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// Takes in what runs now, if it is time; for periods that were missed as well.
    pub fn tell(&mut self, now: Instant, look: impl FnOnce() -> Tasks) {
        /// Beyond that all averages have forgotten what was before.
        const MOST: u32 = 1000;
        if now < self.next {
            return;
        }
        let tasks = look();
        let active = (tasks.running + tasks.blocked) as u64 * ONE;
        for _ in 0..MOST {
            for (average, decay) in self.averages.iter_mut().zip(DECAY) {
                *average = next(*average, decay, active);
            }
            self.next += PERIOD;
            if now < self.next {
                return;
            }
        }
        self.next = now + PERIOD;
    }

    /// `/proc/loadavg`. proc_loadavg(5).
    pub fn text(&self, tasks: &Tasks) -> String {
        let [one, five, fifteen] = self.averages.map(|average| {
            let rounded = average + ONE / 200;
            format!("{}.{:02}", rounded >> SHIFT, (rounded % ONE * 100) >> SHIFT)
        });
        format!("{one} {five} {fifteen} {}/{} {}\n", tasks.with_the_reader(), tasks.total, tasks.newest)
    }

    /// As sysinfo(2) has them.
    pub fn of_sysinfo(&self) -> [u64; 3] {
        self.averages.map(|average| average << (SYSINFO_SHIFT - SHIFT))
    }
}

/// `calc_load` of the kernel.
fn next(average: u64, decay: u64, active: u64) -> u64 {
    let sum = average * decay + active * (ONE - decay);
    let up = if active >= average { ONE - 1 } else { 0 };
    (sum + up) / ONE
}

/// What the host says of itself, as sysinfo(2) has it.
pub fn of_host(loadavg: &str) -> [u64; 3] {
    let mut words = loadavg.split(' ').map(|word| word.parse::<f64>().unwrap_or(0.0));
    [(); 3].map(|()| (words.next().unwrap_or(0.0) * f64::from(1 << SYSINFO_SHIFT)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(periods: u32, running: usize) -> Load {
        let begin = Instant::now();
        let mut load = Load::begin(begin);
        for period in 1..=periods {
            load.tell(begin + PERIOD * period, || Tasks { running, ..Tasks::default() });
        }
        load
    }

    #[test]
    fn it_nears_what_runs() {
        let tasks = Tasks { total: 9, running: 2, blocked: 0, newest: 41 };
        assert_eq!(after(0, 2).text(&tasks), "0.00 0.00 0.00 3/9 41\n");
        // After one minute 1 - 1/e of two.
        assert!(after(12, 2).text(&tasks).starts_with("1.2"), "{}", after(12, 2).text(&tasks));
        assert!(after(2000, 2).text(&tasks).starts_with("2.00 2.00 2.00 "), "{}", after(2000, 2).text(&tasks));
        assert_eq!(after(2000, 2).of_sysinfo()[0], 2 << 16);
    }

    #[test]
    fn it_is_told_once_in_a_period() {
        let begin = Instant::now();
        let mut load = Load::begin(begin);
        load.tell(begin + Duration::from_secs(1), || panic!("too early"));
        load.tell(begin + Duration::from_secs(60), || Tasks { blocked: 2, ..Tasks::default() });
        assert_eq!(load.averages, after(12, 2).averages);
        load.tell(begin + Duration::from_secs(1 << 20), Tasks::default);
        assert_eq!(load.averages, [0; 3]);
        assert!(load.next() > begin + Duration::from_secs(1 << 20));
    }

    #[test]
    fn the_hosts_is_understood() {
        assert_eq!(of_host("0.50 1.00 2.25 1/99 7\n"), [1 << 15, 1 << 16, 9 << 14]);
        assert_eq!(of_host(""), [0; 3]);
    }
}
