//! `fork_rss`: whether a guest may have a process more.

use std::fs;
use std::io;

use vserver_cgroup::{GuestCgroup, Layout};
use vserver_runtime::settings::Settings;
use vserver_sys::seccomp::Answer;

/// The guest's memory, if its forks are a matter of that.
pub struct Forks(Option<GuestCgroup>);

impl Forks {
    /// A guest whose cgroup is not found forks as it likes: to start without one is refused before.
    pub fn new(settings: &Settings) -> Self {
        let layout = settings.forks.then(Layout::detect).and_then(Result::ok);
        Self(layout.and_then(|layout| GuestCgroup::open(&layout.with_base(&settings.cgroup_base), &settings.name)))
    }

    /// What a process gets that wants to fork. What cannot be measured is not held: a guest is not to stand still for a
    /// figure. Our own that is on its way into the guest has its namespaces, but is in our PID namespace until it has
    /// forked (setns(2), `CLONE_NEWPID`).
    pub fn answer(&self, pid: i32) -> Answer {
        let is_above = self.0.as_ref().is_some_and(|cgroup| cgroup.is_above_soft_limit().unwrap_or(false));
        match is_above && !is_ours(pid).unwrap_or(false) {
            true => Answer::Failed(nix::errno::Errno::ENOMEM as i32),
            false => Answer::GoOn,
        }
    }
}

fn is_ours(pid: i32) -> io::Result<bool> {
    Ok(fs::read_link(format!("/proc/{pid}/ns/pid"))? == fs::read_link("/proc/self/ns/pid")?)
}
