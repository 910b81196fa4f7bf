//! What of a configuration's control files will have no effect on this host, told before anything is there.

use vserver_types::{Limits, Unenforced};

use crate::layout::{Controller, Layout};
use crate::{blkio, raw};

impl Layout {
    /// The files of `limits.raw` that say nothing that this host understands. What the kernel refuses, and which of its files
    /// are missing, shows only when a guest starts; devices are told of by [`crate::DevicePolicy::with_raw`].
    pub fn foresee(&self, limits: &Limits) -> Vec<Unenforced> {
        let mut report = Vec::new();
        let (_, rest) = raw::absorb(limits, self.shares_are_weights(), &mut report);
        for (file, value) in &rest {
            report.extend(self.foresee_one(file, value));
        }
        report
    }

    /// Whether `cpu.shares` has to become a weight.
    pub(crate) fn shares_are_weights(&self) -> bool {
        self.tree_of(Controller::Cpu).is_some_and(|tree| tree.v2)
    }

    fn foresee_one(&self, file: &str, value: &str) -> Option<Unenforced> {
        let setting = format!("cgroup/{file}");
        let controller = match raw::controller_of(file) {
            Ok(controller) => controller,
            Err(reason) => return Some(Unenforced::none(setting, reason)),
        };
        let Some(tree) = self.tree_of(controller) else {
            return Some(Unenforced::none(setting, format!("this host has no {} controller", controller.name())));
        };
        if controller == Controller::Io {
            let line = value
                .lines()
                .find(|line| !line.trim().is_empty() && blkio::translate(file, line.trim(), tree.v2).is_none())?;
            return Some(Unenforced::none(setting, blkio::unsayable(line)));
        }
        match raw::translate(file, value, tree.v2) {
            Ok(Some((_, Some(note)))) => Some(Unenforced::partial(setting, note)),
            Ok(_) => None,
            Err(reason) => Some(Unenforced::none(setting, reason)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(raw: &[(&str, &str)], mounts: &str) -> Vec<String> {
        let raw = raw.iter().map(|(file, value)| ((*file).to_owned(), (*value).to_owned())).collect();
        let report = Layout::from_mountinfo(mounts).unwrap().foresee(&Limits { raw, ..Limits::default() });
        report.into_iter().map(|one| format!("{}: {}", one.setting, one.reason)).collect()
    }

    #[test]
    fn what_a_start_would_say_of_these_files_is_known_before() {
        let v1 = "32 31 0:29 / /nowhere/cpu rw - cgroup cgroup rw,cpu\n\
                  35 31 0:32 / /nowhere/memory rw - cgroup cgroup rw,memory\n";
        let files = [
            ("cpu.shares", "512"),
            ("memory.limit_in_bytes", "much"),
            ("memory.swappiness", "0"),
            ("memory.oom.group", "1"),
            ("net_cls.classid", "1"),
            ("cgroup.procs", "1"),
            ("blkio.weight", "100"),
        ];
        let all = told(&files, v1);
        let wanted = [
            "cgroup/memory.limit_in_bytes: 'much' is not a value for it",
            "cgroup/memory.oom.group: cgroup v1 has nothing like it",
            "cgroup/net_cls.classid: it exists on cgroup v1 only",
            "cgroup/cgroup.procs: it is not a limit of a guest",
            "cgroup/blkio.weight: this host has no io controller",
        ];
        assert_eq!(all.len(), wanted.len(), "{all:#?}");
        assert!(all.iter().zip(wanted).all(|(line, begun)| line.starts_with(begun)), "{all:#?}");
    }
}
