//! The walls of a guest: namespaces, the pivot barrier, `/dev`, `/proc` masks, capabilities, seccomp; and the way in.
//!
//! [`spawn::spawn`] raises a guest, [`enter::enter`] puts a command into a running one; both end in the same
//! [`confine::confine`]. Everything is attached by descriptor, nothing below the guest's root is ever reached by a path
//! that the guest could change.

pub mod blueprint;
pub mod confine;
pub mod dev;
pub mod enter;
pub mod frames;
pub mod late;
pub mod nested;
pub mod petition;
pub mod policy;
pub mod seccomp;
pub mod spawn;
pub mod userns;

mod beneath;
mod birth;
mod error;
mod first;
mod furnish;
mod home;
mod label;
mod merged;
mod oom;
pub mod passwd;
mod pivot;
mod proc;
mod root;
mod sysctl;
mod view;

pub use error::{Error, Result};
