//! Who uses what: samples `/proc` into one row per context, and prints rows as `vserver-stat` does.
//!
//! A process belongs to the guest whose cgroup holds it ([`owner()`]), never to what it says of itself. Process numbers are
//! the host's. Nothing here changes anything.

mod error;
pub mod format;
mod listeners;
mod owner;
mod process;
mod sample;

pub use error::Error;
pub use listeners::{Wildcard, wildcards};
pub use owner::{owner, owner_in};
pub use process::{Process, processes};
pub use sample::{Row, Sample, Usage};
