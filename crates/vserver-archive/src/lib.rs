//! Unpacks archives that nobody vouches for into a guest's root.
//!
//! The bytes pass through these, in this order; each trusts nothing that the one before it says:
//!
//! | module | takes | gives |
//! |---|---|---|
//! | `codec` | any bytes | the tar stream in them; plain, gzip, bzip2, xz, zstd, found by their first bytes |
//! | `stream` | the tar stream | [entries](stream::Entry), each field checked; what two programs could read in two ways is refused |
//! | `name` | names in it | names that stay below the root |
//! | `place` | an entry | the object, made by descriptors, no link followed |
//!
//! Only `place` touches the file system. Threats: R06 to R10.

mod codec;
mod error;
mod name;
mod pax;
mod place;
mod stream;
mod unpack;

pub use codec::{Codec, layers};
pub use error::Error;
pub use unpack::{Limits, Options, Report, Skipped, unpack};
