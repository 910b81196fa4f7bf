//! What the disk says after power off.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::shell::{capture, command};

/// Files of the image by name, without their directories: the witness's, and each guest's log as `NAME.boot`.
#[derive(Default)]
pub struct Evidence {
    files: BTreeMap<String, String>,
    clean: bool,
    console: String,
}

/// Reads the image without mounting it.
pub fn read(work: &Path) -> Result<Evidence, String> {
    let image = work.join("image");
    let dump = |from: &str, to: &Path| -> Result<(), String> {
        fs::create_dir_all(to).map_err(|error| error.to_string())?;
        let request = format!("rdump {from} {}", to.display());
        capture(command("debugfs", &["-R", &request]).arg(&image)).map(drop)
    };
    let out = work.join("out");
    dump("/var/log/evidence", &out)?;
    let mut evidence = Evidence { clean: is_clean(&image)?, ..Evidence::default() };
    for entry in fs::read_dir(out.join("evidence")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        evidence.files.insert(name, fs::read_to_string(entry.path()).unwrap_or_default());
    }
    for guest in ["a-web", "m-app", "z-db", "late", "byhand", "off"] {
        let request = format!("cat /vservers/{guest}/var/log/boot");
        let log = capture(command("debugfs", &["-R", &request]).arg(&image))?;
        evidence.files.insert(format!("{guest}.boot"), log);
    }
    evidence.console = fs::read_to_string(work.join("serial")).unwrap_or_default();
    Ok(evidence)
}

/// Unmounted in an orderly way: nothing is left in the journal of the file system.
fn is_clean(image: &Path) -> Result<bool, String> {
    let head = capture(command("dumpe2fs", &["-h"]).arg(image))?;
    Ok(!head.contains("needs_recovery")
        && head.lines().any(|line| line.starts_with("Filesystem state:") && line.ends_with(" clean")))
}

impl Evidence {
    fn file(&self, name: &str) -> &str {
        self.files.get(name).map_or("", String::as_str)
    }

    /// All of it, for people.
    pub fn shown(&self) -> String {
        let files = self.files.iter().map(|(name, text)| format!("--- {name}\n{}", text.trim_end()));
        files.collect::<Vec<_>>().join("\n")
    }

    /// Seconds since 1970 of the last such line of a guest's log.
    fn time(&self, guest: &str, what: &str) -> Option<f64> {
        let log = self.file(&format!("{guest}.boot"));
        log.lines().filter_map(|line| line.strip_prefix(what)?.trim().parse().ok()).next_back()
    }

    /// Everything that is not as it should be, one sentence each.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut must = |holds: bool, what: &str| {
            if !holds {
                faults.push(format!("boot: not so: {what}"));
            }
        };
        let is = |name: &str, text: &str| self.file(name).split_whitespace().eq(text.split_whitespace());
        must(is("pid1", "systemd"), "systemd is PID 1");
        must(is("cgroup", "cgroup2fs"), "the host has pure cgroup v2");
        must(
            is("booted", "a-web late m-app z-db"),
            "marked guests and what they need run after boot, and nobody else",
        );
        must(is("failed", ""), "no unit failed");
        must(is("daemon", "active active"), "the daemon and its socket are active");
        must(is("reloaded", "a-web late m-app z-db"), "guests outlive daemon-reload and daemon-reexec of systemd");
        let controllers: Vec<_> = self.file("controllers").split_whitespace().collect();
        must(["cpu", "memory", "pids"].iter().all(|name| controllers.contains(name)), "controllers stay enabled");
        must(is("unmarked", "a-web m-app z-db"), "stopping a mark's target stops its guests");
        must(is("script", "a-web m-app z-db"), "the init script stops the guests of its mark");
        must(is("before", "a-web byhand late m-app z-db"), "a guest can be started by hand beside the units");
        let order = |what: &str, guests: [&str; 3]| {
            let times = guests.map(|guest| self.time(guest, what));
            times.iter().all(Option::is_some) && times.is_sorted()
        };
        must(order("started", ["z-db", "m-app", "a-web"]), "guests start after those that they need");
        must(self.entered().is_sorted(), "units become active in the order of depends");
        let ended = |first: &str, then: &str| matches!((self.time(first, "stopped"), self.time(then, "stopping")), (Some(a), Some(b)) if a <= b);
        must(
            ended("a-web", "m-app") && ended("m-app", "z-db"),
            "each guest has ended before one that it needs is stopped",
        );
        must(ended("z-db", "byhand"), "a guest without a unit is stopped after those with one");
        must(self.time("late", "stopped").is_some(), "a guest of another mark is stopped, too");
        must(self.file("off.boot").is_empty(), "a disabled guest is left alone");
        must(
            self.console.contains("reboot: Power down") || self.console.contains("Powering off"),
            "the host switched itself off",
        );
        must(self.clean, "the root file system was left clean");
        faults
    }

    fn entered(&self) -> Vec<u64> {
        let time = |guest: &str| {
            let line = self.file("entered").lines().find_map(|line| line.strip_prefix(guest)?.trim().parse().ok());
            line.unwrap_or(0)
        };
        ["z-db", "m-app", "a-web"].map(time).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Evidence {
        let file = |(name, text): (&str, &str)| (name.to_owned(), text.to_owned());
        let files = [
            ("pid1", "systemd\n"),
            ("cgroup", "cgroup2fs\n"),
            ("booted", "a-web\nlate\nm-app\nz-db\n"),
            ("failed", ""),
            ("daemon", "active\nactive\n"),
            ("reloaded", "a-web\nlate\nm-app\nz-db\n"),
            ("controllers", "cpuset cpu io memory pids\n"),
            ("unmarked", "a-web\nm-app\nz-db\n"),
            ("script", "a-web\nm-app\nz-db\n"),
            ("before", "a-web\nbyhand\nlate\nm-app\nz-db\n"),
            ("entered", "a-web 30\nm-app 20\nz-db 10\n"),
            ("z-db.boot", "started 1.0\nstopping 24.0\nstopped 25.0\n"),
            ("m-app.boot", "started 2.0\nstopping 22.0\nstopped 23.0\n"),
            ("a-web.boot", "started 3.0\nstopping 20.0\nstopped 21.0\n"),
            ("late.boot", "started 2.5\nstopping 20.0\nstopped 21.0\n"),
            ("byhand.boot", "started 9.0\nstopping 26.0\nstopped 27.0\n"),
        ];
        let console = "[   30.1] reboot: Power down\n".to_owned();
        Evidence { files: files.map(file).into(), clean: true, console }
    }

    #[test]
    fn a_good_boot_has_no_faults_and_each_flaw_is_named() {
        assert_eq!(sample().faults(), Vec::<String>::new());
        let flawed = |name: &str, text: &str| {
            let mut evidence = sample();
            evidence.files.insert(name.to_owned(), text.to_owned());
            evidence.faults().join("\n")
        };
        assert!(flawed("z-db.boot", "started 2.1\nstopping 24.0\nstopped 25.0\n").contains("start after those"));
        assert!(flawed("m-app.boot", "started 2.0\n").contains("has ended before"));
        assert!(flawed("off.boot", "started 2.0\n").contains("disabled"));
        assert!(flawed("failed", "vserver@x.service\n").contains("no unit failed"));
        assert!(Evidence { clean: false, ..sample() }.faults()[0].contains("left clean"));
    }
}
