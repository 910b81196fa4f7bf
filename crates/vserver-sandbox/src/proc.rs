//! The guest's `/proc`: a procfs of its own PID namespace in which everything that is not listed is masked, made by a
//! process that still has the host's rights, so that the guest's copy of these mounts is locked.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstatat, mkdirat, mknodat};
use nix::unistd::symlinkat;
use vserver_sys::mount::{self, NODEV, NOEXEC, NOSUID, RDONLY};

use crate::beneath;
use crate::blueprint::{Blueprint, View};
use crate::dev;
use crate::error::{Result, Step};
use crate::nested;
use crate::policy::proc::{self, Treatment};

const ATTRIBUTES: u64 = NOSUID | NODEV | NOEXEC;

/// Where the directory of its own network lies, a place that every procfs has and that has been empty since Linux 2.6.26, and
/// what leads there from `/proc`.
const NETWORK: (&str, &str) = ("tty/ldisc", "net");

/// What is special in the `/proc` of a guest.
#[derive(Clone, Copy, Debug)]
pub struct Own<'a> {
    /// The guest shares the host's uid 0.
    classic: bool,
    view: Option<&'a View>,
    network: Option<&'a OwnedFd>,
    /// It has another one, without masks, as its door to guests of its own.
    door: bool,
}

impl<'a> Own<'a> {
    /// That of this guest.
    pub fn of(blueprint: &'a Blueprint) -> Self {
        let Blueprint { base, view, network, prolific, .. } = blueprint;
        Self { classic: base.is_none(), view: view.as_ref(), network: network.as_ref(), door: *prolific }
    }
}

/// A procfs of the PID namespace of process `pid`; none before Linux 6.17.
pub fn of_process(host_proc: BorrowedFd<'_>, pid: i32) -> Result<Option<OwnedFd>> {
    let path = format!("{pid}/ns/pid");
    let pids = openat(host_proc, path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
        .step(|| format!("open /proc/{path}"))?;
    match mount::procfs_of(pids.as_fd(), ATTRIBUTES) {
        Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => Ok(None),
        made => made.map(Some).step(|| "make a new proc".to_owned()),
    }
}

/// A procfs of the caller's PID namespace.
pub fn own() -> Result<OwnedFd> {
    dev::filesystem(c"proc", &[], ATTRIBUTES)
}

/// Mounts and masks `/proc`. The caller is in the mount namespace of `pivot` and has the host's rights. Classic guests
/// share the host's uid 0, so every entry that all procfs instances share becomes read-only for them: its mode and owner
/// would change on the host too. Files that the view has are the guest's own, and so may be `/proc/net`.
pub fn mount(procfs: &OwnedFd, own: &Own<'_>) -> Result<()> {
    let Own { classic, view, network, door } = *own;
    let root = beneath::own_root()?;
    // The blanks lie under /proc: a part of a mount can be copied only once the mount is attached (before Linux 6.15).
    let blank = Blank::make()?;
    mount::attach(blank.store.as_fd(), beneath::target(&root, "proc")?.as_fd())
        .step(|| "mount the blanks".to_owned())?;
    mount::attach(procfs.as_fd(), beneath::target(&root, "proc")?.as_fd()).step(|| "mount /proc".to_owned())?;
    if door {
        nested::make_door(procfs)?;
    }
    let root = procfs.as_fd();
    for name in global_entries(root)? {
        if let Some(view) = view.filter(|view| view.covers(&name)) {
            view.cover(&name, beneath::target(root, &name)?.as_fd(), &format!("/proc/{name}"))?;
            continue;
        }
        match proc::treatment(&name, classic) {
            Treatment::Plain => {}
            Treatment::ReadOnly => read_only(root, &name)?,
            Treatment::Masked => blank.cover(root, &name)?,
        }
    }
    for path in proc::writable(classic) {
        writable_again(root, path)?;
    }
    network.map_or(Ok(()), |network| blank.lead(root, network))
}

/// Names of `/proc` that are the same for every procfs: all but the processes and what leads to them.
fn global_entries(procfs: BorrowedFd<'_>) -> Result<Vec<String>> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut directory = Dir::openat(procfs, ".", flags, Mode::empty()).step(|| "read /proc".to_owned())?;
    let mut names = Vec::new();
    for entry in directory.iter() {
        let entry = entry.step(|| "read /proc".to_owned())?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.starts_with(|c: char| c.is_ascii_digit());
        if !process && !name.starts_with('.') && !proc::leads_to_processes(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

fn read_only(procfs: BorrowedFd<'_>, name: &str) -> Result<()> {
    let path = CString::new(name).unwrap_or_default();
    let copy = mount::clone_tree(procfs, &path, true).step(|| format!("copy the mount of /proc/{name}"))?;
    mount::set_attributes(copy.as_fd(), RDONLY | NOSUID | NODEV | NOEXEC, 0, true)
        .step(|| format!("make /proc/{name} read-only"))?;
    mount::attach(copy.as_fd(), beneath::target(procfs, name)?.as_fd()).step(|| format!("mount on /proc/{name}"))
}

/// Lays a writable mount of one file over its read-only one. A file that this kernel lacks is left out.
fn writable_again(procfs: BorrowedFd<'_>, path: &str) -> Result<()> {
    let Ok(target) = beneath::target(procfs, path) else {
        return Ok(());
    };
    let copy = mount::clone_tree(target.as_fd(), c"", false).step(|| format!("copy the mount of /proc/{path}"))?;
    mount::set_attributes(copy.as_fd(), NOSUID | NODEV | NOEXEC, RDONLY, false)
        .step(|| format!("make /proc/{path} writable"))?;
    mount::attach(copy.as_fd(), target.as_fd()).step(|| format!("mount on /proc/{path}"))
}

/// An unreadable file, an empty directory and a link of our own: masking with the guest's `/dev/null` would let the guest choose.
struct Blank {
    store: OwnedFd,
}

impl Blank {
    fn make() -> Result<Self> {
        let options = [(c"size", "4k"), (c"nr_inodes", "5"), (c"mode", "0555")];
        let store = dev::tmpfs(&options, 0, NOSUID | NODEV | NOEXEC)?;
        mknodat(store.as_fd(), "file", SFlag::S_IFREG, Mode::empty(), 0).step(|| "make a blank file".to_owned())?;
        mkdirat(store.as_fd(), "dir", Mode::from_bits_truncate(0o555))
            .step(|| "make a blank directory".to_owned())?;
        let (place, link) = NETWORK;
        symlinkat(place, store.as_fd(), link).step(|| "make a link".to_owned())?;
        mount::set_attributes(store.as_fd(), RDONLY, 0, false).step(|| "make the blanks read-only".to_owned())?;
        Ok(Self { store })
    }

    fn cover(&self, procfs: BorrowedFd<'_>, name: &str) -> Result<()> {
        let flags = nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW;
        let stat = fstatat(procfs, name, flags).step(|| format!("look at /proc/{name}"))?;
        let kind = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits());
        if kind == SFlag::S_IFLNK {
            return Ok(());
        }
        let blank = if kind == SFlag::S_IFDIR { c"dir" } else { c"file" };
        let copy = mount::clone_tree(self.store.as_fd(), blank, false).step(|| "copy a blank".to_owned())?;
        mount::attach(copy.as_fd(), beneath::target(procfs, name)?.as_fd()).step(|| format!("mask /proc/{name}"))
    }

    /// Lays the link over the one at `/proc/net`, which leads to the network of whoever looks, and `network` where it leads. What
    /// is no directory can be mounted on a link by its descriptor only. move_mount(2)
    fn lead(&self, procfs: BorrowedFd<'_>, network: &OwnedFd) -> Result<()> {
        let (place, link) = NETWORK;
        let step = |path: &str| format!("mount on /proc/{path}");
        mount::attach(network.as_fd(), beneath::target(procfs, place)?.as_fd()).step(|| step(place))?;
        let name = CString::new(link).unwrap_or_default();
        let copy = mount::clone_tree(self.store.as_fd(), &name, false).step(|| "copy a link".to_owned())?;
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let target = openat(procfs, link, flags, Mode::empty()).step(|| format!("find /proc/{link}"))?;
        mount::attach(copy.as_fd(), target.as_fd()).step(|| step(link))
    }
}
