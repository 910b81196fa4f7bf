//! runc: `run -d`, `exec`, `kill` and `delete`, with its own default specification in the host's network.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::stage::Runtime;
use crate::Outcome;
use crate::shell::{capture, command, run};

const GUEST: &str = "benchguest";

/// One container.
pub struct Runc {
    bundle: PathBuf,
    state: PathBuf,
}

impl Runc {
    /// Its bundle and state lie below a directory.
    pub fn new(home: &Path) -> Self {
        Self { bundle: home.join("runc"), state: home.join("runc-state") }
    }

    fn runc(&self, words: &[&str]) -> Command {
        let mut runc = command("runc", &["--root"]);
        runc.arg(&self.state).args(words).stdout(Stdio::null()).stderr(Stdio::null());
        runc
    }
}

impl Runtime for Runc {
    fn name(&self) -> &'static str {
        "runc"
    }

    fn configure(&self, tree: &Path) -> Outcome {
        let _ = fs::remove_dir_all(&self.bundle);
        fs::create_dir_all(&self.bundle).map_err(|error| format!("{}: {error}", self.bundle.display()))?;
        capture(command("runc", &["spec"]).current_dir(&self.bundle))?;
        let path = self.bundle.join("config.json");
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut spec: Value = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        spec["process"]["terminal"] = json!(false);
        spec["process"]["args"] = json!(["/sbin/init"]);
        spec["root"] = json!({"path": tree, "readonly": false});
        if let Some(namespaces) = spec["linux"]["namespaces"].as_array_mut() {
            namespaces.retain(|namespace| namespace["type"] != "network");
        }
        fs::write(&path, spec.to_string()).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn start(&self) -> Outcome {
        run(self.runc(&["run", "-d", "-b"]).arg(&self.bundle).arg(GUEST))
    }

    fn kill(&self) -> Outcome {
        run(&mut self.runc(&["delete", "--force", GUEST]))
    }

    fn exec(&self, argv: &[&str]) -> Outcome {
        run(self.runc(&["exec", GUEST]).args(argv))
    }
}
