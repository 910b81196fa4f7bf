//! What a guest's threads do at a moment. Of many only some are looked at, which stand for all: no number of threads makes
//! looking cost more than that.

use std::fs::File;
use std::io::Read;

use vserver_cgroup::GuestCgroup;

/// Most threads that are looked at.
const MOST: usize = 512;

/// All threads of a guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tasks {
    /// How many there are.
    pub total: usize,
    /// How many run or want to. Who reads what we say waits for us meanwhile and is not among them.
    pub running: usize,
    /// How many wait and cannot be interrupted.
    pub blocked: usize,
    /// The highest number that one of them has inside.
    pub newest: u32,
}

impl Tasks {
    /// The same with the one who asks, who would run if the kernel itself answered.
    pub fn with_the_reader(&self) -> usize {
        self.running + 1
    }
}

/// One thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Task {
    state: char,
    number: u32,
}

impl Tasks {
    /// Looks.
    pub fn look(cgroup: &GuestCgroup) -> Self {
        let threads = cgroup.threads().unwrap_or_default();
        Self::sample(&threads, |thread| task_of(&status(thread)?))
    }

    fn sample(threads: &[i32], look: impl Fn(i32) -> Option<Task>) -> Self {
        let step = threads.len().div_ceil(MOST).max(1);
        // Another part of them every time.
        let first = std::time::UNIX_EPOCH.elapsed().map_or(0, |now| now.subsec_micros() as usize) % step;
        let mut found = Self { total: threads.len(), ..Self::default() };
        let mut seen = 0_usize;
        for thread in threads.iter().skip(first).step_by(step) {
            // It may have ended meanwhile.
            let Some(task) = look(*thread) else { continue };
            seen += 1;
            found.running += usize::from(task.state == 'R');
            found.blocked += usize::from(task.state == 'D');
            found.newest = found.newest.max(task.number);
        }
        if step > 1 && seen > 0 {
            let all = |some: usize| (some * threads.len() + seen / 2) / seen;
            (found.running, found.blocked) = (all(found.running), all(found.blocked));
        }
        found
    }
}

/// The beginning of `/proc/PID/status`, which also threads have.
fn status(thread: i32) -> Option<String> {
    let mut bytes = [0; 4096];
    let length = File::open(format!("/proc/{thread}/status")).ok()?.read(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(bytes.get(..length)?).into_owned())
}

/// A name can hold no line feed there, so no line is somebody's invention. proc_pid_status(5).
fn task_of(status: &str) -> Option<Task> {
    let value = |key: &str| status.lines().find_map(|line| line.strip_prefix(key));
    let state = value("State:")?.trim_start().chars().next()?;
    // One number for each PID namespace: ours, the guest's, and perhaps those that it has made.
    let number = value("NSpid:").and_then(|numbers| numbers.split_whitespace().nth(1)?.parse().ok());
    Some(Task { state, number: number.unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_understood() {
        let text = "Name:\tState:\\nR\nUmask:\t0022\nState:\tD (disk sleep)\nTgid:\t7\nNSpid:\t700\t7\t1\n";
        assert_eq!(task_of(text), Some(Task { state: 'D', number: 7 }));
        assert_eq!(task_of("State:\tR (running)\nNSpid:\t5\n"), Some(Task { state: 'R', number: 0 }));
        assert_eq!(task_of(""), None);
    }

    #[test]
    fn some_stand_for_all() {
        let threads: Vec<i32> = (0..10_000).collect();
        let task = |thread: i32| {
            let state = if thread % 2 == 0 { 'R' } else { 'S' };
            Some(Task { state, number: 3 })
        };
        let looked = std::cell::Cell::new(0);
        let found = Tasks::sample(&threads, |thread| {
            looked.set(looked.get() + 1);
            task(thread / 20)
        });
        assert!(looked.get() <= MOST, "{}", looked.get());
        assert_eq!((found.total, found.newest), (10_000, 3));
        assert!(found.running.abs_diff(5_000) < 500, "{found:?}");
        let few = Tasks::sample(&threads[..9], task);
        assert_eq!((few.total, few.running), (9, 5));
    }
}
