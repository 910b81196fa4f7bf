//! Our own runtime, by its command line.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::stage::Runtime;
use crate::Outcome;
use crate::shell::{capture, command};

/// How it is called in the result.
pub const NAME: &str = "ours";
const GUEST: &str = "benchguest";

/// One guest in a configuration root of its own.
pub struct Ours {
    program: PathBuf,
    confdir: PathBuf,
}

impl Ours {
    /// With the programs of a directory.
    pub fn new(bin: &Path, home: &Path) -> Self {
        Self { program: bin.join("vserver"), confdir: home.join("etc") }
    }

    fn vserver(&self, words: &[&str]) -> Command {
        let mut vserver = command(&self.program, &[GUEST]);
        vserver.args(words).env("VSERVER_CONFDIR", &self.confdir);
        vserver
    }

    fn write(&self, tree: &Path) -> std::io::Result<()> {
        let cfg = self.confdir.join(GUEST);
        let _ = fs::remove_dir_all(&cfg);
        fs::create_dir_all(cfg.join("apps/init"))?;
        fs::create_dir_all(cfg.join("interfaces/0"))?;
        symlink(tree, cfg.join("vdir"))?;
        symlink(format!("/var/run/vservers/{GUEST}"), cfg.join("run"))?;
        let address =
            [("interfaces/0/ip", "127.77.0.1\n"), ("interfaces/0/prefix", "8\n"), ("interfaces/0/nodev", "")];
        let own = [("context", "48999\n"), ("apps/init/style", "plain\n")];
        address.iter().chain(&own).try_for_each(|(file, content)| fs::write(cfg.join(file), content))
    }
}

impl Runtime for Ours {
    fn name(&self) -> &'static str {
        NAME
    }

    fn configure(&self, tree: &Path) -> Outcome {
        self.write(tree).map_err(|error| format!("could not write below {}: {error}", self.confdir.display()))
    }

    fn start(&self) -> Outcome {
        capture(&mut self.vserver(&["start"])).map(drop)
    }

    fn kill(&self) -> Outcome {
        capture(&mut self.vserver(&["stop", "--kill"])).map(drop)
    }

    fn exec(&self, argv: &[&str]) -> Outcome {
        capture(self.vserver(&["exec"]).args(argv)).map(drop)
    }

    /// The keeper, and the supervisor, which is the parent of the guest's init.
    fn monitors(&self) -> Vec<i32> {
        let text = fs::read_to_string(format!("/run/vserver/{GUEST}/state.json")).unwrap_or_default();
        let state: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let pid = |key: &str| i32::try_from(state[key].as_i64()?).ok();
        pid("supervisor").into_iter().chain(pid("init").and_then(parent)).collect()
    }

    fn boots(&self) -> bool {
        true
    }
}

fn parent(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
}
