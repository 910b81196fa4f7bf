//! What a template was made of: equal recipes make equal trees, so a build looks for its own.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::debootstrap::Run;

/// Everything that decides what debootstrap makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// As in `bookworm`.
    pub suite: String,
    /// Where the packages came from.
    pub mirror: String,
    /// debootstrap's script, if it was not its own.
    pub script: Option<std::path::PathBuf>,
    /// Its options, packages included.
    pub options: Vec<String>,
}

impl Recipe {
    pub(crate) fn of(run: &Run) -> Self {
        let mut options = run.options.clone();
        options.sort();
        Self { suite: run.suite.clone(), mirror: run.mirror.clone(), script: run.script.clone(), options }
    }

    /// The template's name: the suite, and a number that no other recipe has.
    pub(crate) fn name(&self) -> String {
        let text = serde_json::json!([self.suite, self.mirror, self.script, self.options]).to_string();
        let digest = Sha256::digest(text.as_bytes());
        let suite: String =
            self.suite.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' }).collect();
        format!("{}-{}", suite.trim_start_matches('.'), super::seal::hex(&digest[..4]))
    }
}
