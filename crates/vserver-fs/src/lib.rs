//! Files below a guest's root, and the host's own state files.
//!
//! A guest's tree is hostile: any name in it may be a symbolic link to anywhere, a FIFO, a device, or something else a
//! microsecond later. So nothing here joins a path to a guest's root. [`GuestRoot`] holds a descriptor, and every name
//! is resolved by `openat2(2)` (Linux 5.6; there is no fallback):
//!
//! | looking | `RESOLVE_IN_ROOT \| NO_MAGICLINKS` | links work as they do inside the guest, and end at its root |
//! |---|---|---|
//! | changing | `RESOLVE_BENEATH \| NO_SYMLINKS \| NO_MAGICLINKS \| NO_XDEV` | no link, no mount, no `..` on the way |
//!
//! | module | what it is for |
//! |---|---|
//! | [`GuestRoot`] | look at, write and remove things in a guest's tree |
//! | [`copy_tree`], [`dress`] | copy a tree with everything that its files have; give one file what another has but for its content |
//! | [`remove_guest_tree`] | delete a guest's whole tree, unless something is mounted in it |
//! | [`Flock`] | one process at a time, with the name of the one that holds the lock |
//! | [`OldLock`] | the locks that scripts of util-vserver take, too |
//! | [`atomic`] | replace a state file of the host, or leave the old one |

pub mod atomic;
mod copy;
mod error;
mod lock;
mod lookup;
mod mounts;
mod old_lock;
mod remove;
mod root;
pub mod tree;

pub use copy::{copy_file, copy_tree, dress, share_file};
pub use error::Error;
pub use lock::Flock;
pub use lookup::{beneath as open_beneath, relative, split};
pub use mounts::{mount_points, mounts_below};
pub use old_lock::OldLock;
pub use remove::remove_guest_tree;
pub use root::{GuestRoot, Kind, Owner};
