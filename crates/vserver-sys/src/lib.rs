//! The only crate with `unsafe` code: kernel calls that nix lacks, each behind a safe signature.
//!
//! | call | kernel | used for | without it |
//! |---|---|---|---|
//! | `clone3`, `close_range` | 5.3, 5.9 | processes in new namespaces, no inherited descriptor | refuse |
//! | `openat2` (through nix) | 5.6 | everything below a guest's root | refuse |
//! | `open_tree`, `move_mount`, `fsopen` … | 5.2 | detached mounts | refuse |
//! | `mount_setattr` | 5.12 | idmapped and read-only detached mounts | no user namespace, said at start |
//! | `pidfd_open`, `pidfd_send_signal` | 5.3, 5.1 | signals without pid reuse | refuse |
//! | `pidfd_getfd` | 5.6 | sockets of a running guest follow a change of its addresses | from its next start on |
//! | `bpf` cgroup programs | 4.10–5.18 | addresses, devices | fail closed |
//! | `landlock` scopes | 6.12 | abstract sockets, foreign signals | said at start |
//! | project attributes | 4.5 | tags | no tags, said at start |
//! | `quotactl_fd` | 5.14 | disk limits on ext4 and xfs, quotas inside | no limits, said at start |
//! | btrfs ioctls | 3.6–4.18 | disk limits and snapshots on btrfs | no limits, said at start |
//! | `FS_IOC_FIEMAP` | 2.6.28 | which blocks are shared | counted as own |
//! | tun ioctls | 3.5 | tun and tap devices of guests | refuse |
//! | `LOOP_CONFIGURE` | 5.8 | image files | refuse |
//! | `seccomp` | 3.17 | system call policy | refuse |
//! | seccomp listeners | 5.0–5.9 | names and ping sockets that a guest's supervisor makes | the kernel answers |

pub mod block;
pub mod bpf;
pub mod btrfs;
pub mod command;
pub mod extents;
pub mod fd;
pub mod landlock;
pub mod memory;
pub mod mount;
pub mod peer;
pub mod pidfd;
pub mod prlimit;
pub mod process;
pub mod project;
pub mod quota;
pub mod seccomp;
pub mod socket;
pub mod tty;
pub mod tun;
pub mod xattr;

use std::io;

/// The result of a raw system call as `io::Result`.
fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
