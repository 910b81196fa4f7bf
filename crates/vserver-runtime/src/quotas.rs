//! The ccapability `quota_ctl`: quotas of users and groups on a disk of the guest's own, set from inside. A file system that
//! guests share has none, since a number there may be a user of several.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::stat::{major, minor};
use nix::sys::statvfs::{FsFlags, fstatvfs};
use serde::{Deserialize, Serialize};
use vserver_config::GuestConfig;
use vserver_disk::image::{self, Access};
use vserver_sandbox::blueprint::{Blueprint, DeviceNode};
use vserver_sys::quota;
use vserver_types::{ContextCaps, Unenforced};

use crate::devices::DevicePlan;
use crate::disk::{mount_image, sentence};
use crate::error::Result;
use crate::mounts;
use crate::plan::Plan;

/// As a start tells of it.
pub const SETTING: &str = "ccapabilities quota_ctl";

/// The disk on which they are the guest's own business.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaPlan {
    /// The device as the guest's table of mounts names it.
    pub device: PathBuf,
    /// Its number.
    pub number: u64,
}

/// Of a configuration, and why nothing comes of it. Before its disk is mounted only the latter is known.
pub fn plan(config: &GuestConfig) -> (Option<QuotaPlan>, Option<Unenforced>) {
    if !are_wanted(config) {
        return (None, None);
    }
    match find(config) {
        Ok(plan) => (plan, None),
        Err(reason) => (None, Some(Unenforced::none(SETTING, reason))),
    }
}

fn are_wanted(config: &GuestConfig) -> bool {
    config.ccaps.contains(ContextCaps::QUOTA_CTL)
}

fn find(config: &GuestConfig) -> std::result::Result<Option<QuotaPlan>, String> {
    let image = config.image.as_ref().filter(|_| mounts::plan(config).0.root.is_none());
    let image = image.ok_or("files of this guest live on a file system with other guests'; build it with --disk")?;
    if let Some(lack) = image::lack_of_quotas(image).map_err(|error| sentence(&error))? {
        return Err(lack);
    }
    let Some((root, plan)) = mounted(config, image) else { return Ok(None) };
    match quota::state(root.as_fd()) {
        Ok(state) if state.holds_users => Ok(Some(plan)),
        Ok(_) => Err("its disk is mounted without quotas".to_owned()),
        Err(error) => Err(format!("its disk has no quotas: {error}")),
    }
}

/// The root of its disk, where that is mounted for a guest and not merely to be looked at.
fn mounted(config: &GuestConfig, image: &Path) -> Option<(File, QuotaPlan)> {
    let root = File::open(&config.vdir).ok()?;
    let device = image::device_of(image).ok()??;
    let number = device.metadata().ok()?.rdev();
    let is_its = root.metadata().ok()?.dev() == number;
    let is_written = !fstatvfs(&root).ok()?.flags().contains(FsFlags::ST_RDONLY);
    (is_its && is_written).then_some((root, QuotaPlan { device, number }))
}

/// Mounts a guest's disk on its directory, with quotas if they are its own business and the kernel can; and why not, if it
/// refuses: [`plan`] will say that they do not hold.
pub fn mount(image: &Path, config: &GuestConfig) -> Result<Option<String>> {
    let plainly = || mount_image(image, config, Access::Guest);
    if !are_wanted(config) || !matches!(image::lack_of_quotas(image), Ok(None)) {
        return plainly().map(|()| None);
    }
    match mount_image(image, config, Access::Quotas) {
        Ok(()) => Ok(None),
        Err(error) => plainly().map(|()| Some(format!("its disk is mounted without quotas: {}", error.chain()))),
    }
}

/// The node that tools for quotas look for, by the name in the table of mounts. It opens to nobody: its mode is 0, and the
/// guest's device policy refuses it.
pub fn node(plan: &QuotaPlan) -> DevicePlan {
    let path = PathBuf::from(plan.device.file_name().unwrap_or_default());
    let (major, minor) = (major(plan.number), minor(plan.number));
    let node = DeviceNode { path: path.clone(), block: true, major, minor, mode: 0 };
    DevicePlan { rule: format!("b {major}:{minor} rwm"), allow: false, path: Some(path), node: Some(node) }
}

/// The root of its disk, for its supervisor; `None` if its root is another one, made over it.
pub fn root<'a>(plan: &Plan, blueprint: &'a Blueprint) -> Option<&'a OwnedFd> {
    let is_its = blueprint.layers.is_none() && blueprint.workshop.is_none();
    plan.disk.quotas.as_ref().filter(|_| is_its).map(|_| &blueprint.tree)
}
