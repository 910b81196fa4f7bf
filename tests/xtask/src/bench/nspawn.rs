//! systemd-nspawn: it stays in the foreground, so a start and stop is one command that ends by itself.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::stage::Runtime;
use crate::Outcome;
use crate::shell::{command, run};

/// One container.
pub struct Nspawn {
    tree: RefCell<PathBuf>,
}

impl Nspawn {
    /// Not yet configured.
    pub fn new(home: &Path) -> Self {
        Self { tree: RefCell::new(home.to_owned()) }
    }
}

impl Runtime for Nspawn {
    fn name(&self) -> &'static str {
        "systemd-nspawn"
    }

    fn configure(&self, tree: &Path) -> Outcome {
        self.tree.replace(tree.to_owned());
        Ok(())
    }

    fn start(&self) -> Outcome {
        self.exec(&["/bin/true"])
    }

    fn kill(&self) -> Outcome {
        Ok(())
    }

    fn exec(&self, argv: &[&str]) -> Outcome {
        let alone = ["-q", "--register=no", "--keep-unit", "--timezone=off", "--resolv-conf=off", "-D"];
        let mut nspawn = command("systemd-nspawn", &alone);
        nspawn.arg(self.tree.borrow().as_path()).args(argv).stdout(Stdio::null()).stderr(Stdio::null());
        run(&mut nspawn)
    }
}
