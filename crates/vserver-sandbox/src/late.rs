//! What is mounted for a guest that runs already: the same as what it finds when it starts.

use std::os::fd::{BorrowedFd, OwnedFd};

use crate::error::Result;
use crate::furnish;

/// A copy of what is mounted at `place`, with all below it if it is `recursive`: private, without device nodes, and its
/// owners mapped into the range that begins at `base` by the guest's user namespace. `shown` is for messages.
pub fn take(
    place: BorrowedFd<'_>,
    recursive: bool,
    users: Option<(u32, BorrowedFd<'_>)>,
    shown: &str,
) -> Result<OwnedFd> {
    let mount = furnish::detach(place, recursive, shown)?;
    if let Some((base, userns)) = users {
        furnish::map_owner(&mount, base, userns, shown)?;
    }
    Ok(mount)
}
