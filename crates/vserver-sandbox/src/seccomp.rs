//! What a guest may ask the kernel: the policy as reviewed data (`seccomp/policy/*.json`, a reason per entry, rules in the
//! form of OCI's `linux.seccomp`), compiled into filters.
//!
//! An allow-list: a call that the policy does not name is unknown, and ENOSYS. Arguments are compared on their low 32
//! bits only, because the kernel looks at no more of those that the policy names.
//!
//! A filter of the `seccompiler` crate knows two answers, so the policy becomes a stack: the first filter answers
//! ENOSYS to all that is not listed, each further one adds one error number. The kernel runs all of them and takes the
//! most severe answer; between equal ones that of the filter installed last. No two of ours refuse one call.
//!
//! Calls by another door — `int 0x80`, x32 — are all ENOSYS, so that `socketcall` cannot go round the family list (K27).

mod compile;
mod numbers;
mod policy;
mod program;
mod ranges;

use vserver_types::Unenforced;

pub use program::Program;

/// What of the policy is lifted for one guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeccompMode {
    /// The guest has a user namespace of its own.
    pub userns: bool,
    /// The guest may make mounts and namespaces of its own, as systemd does. Has no effect without `userns`.
    pub nesting: bool,
    /// The guest has a network namespace of its own.
    pub netns: bool,
}

impl SeccompMode {
    /// Mounts and namespaces are the guest's own business only if its root is not the host's.
    fn nests(self) -> bool {
        self.userns && self.nesting
    }

    /// What was asked for and is not given.
    pub fn unenforced(self) -> Vec<Unenforced> {
        if self.nesting && !self.userns {
            let reason = "without a user namespace the guest's root is the host's: set `userns` to `auto`";
            return vec![Unenforced::none("nesting", reason)];
        }
        Vec::new()
    }
}

/// The policy could not be turned into filters.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The built-in policy contradicts itself.
    #[error("the system call policy is wrong: {fault}")]
    Policy {
        /// What is wrong with which entry.
        fault: String,
    },
    /// A file of the built-in policy does not parse.
    #[error("cannot parse the system call policy")]
    Parse {
        /// Where.
        #[source]
        source: serde_json::Error,
    },
    /// The filter compiler refused.
    #[error("cannot compile the system call policy")]
    Compile {
        /// Why.
        #[source]
        source: seccompiler::BackendError,
    },
    /// The processor is not one that the filter compiler knows.
    #[error("no system call policy for processors of type {architecture}")]
    Architecture {
        /// Its name.
        architecture: &'static str,
    },
}

/// The filters of `mode`, in the order of their installation.
pub fn programs(mode: SeccompMode) -> Result<Vec<Program>, Error> {
    compile::stack(&policy::Resolved::new(mode)?)
}
