//! Unpacks archives that nobody vouches for into a guest's root, and packs such a root.
//!
//! The bytes pass through these, in this order; each trusts nothing that the one before it says:
//!
//! | module | takes | gives |
//! |---|---|---|
//! | `codec` | any bytes | the tar or cpio stream in them; plain, gzip, bzip2, xz, zstd, found by their first bytes |
//! | `stream` | that stream | [entries](stream::Entry), each field checked; what two programs could read in two ways is refused |
//! | `name` | names in it | names that stay below the root |
//! | `place` | an entry | the object, made by descriptors, no link followed |
//!
//! Only `place` and `content` touch the file system. Threats: R06 to R10.
//!
//! The other way there is `pack`.

mod acl;
mod ahead;
mod codec;
mod content;
mod error;
mod fields;
mod name;
mod options;
mod pack;
mod pax;
mod place;
mod report;
mod sparse;
mod stream;
mod unpack;

pub use codec::{Archive, Codec, dump, layers};
pub use error::Error;
pub use options::{All, Choice, Limits, Options, Select};
pub use pack::{measure, pack, survey};
pub use report::{Report, Skipped};
pub use unpack::{unpack, unpack_selected};
