//! What a guest may fill: limits on file systems that it shares with others, the tags that they count by, and a disk of
//! its own. Source: util-vserver, `config-tree.md` §5.5.

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::{Statvfs, fstatvfs};
use serde::{Deserialize, Serialize};
use vserver_config::{DiskLimit, GuestConfig, Userns};
use vserver_disk::image::Access;
use vserver_disk::{Account, Lack, Limits, image, tag_tree, takes_tags};
use vserver_types::{GuestName, Unenforced};

use crate::error::{Error, Result};
use crate::host::Host;
use crate::interrupt::Interrupts;
use crate::quotas::{self, QuotaPlan};
use crate::record::RunRecord;
use crate::start::LOCK_PATIENCE;

/// One limit to set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitPlan {
    /// Name of its directory below `dlimits/`.
    pub name: String,
    /// What counts.
    pub account: Account,
    /// How much.
    pub limits: Limits,
}

/// What is done about disks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskPlan {
    /// The project that the whole tree belongs to; `None` leaves its tags alone.
    pub tag: Option<u32>,
    /// Limits to set.
    pub limits: Vec<LimitPlan>,
    /// The image that is mounted as its root.
    pub image: Option<PathBuf>,
    /// What its quotas are its own business on; known when it is mounted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quotas: Option<QuotaPlan>,
    /// Counters that the original kept for its next start; the file system has better ones.
    pub stale: Vec<PathBuf>,
}

/// Of a configuration, and what of it has no effect. Asks the file systems and changes nothing.
pub fn plan(config: &GuestConfig) -> (DiskPlan, Vec<Unenforced>) {
    let (quotas, lost) = quotas::plan(config);
    let mut plan = DiskPlan { image: config.image.clone(), quotas, ..DiskPlan::default() };
    let mut lost = Vec::from_iter(lost);
    for limit in &config.dlimits {
        let setting = format!("dlimits/{}", limit.name);
        let Some(project) = config.project() else {
            let reason = "the guest has no number of its own; write one into its file 'context'";
            lost.push(Unenforced::none(setting, reason));
            continue;
        };
        plan.stale.extend(config.cache.as_deref().and_then(|cache| counters(cache, config, limit)));
        match account(config, limit, project) {
            Ok(account) => {
                lost.extend(shortfall(config, limit, &account).map(|reason| Unenforced::partial(setting, reason)));
                let limits = Limits { space: limit.space, inodes: limit.inodes, reserved: limit.reserved };
                plan.limits.push(LimitPlan { name: limit.name.clone(), account, limits });
            }
            Err(error) => lost.push(Unenforced::none(setting, sentence(&error))),
        }
    }
    let counts = plan.limits.iter().any(|limit| matches!(limit.account, Account::Project { .. }));
    if let Some(tag) = config.project().filter(|_| counts || config.tag.is_some()) {
        match may_tag(config) {
            Ok(()) => plan.tag = Some(tag),
            Err(reason) if config.tag.is_some() => lost.push(Unenforced::none("tag", reason)),
            Err(_) => {}
        }
    }
    (plan, lost)
}

fn account(config: &GuestConfig, limit: &DiskLimit, project: u32) -> vserver_disk::Result<Account> {
    let account = Account::find(&limit.directory, project, Some(&config.vdir))?;
    let device = |path: &Path| path.metadata().map(|found| found.dev()).ok();
    let apart = matches!(account, Account::Project { .. }) && device(&limit.directory) != device(&config.vdir);
    match apart {
        true => Err(Lack::Elsewhere { path: limit.directory.clone(), tree: config.vdir.clone() }.into()),
        false => Ok(account),
    }
}

/// What a limit that is set does not do.
fn shortfall(config: &GuestConfig, limit: &DiskLimit, account: &Account) -> Option<String> {
    let mut reasons = Vec::new();
    if !account.counts_inodes() {
        reasons.push("df inside shows the whole file system, because btrfs reports no limit".to_owned());
        if limit.inodes.is_some() {
            reasons.push("btrfs counts no inodes: inodes_total has no effect".to_owned());
        }
        if limit.reserved > 0 {
            reasons.push("btrfs reserves nothing: reserved has no effect".to_owned());
        }
    } else if config.userns == Userns::Off {
        reasons
            .push("without a user namespace the guest's root can take directories out of what is counted".to_owned());
    }
    Some(reasons.join("; ")).filter(|reasons| !reasons.is_empty())
}

fn may_tag(config: &GuestConfig) -> std::result::Result<(), String> {
    if config.image.is_some() {
        return Err("the guest has a disk of its own: nothing on it belongs to others".to_owned());
    }
    let root = File::open(&config.vdir).map_err(|error| format!("its tree cannot be opened: {error}"))?;
    match takes_tags(root.as_fd()) {
        Ok(true) => Ok(()),
        Ok(false) => {
            Err("the file system of its tree keeps no tags; ext4 does after `tune2fs -O project,quota DEVICE`, xfs \
                          always"
                .to_owned())
        }
        Err(error) => Err(format!("its tree cannot be asked for tags: {error}")),
    }
}

/// `cache/dlimits/<xid><directory with every / replaced by _>`, if it is there.
fn counters(cache: &Path, config: &GuestConfig, limit: &DiskLimit) -> Option<PathBuf> {
    let directory = limit.directory.to_string_lossy().replace('/', "_");
    let path = cache.join("dlimits").join(format!("{}{directory}", config.context?));
    path.is_file().then_some(path)
}

/// An error with its cause.
pub(crate) fn sentence(error: &vserver_disk::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) if !matches!(error, vserver_disk::Error::Lack(_)) => format!("{error}: {cause}"),
        _ => error.to_string(),
    }
}

/// Tags the tree and sets the limits, each of which is written into the record first.
pub fn apply(
    host: &Host,
    name: &GuestName,
    tree: &Path,
    plan: &DiskPlan,
    record: &mut RunRecord,
    interrupts: &Interrupts,
) -> Result<()> {
    if let Some(tag) = plan.tag {
        match tag_tree(tree, tag, &|| interrupts.came()) {
            Ok(tagged) if tagged.shared > 0 => {
                let reason = format!("{} files are shared with other trees and count for nobody", tagged.shared);
                record.unenforced.push(Unenforced::partial("tag", reason));
            }
            Ok(_) => {}
            Err(vserver_disk::Error::Interrupted) => return Err(Error::Interrupted { name: name.clone() }),
            Err(error) => record.unenforced.push(Unenforced::partial("tag", sentence(&error))),
        }
    }
    for limit in &plan.limits {
        record.disk.push(limit.account.clone());
        record.save(host)?;
        let failed = Error::layer(format!("set the disk limit '{}'", limit.name), name);
        limit.account.limit(&limit.limits).map_err(failed)?;
    }
    for path in &plan.stale {
        // As the original's start does: after a return to it they would be wrong.
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(Error::io("remove", path)(error)),
            _ => {}
        }
    }
    Ok(())
}

/// Takes the limits away; what is used stays counted. A file system that is gone has none.
pub fn release(name: &GuestName, account: &Account) -> Result<()> {
    match account.release() {
        Err(error) if error.errno() == Some(nix::libc::ENOENT) => Ok(()),
        done => {
            done.map_err(Error::layer(format!("take the disk limit off '{}'", account.directory().display()), name))
        }
    }
}

/// Mounts a guest's own disk on its directory, in the mount namespace that we are in.
pub fn mount_image(image: &Path, config: &GuestConfig, access: Access) -> Result<()> {
    let name = &config.name;
    let root = vserver_fs::GuestRoot::open(&config.vdir).map_err(Error::layer("open the place of its tree", name))?;
    image::mount_on(image, root.as_fd(), access).map_err(Error::layer("mount its disk", name))
}

/// A guest's own disk.
#[derive(Clone, Debug)]
pub struct Disk {
    /// The image.
    pub image: PathBuf,
    /// Its size in bytes, the limit.
    pub size: u64,
    /// What is in it, as the guest sees it; `None` unless it runs.
    pub inside: Option<Statvfs>,
}

/// The disk of a guest; `None` if it has none of its own.
pub fn disk(host: &Host, name: &GuestName) -> Result<Option<Disk>> {
    let (config, _) = vserver_config::read(&host.confdir, name)?;
    let Some(image) = config.image else { return Ok(None) };
    let size = image::size(&image).map_err(Error::layer("measure its disk", name))?;
    let inside = match inside(host, name)? {
        Some(root) => Some(fstatvfs(&root).map_err(Error::layer("look at its disk", name))?),
        None => None,
    };
    Ok(Some(Disk { image, size, inside }))
}

/// Lets a guest's own disk grow to so many bytes, while it runs or not.
pub fn grow_disk(host: &Host, name: &GuestName, bytes: u64) -> Result<()> {
    let (config, _) = vserver_config::read(&host.confdir, name)?;
    let Some(image) = config.image else {
        let what = "it has no disk of its own: no image stands in its file 'disk/image'".to_owned();
        return Err(Error::Disk { name: name.clone(), what });
    };
    let _lock = host.lock(name, LOCK_PATIENCE)?;
    let root = inside(host, name)?;
    let running = root.is_some();
    let grown = image::grow(&image, bytes, root.as_ref().map(AsFd::as_fd));
    grown.map_err(|error| match error.errno() {
        Some(nix::libc::EPERM) if running => Error::Disk {
            name: name.clone(),
            what:
                "the kernel lets a mounted ext4 grow only with CAP_SYS_RESOURCE, which this host's root lacks; stop \
                   the guest and say it again"
                    .to_owned(),
        },
        _ => Error::layer("let its disk grow", name)(error),
    })
}

/// The root directory of a running guest.
fn inside(host: &Host, name: &GuestName) -> Result<Option<File>> {
    let Some(record) = RunRecord::load(host, name)?.filter(RunRecord::init_lives) else { return Ok(None) };
    let path = format!("/proc/{}/root", record.init);
    File::open(&path).map(Some).map_err(Error::io("open", path))
}
