//! Equal files of several guests become one inode, and what a guest changes stays its own.
//!
//! | module | what it is for |
//! |---|---|
//! | [`Rules`] | which files of a guest may be shared |
//! | [`Store`] | the files that guests of one file system share, each under its digest |
//! | [`hashify`] | finds what is equal, compares it byte for byte and exchanges it |
//! | [`unify()`] | the same for one guest against others, path by path |
//! | [`clone_tree`], [`clone_with_copies`] | a second tree of the same files |
//! | [`flatten()`] | the end of it for one guest |
//! | [`is_shared`], [`mark()`] | the mark of a tree whose files may be other guests' too |
//! | [`Layers`] | where such a guest writes while it runs, and how that comes back into its tree |
//!
//! Nothing here follows a symbolic link of a guest or joins a path to its root, and a file is linked only by the
//! descriptor that it was compared by. A guest whose tree is marked must not run but over an overlay ([`Layers`]): a hard
//! link on a stock kernel has no other protection against its second owner.

mod clone;
mod error;
mod exchange;
mod flatten;
mod held;
mod layers;
mod mark;
mod packages;
mod pattern;
mod rules;
mod same;
mod scan;
mod store;
mod unify;

pub use clone::{can_clone, clone_tree, clone_tree_told, clone_with_copies, copy_by_rules};
pub use error::Error;
pub use flatten::{Copied, flatten};
pub use layers::Layers;
pub use mark::{is_shared, mark, unmark};
pub use packages::debian_configuration;
pub use rules::{Rules, SHIPPED, Verdict};
pub use store::Store;
pub use unify::{AgainstOptions, Event, Options, Skip, Totals, Tree, hashify, unify};
