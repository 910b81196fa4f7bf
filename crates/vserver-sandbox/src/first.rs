//! The guest's first process, from its birth to its program.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::fcntl::AtFlags;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{chdir, dup2_stderr, dup2_stdin, dup2_stdout, execveat, sethostname, setsid, write};
use vserver_sys::{fd, mount, process, tty};

use crate::beneath;
use crate::birth::enter_v1;
use crate::blueprint::{Blueprint, Brake, Entry};
use crate::confine::{Identity, become_user, confine, limit, limit_descriptors};
use crate::dev;
use crate::error::{Error, Result, Step};
use crate::{label, sysctl};

/// All but its program.
pub struct Ready<'a> {
    entry: &'a Entry,
    image: Option<OwnedFd>,
    /// First descriptor that the program does not get.
    number: i32,
}

/// Joins its cgroups, waits until the mounts are made, takes its own copy of them, and gives up all that a guest may not
/// have.
pub fn live<'a>(
    blueprint: &'a Blueprint,
    console: BorrowedFd<'_>,
    host_proc: BorrowedFd<'_>,
    ready: OwnedFd,
) -> Result<Ready<'a>> {
    // The cgroups come first: a socket, a page or a namespace root belongs to the cgroup that its maker was in.
    enter_v1(&blueprint.doors)?;
    unshare(CloneFlags::CLONE_NEWCGROUP).step(|| "make a cgroup namespace".to_owned())?;
    take_console(console)?;
    limit(&blueprint.confinement)?;
    wait_for_mounts(ready)?;
    sysctl::write_all(&blueprint.sysctls, host_proc)?;
    set_names(blueprint)?;
    unshare(CloneFlags::CLONE_NEWNS).step(|| "copy the mount namespace".to_owned())?;
    mount_own(blueprint)?;
    chdir("/").step(|| "enter the root directory".to_owned())?;
    let (image, number) = keep_descriptors(&blueprint.entry)?;
    blueprint.confinement.label.as_ref().map_or(Ok(()), |wanted| label::at_exec(wanted, host_proc))?;
    confine(&blueprint.confinement, blueprint.petitions.as_ref().map(AsFd::as_fd))?;
    become_user(&blueprint.confinement, &Identity::Root)?;
    // Last, because every change of credentials clears it: with its supervisor gone a guest does not go on.
    set_pdeathsig(Signal::SIGKILL).step(|| "ask to die with the supervisor".to_owned())?;
    process::default_signals().step(|| "reset the signals".to_owned())?;
    fd::cloexec_from(number).step(|| "close what is inherited".to_owned())?;
    limit_descriptors(&blueprint.confinement)?;
    Ok(Ready { entry: &blueprint.entry, image, number })
}

impl Ready<'_> {
    /// Executes the first program. Returns only to say what failed.
    pub fn go(self) -> Error {
        execute(self.entry, self.image)
    }

    /// The same, but first stops itself; whoever lets the guest go on lets it execute its program. Before that it closes
    /// all that the execution would close: nobody who waits for an end of file shall wait until then.
    pub fn go_when_let(self, brake: &Brake) -> Error {
        let image = self.image.as_ref().map(AsRawFd::as_raw_fd);
        let stopped = close_all_but(self.number, image.into_iter().chain([brake.file.as_raw_fd()]).collect())
            .and_then(|()| Ok(write(&brake.file, brake.stop.as_bytes())?));
        match stopped {
            Ok(_) => self.go(),
            Err(source) => Error::Step { step: "go on hold".to_owned(), source },
        }
    }
}

fn close_all_but(mut first: i32, mut kept: Vec<i32>) -> io::Result<()> {
    kept.sort_unstable();
    for number in kept {
        if number > first {
            fd::close_range(first, number - 1)?;
        }
        first = first.max(number + 1);
    }
    fd::close_range(first, i32::MAX)
}

/// A byte means that all is mounted; end of file that the maker gave up or died, and that nothing may run.
fn wait_for_mounts(ready: OwnedFd) -> Result<()> {
    let mut byte = [0];
    match File::from(ready).read(&mut byte) {
        Ok(1) => Ok(()),
        Ok(_) => process::exit_now(1),
        Err(source) => Err(Error::Step { step: "wait for the mounts".to_owned(), source }),
    }
}

/// File systems that belong to namespaces of the guest's own and that its root may therefore mount by itself.
fn mount_own(blueprint: &Blueprint) -> Result<()> {
    let root = beneath::own_root()?;
    let attributes = mount::NOSUID | mount::NODEV | mount::NOEXEC;
    let mqueue = dev::filesystem(c"mqueue", &[], attributes)?;
    let target = beneath::target(&root, "dev/mqueue")?;
    mount::attach(mqueue.as_fd(), target.as_fd()).step(|| "mount /dev/mqueue".to_owned())?;
    if blueprint.cgroupfs {
        let cgroups = dev::filesystem(c"cgroup2", &[], attributes)?;
        let target = beneath::target(&root, "sys/fs/cgroup")?;
        mount::attach(cgroups.as_fd(), target.as_fd()).step(|| "mount /sys/fs/cgroup".to_owned())?;
    }
    Ok(())
}

fn set_names(blueprint: &Blueprint) -> Result<()> {
    if let Some(name) = &blueprint.hostname {
        sethostname(name).step(|| format!("set the host name to '{name}'"))?;
    }
    if let Some(name) = &blueprint.domainname {
        process::set_domain_name(name.as_bytes()).step(|| format!("set the domain name to '{name}'"))?;
    }
    Ok(())
}

fn take_console(console: BorrowedFd<'_>) -> Result<()> {
    setsid().step(|| "begin a session".to_owned())?;
    tty::make_controlling(console).step(|| "take the console".to_owned())?;
    dup2_stdin(console)
        .and_then(|()| dup2_stdout(console))
        .and_then(|()| dup2_stderr(console))
        .step(|| "use the console".to_owned())
}

/// Puts the report descriptor, if there is one, at 3. Returns the image and the first number to be closed.
fn keep_descriptors(entry: &Entry) -> Result<(Option<OwnedFd>, i32)> {
    let copy = |fd: &OwnedFd| fd.try_clone().step(|| "copy a descriptor".to_owned());
    let mut image = entry.image.as_ref().map(copy).transpose()?;
    let Some(report) = &entry.report else {
        return Ok((image, 3));
    };
    // Number 3 may be taken by the image: move that one out of the way before the report is put there.
    while image.as_ref().is_some_and(|image| image.as_raw_fd() == 3) {
        image = image.as_ref().map(copy).transpose()?;
    }
    fd::place(report.as_fd(), 3).step(|| "place the report descriptor".to_owned())?;
    Ok((image, 4))
}

fn execute(entry: &Entry, image: Option<OwnedFd>) -> Error {
    let strings = |list: &[String]| -> Vec<CString> {
        list.iter().filter_map(|text| CString::new(text.as_str()).ok()).collect()
    };
    let (argv, env) = (strings(&entry.argv), strings(&entry.env));
    let name = entry.argv.first().cloned().unwrap_or_default();
    let path = CString::new(name.as_str()).unwrap_or_default();
    let executed = match image {
        Some(image) => execveat(image.as_fd(), c"", &argv, &env, AtFlags::AT_EMPTY_PATH),
        None => execveat(nix::fcntl::AT_FDCWD, &path, &argv, &env, AtFlags::empty()),
    };
    let Err(errno) = executed;
    Error::Step { step: format!("execute {name} in the guest"), source: errno.into() }
}
