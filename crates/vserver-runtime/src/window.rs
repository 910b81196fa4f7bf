//! The file system of a guest's own `/proc/net`: what it sees of the host's network stack, if it is to see only what is its own
//! (`hide_netif`).
//!
//! The builder makes it and answers the kernel's greeting. From then on the supervisor holds the device, and executes the server
//! (`vserver-view`) when the guest asks for the first time: a guest that never asks costs a file system in the kernel and no
//! process.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use crate::error::{Error, Result};
use crate::host::Host;
use crate::prepare::Prepared;
use crate::{fuse, view};

/// A file system that nobody serves yet.
#[derive(Debug)]
pub struct Window {
    /// `/dev/fuse`.
    pub device: OwnedFd,
    /// Its root directory, mounted nowhere.
    pub files: OwnedFd,
}

/// Makes it, if the guest is to have one and the kernel can. A tool that works on a guest's tree is not the guest.
pub fn open_for(host: &Host, prepared: &Prepared) -> Result<Option<Window>> {
    let plan = &prepared.plan;
    let wanted = plan.network.as_ref().is_some_and(|network| network.hide_netif);
    if !wanted || prepared.record.errand || !is_possible() {
        return Ok(None);
    }
    if !host.view.is_file() {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(Error::io("serve the guest's own /proc/net by", &host.view)(missing));
    }
    let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    let device = match open("/dev/fuse", flags, Mode::empty()) {
        // The kernel has not what the node stands for.
        Err(Errno::ENODEV | Errno::ENXIO) => return Ok(None),
        opened => opened.map_err(Error::layer("open /dev/fuse", &plan.name))?,
    };
    let make = || Error::layer("make a file system for its /proc/net", &plan.name);
    let files = view::filesystem(&device).map_err(make())?;
    fuse::greet(&device).map_err(make())?;
    Ok(Some(Window { device, files }))
}

/// Without it the guest's `/proc/net` tells of the host.
pub fn is_possible() -> bool {
    Path::new("/dev/fuse").exists()
}

/// Arguments of the server, the first of which sets it apart from one of other files.
pub fn arguments(name: &str, cgroups: &str, base: u32, shown: &str) -> Vec<CString> {
    let words = ["vserver-view", WORD, name, cgroups, &base.to_string(), shown].map(CString::new);
    words.into_iter().filter_map(std::result::Result::ok).collect()
}

/// That one. It is no guest's name.
pub const WORD: &str = "/proc/net";
