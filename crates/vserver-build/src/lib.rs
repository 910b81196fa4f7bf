//! New guests: a tree and a configuration, both or neither; and their end.
//!
//! [`build()`] works in a hidden directory beside the guest's root-to-be, `.<name>.build-<pid>`:
//!
//! ```text
//!  check ─► stage ─► skeleton ─► method ─► tame ─► commit: tree renamed into place, then the configuration written
//!             └──────────── any failure, SIGINT, SIGTERM, SIGHUP ───────────► the stage is removed
//! ```
//!
//! The configuration appears last, complete, and is what makes a guest; so there is never half a guest, and what was
//! there before is touched only by the renames of `--force`, which a failure takes back.

mod apt;
mod build;
mod cache;
mod child;
mod clone;
mod confine;
mod copy;
mod debootstrap;
mod delete;
mod disk;
mod distribution;
mod error;
mod explain;
mod export;
mod fai;
mod fetched;
mod import;
mod init;
mod limit;
mod oci;
mod orphans;
pub mod outside;
mod own_disk;
mod packages;
mod programs;
mod rename;
mod request;
mod restore;
mod rsync;
mod settle;
mod signals;
mod skeleton;
mod snapshot;
mod stage;
mod style;
mod tame;
mod template;
mod tools;

pub use apt::{Source, host_sources};
pub use build::build;
pub use cache::Recipe;
pub use copy::copy;
pub use delete::delete;
pub use error::Error;
pub use export::{Output, export};
pub use import::{Import, LeftOut, Port, Remote, Source as ImportSource, Survey, is_image, look, repeat};
pub use init::detect as detect_init;
pub use rename::{Recovered, recover, rename};
pub use request::{
    BuildRequest, Built, CloneOf, CopyRequest, Debootstrap, Fai, LimitWish, Manager, Method, OciImage, Packages,
    Progress, Rsync, Silent, Template,
};
pub use settle::settle;
/// Trees that were built once and are cloned since.
pub mod templates {
    pub use crate::cache::{AGE, Template, delete, export, import, list, refresh};
}
/// What guests were at a moment.
pub mod snapshots {
    pub use crate::snapshot::{How, Made, NewSnapshot, Snapshot, create, delete, list, restore};
}
pub use style::{PackageStyle, package_style};
pub use tame::{Access, Init, System};
