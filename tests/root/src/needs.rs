//! What a test needs from the machine beyond root.

use std::path::Path;

/// Something that a machine may lack.
#[derive(Clone, Debug)]
pub enum Need {
    /// A program in `PATH`.
    Tool(&'static str),
    /// This workspace's probe program, built beside us.
    #[allow(dead_code)]
    Probe,
}

impl Need {
    /// Why it is not met, or nothing.
    pub fn unmet(&self) -> Option<String> {
        match self {
            Self::Tool(tool) if !in_path(tool) => Some(format!("needs the program {tool}")),
            Self::Probe if !crate::fixture::program("vserver-probe").exists() => {
                Some("needs vserver-probe (cargo build --release -p vserver-probe)".into())
            }
            _ => None,
        }
    }
}

fn in_path(tool: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').chain(["/usr/sbin", "/sbin"]).any(|dir| Path::new(dir).join(tool).exists())
}
