//! LXC: `lxc-start`, `lxc-attach`, `lxc-stop -k`, in a directory of containers of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::stage::Runtime;
use crate::Outcome;
use crate::shell::{command, run};

const GUEST: &str = "benchguest";

/// One container.
pub struct Lxc {
    path: PathBuf,
}

impl Lxc {
    /// Its container lies below a directory.
    pub fn new(home: &Path) -> Self {
        Self { path: home.join("lxc") }
    }

    fn tool(&self, name: &str) -> Command {
        let mut tool = command(name, &["-P"]);
        // The monitor keeps what it inherits: a pipe of ours would never end.
        tool.arg(&self.path).args(["-n", GUEST]).stdout(Stdio::null()).stderr(Stdio::null());
        tool
    }
}

impl Runtime for Lxc {
    fn name(&self) -> &'static str {
        "lxc"
    }

    fn configure(&self, tree: &Path) -> Outcome {
        // The same as ours: the host's network, no LSM profile, its own init.
        let config = format!(
            "lxc.uts.name = {GUEST}\nlxc.rootfs.path = dir:{}\nlxc.net.0.type = none\nlxc.apparmor.profile = unconfined\n\
             lxc.init.cmd = /sbin/init\nlxc.mount.auto = proc:mixed sys:mixed cgroup:mixed\n\
             lxc.autodev = 1\nlxc.pty.max = 64\nlxc.tty.max = 0\n",
            tree.display()
        );
        let dir = self.path.join(GUEST);
        let written = fs::create_dir_all(&dir).and_then(|()| fs::write(dir.join("config"), config));
        written.map_err(|error| format!("could not write below {}: {error}", dir.display()))
    }

    fn start(&self) -> Outcome {
        run(&mut self.tool("lxc-start"))
    }

    fn kill(&self) -> Outcome {
        run(self.tool("lxc-stop").arg("-k"))
    }

    fn exec(&self, argv: &[&str]) -> Outcome {
        run(self.tool("lxc-attach").arg("--").args(argv))
    }

    fn monitors(&self) -> Vec<i32> {
        let title = format!("[lxc monitor] {} {GUEST}", self.path.display());
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok());
        pids.filter(|pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).trim_end_matches('\0').trim_end() == title
        })
        .collect()
    }

    fn boots(&self) -> bool {
        true
    }
}
