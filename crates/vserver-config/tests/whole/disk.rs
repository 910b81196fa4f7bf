//! Tags, disk limits, images, devices, and bounds of traffic.

use std::path::PathBuf;

use proptest::option;
use proptest::prelude::*;
use vserver_config::{DeviceMap, DiskLimit};
use vserver_types::{Shape, Traffic, Xid};

#[derive(Clone, Debug)]
pub struct Disk {
    pub tag: Option<Xid>,
    pub dlimits: Vec<DiskLimit>,
    pub image: Option<PathBuf>,
    pub traffic: Traffic,
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
    let files = (option::of(1u32..=65535), limits, option::of(path()), devices);
    (files, traffic()).prop_map(|((tag, dlimits, image, devices), traffic)| Disk {
        tag: tag.map(Xid),
        dlimits,
        image,
        traffic,
        devices,
    })
}

fn traffic() -> impl Strategy<Value = Traffic> {
    let shape = || {
        (8_000u64..=1_000_000_000_000, option::of(0u64..=1_000_000_000), Shape::LEAST_BURST..=1 << 30).prop_map(
            |(average, more, burst)| Shape {
                average,
                peak: more.map(|more| (average + more).min(1_000_000_000_000)),
                burst,
            },
        )
    };
    (option::of(shape()), option::of(shape())).prop_map(|(egress, ingress)| Traffic { egress, ingress })
}
