//! What a guest may fill of a disk.
//!
//! | a file system of kind | a tag is | a limit is | the guest's `df` shows |
//! |---|---|---|---|
//! | ext4, xfs with project quotas | the project of each inode | the project's quota: space and inodes | the limit |
//! | ext4, xfs without | the project | nothing | the file system |
//! | btrfs with quotas | nothing | the subvolume's quota group: space | the file system |
//! | any | nothing | an image file with a file system in it ([`image`]): space and inodes | the limit |
//!
//! A tree is tagged once ([`tag_tree`]): its directories hand the project on to whatever is made in them.

mod account;
mod error;
pub mod image;
mod lack;
mod tag;
mod usage;
mod walk;

pub use account::{Account, Limits, Reading};
pub use error::{Error, Result};
pub use lack::Lack;
pub use tag::{Tagged, is_tagged, set_tag, tag_of, tag_tree, takes_tags};
pub use usage::{Shares, Usage, shares_of, usage_of};
pub use walk::{Depth, Found, Met, Reach, walk};
