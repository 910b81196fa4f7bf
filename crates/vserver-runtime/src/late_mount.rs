//! Mounts into a guest that runs: made where nobody sees them, then attached in the guest's own mount namespace, as what
//! its fstab says is at start. Source: util-vserver, `commands.md` §7, vmount.

use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
use vserver_config::{FstabEntry, GuestConfig};
use vserver_fs::{GuestRoot, Kind};
use vserver_sandbox::late;
use vserver_sys::mount as mounts_of_kernel;
use vserver_types::{Enforcement, GuestName};

use crate::error::{Error, Result};
use crate::host::Host;
use crate::interrupt::Interrupts;
use crate::mounts::{self, MountPlan};
use crate::record::RunRecord;
use crate::stage::Stage;
use crate::start::LOCK_PATIENCE;

/// What is mounted.
#[derive(Clone, Debug)]
pub enum Late {
    /// What the guest's fstab has and is not mounted.
    Fstab,
    /// One thing.
    One(FstabEntry),
}

/// Mounts into a running guest, under its lock; with `mtab` a guest that keeps an `/etc/mtab` finds a line there. What did
/// not work is a sentence each; the others are mounted.
pub fn mount_into(host: &Host, name: &GuestName, what: &Late, mtab: bool) -> Result<Vec<String>> {
    let _lock = host.lock(name, LOCK_PATIENCE)?;
    let record = RunRecord::load(host, name)?.filter(RunRecord::init_lives);
    let record = record.ok_or_else(|| Error::NotRunning { name: name.clone() })?;
    let interrupts = Interrupts::collect().map_err(Error::layer("watch for signals", name))?;
    let inside = Inside::of(&record)?;
    let (config, _) = vserver_config::read(&record.confdir, name)?;
    let (plans, mut failed) = plans(&config, what, &inside);
    let stage = Stage::make(name)?;
    let scratch = scratch(host, name)?;
    for (number, (plan, line)) in plans.iter().enumerate() {
        let place = place_for(plan, &scratch, number)?;
        let done = match mounts::mount_here(plan, &place, name, &interrupts)? {
            Ok(()) => inside.attach(plan, &place)?,
            failed => failed,
        };
        match done {
            Ok(()) if mtab => inside.note(line)?,
            Ok(()) => {}
            Err(why) => failed.push(format!("cannot mount '{}' on '{}': {why}", plan.source, plan.target)),
        }
    }
    drop(stage);
    Ok(failed)
}

/// What there is to mount, each with its line for `/etc/mtab`; and what is not done.
fn plans(config: &GuestConfig, what: &Late, inside: &Inside) -> (Vec<(MountPlan, String)>, Vec<String>) {
    let mut wanted = config.clone();
    if let Late::One(entry) = what {
        wanted.fstab = vec![entry.clone()];
    }
    let (all, refused) = mounts::plan(&wanted);
    let mut failed: Vec<String> = refused
        .into_iter()
        .filter(|one| matches!(what, Late::One(_)) && one.degree == Enforcement::None)
        .map(|one| one.reason)
        .collect();
    let mut found = all.others;
    match what {
        Late::Fstab => found.retain(|plan| !inside.has(&plan.target)),
        Late::One(entry) if found.is_empty() && failed.is_empty() => {
            failed.push(format!("nothing is mounted on '{}': a guest has its own there already", entry.target));
        }
        Late::One(_) => {}
    }
    let line = |plan: &MountPlan| {
        let entry = wanted.fstab.iter().find(|entry| entry.target.trim_matches('/') == plan.target.trim_matches('/'));
        entry.map(mounts::mtab_line).unwrap_or_default()
    };
    (
        found
            .into_iter()
            .map(|plan| {
                let line = line(&plan);
                (plan, line)
            })
            .collect(),
        failed,
    )
}

/// A directory in memory, over the one with the guest's state, in our mount namespace only.
fn scratch(host: &Host, name: &GuestName) -> Result<PathBuf> {
    let dir = host.guest_dir(name);
    let options = Some("mode=700,size=64k");
    mount(Some("none"), &dir, Some("tmpfs"), MsFlags::MS_NODEV | MsFlags::MS_NOSUID, options)
        .map_err(Error::layer("make a place to mount on", name))?;
    Ok(dir)
}

/// A file for a file, else a directory.
fn place_for(plan: &MountPlan, scratch: &Path, number: usize) -> Result<PathBuf> {
    let place = scratch.join(number.to_string());
    let made = if is_file(plan) { File::create(&place).map(drop) } else { fs::create_dir(&place) };
    made.map_err(Error::io("make", &place)).map(|()| place)
}

fn is_file(plan: &MountPlan) -> bool {
    plan.flags & libc::MS_BIND != 0 && Path::new(&plan.source).is_file()
}

/// A running guest, seen from the host.
struct Inside {
    name: GuestName,
    root: GuestRoot,
    mounts: OwnedFd,
    users: Option<(u32, OwnedFd)>,
    table: Vec<PathBuf>,
}

impl Inside {
    fn of(record: &RunRecord) -> Result<Self> {
        let open = |what: &str| {
            let path = format!("/proc/{}/{what}", record.init);
            File::open(&path).map(OwnedFd::from).map_err(Error::io("open", path))
        };
        let root = open("root")?;
        let shown = format!("the root of guest '{}'", record.name);
        let root = GuestRoot::of(root, Path::new(&shown)).map_err(Error::layer("open its root", &record.name))?;
        let users = record.id_base.map(|base| Ok::<_, Error>((base, open("ns/user")?))).transpose()?;
        let mounts = open("ns/mnt")?;
        let table = format!("/proc/{}/mountinfo", record.init);
        let table = fs::read(&table).map_err(Error::io("read", table))?;
        let table = vserver_fs::mount_points(&table).collect();
        // Between the look and the opens the number may have got a new owner: look again.
        match record.init_lives() {
            true => Ok(Self { name: record.name.clone(), root, mounts, users, table }),
            false => Err(Error::NotRunning { name: record.name.clone() }),
        }
    }

    /// Whether something is mounted there.
    fn has(&self, target: &str) -> bool {
        let place = self.root.place(target).map(|place| Path::new("/").join(place));
        place.is_ok_and(|place| self.table.contains(&place))
    }

    /// Attaches what is mounted at `from`.
    fn attach(&self, plan: &MountPlan, from: &Path) -> Result<std::result::Result<(), String>> {
        let name = &self.name;
        let failed = || Error::layer(format!("mount on {} of", plan.target), name);
        let mounted = File::open(from).map_err(Error::io("open", from))?;
        let users = self.users.as_ref().map(|(base, userns)| (*base, userns.as_fd()));
        let recursive = plan.flags & libc::MS_REC != 0;
        let mount = late::take(mounted.as_fd(), recursive, users, &plan.target).map_err(failed())?;
        let target = match self.target(plan) {
            Ok(target) => target,
            Err(error) => return Ok(Err(sentence(&error))),
        };
        let _guest = Stage::join(name, self.mounts.as_fd())?;
        Ok(mounts_of_kernel::attach(mount.as_fd(), target.as_fd()).map_err(|error| error.to_string()))
    }

    /// The place, made if it is missing.
    fn target(&self, plan: &MountPlan) -> std::result::Result<OwnedFd, vserver_fs::Error> {
        // The guest's root may not see what the host mounts.
        let (place, file) = (self.root.place(&plan.target)?, is_file(plan));
        match (self.root.mount_point(&place, file), &self.users) {
            (Err(error), Some((base, _))) if error.errno() == Some(libc::EOVERFLOW) => {
                let _as_guest = AsUser::new(*base);
                self.root.mount_point(&place, file)
            }
            (done, _) => done,
        }
    }

    /// A line in an `/etc/mtab` that is a file of its own.
    fn note(&self, line: &str) -> Result<()> {
        if self.root.readlink("etc/mtab").is_ok() || !matches!(self.root.kind("etc/mtab"), Ok(Some(Kind::File))) {
            return Ok(());
        }
        let failed = || Error::layer("write its /etc/mtab", &self.name);
        self.root.append("etc/mtab", line.as_bytes()).map_err(failed())
    }
}

/// An error with its cause.
fn sentence(error: &vserver_fs::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// New files in the guest's tree belong to its root: a user whom its tree does not map cannot make any.
struct AsUser;

impl AsUser {
    fn new(base: u32) -> Self {
        setfsgid(Gid::from_raw(base));
        setfsuid(Uid::from_raw(base));
        Self
    }
}

impl Drop for AsUser {
    fn drop(&mut self) {
        setfsuid(Uid::from_raw(0));
        setfsgid(Gid::from_raw(0));
    }
}
