//! Tags, disk limits, images and devices.

use std::path::PathBuf;

use proptest::option;
use proptest::prelude::*;
use vserver_config::{DeviceMap, DiskLimit};
use vserver_types::Xid;

#[derive(Clone, Debug)]
pub struct Disk {
    pub tag: Option<Xid>,
    pub dlimits: Vec<DiskLimit>,
    pub image: Option<PathBuf>,
    pub devices: Vec<DeviceMap>,
}

pub fn disk() -> impl Strategy<Value = Disk> {
    let path = || "/[a-z]{1,5}(/[a-z.]{1,5}[a-z])?".prop_map(PathBuf::from);
    let bound = || option::of(0..=i64::MAX as u64);
    let limits = prop::collection::btree_map("[a-z0-9]{1,4}", (path(), bound(), bound(), 0u8..=100), 0..3);
    let limits = limits.prop_map(|all| {
        let limit =
            |(name, (directory, space, inodes, reserved))| DiskLimit { name, directory, space, inodes, reserved };
        all.into_iter().map(limit).collect()
    });
    let devices =
        prop::collection::btree_map("[a-z0-9]{1,4}", (path(), any::<(bool, bool)>(), option::of(path())), 0..3);
    let devices = devices.prop_map(|all| {
        let map = |(name, (device, (create, open), target))| DeviceMap { name, device, create, open, target };
        all.into_iter().map(map).collect()
    });
    (option::of(1u32..=65535), limits, option::of(path()), devices).prop_map(|(tag, dlimits, image, devices)| Disk {
        tag: tag.map(Xid),
        dlimits,
        image,
        devices,
    })
}
