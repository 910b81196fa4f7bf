//! What a new guest is to be, and the files that say so. Source: util-vserver, `commands.md` §4, `behaviours.md` §7.1.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use vserver_types::{GuestName, Xid};

use super::NewInterface;
use crate::init::Style;
use crate::model::Userns;

/// A guest to be. Only what is given becomes a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewGuest {
    /// Name of the directory and of the guest.
    pub name: GuestName,
    /// Static context number; `None` is one at every start.
    pub context: Option<Xid>,
    /// Host name, at most 64 bytes.
    pub hostname: Option<String>,
    /// Addresses, numbered from 0.
    pub interfaces: Vec<NewInterface>,
    /// Device of all interfaces.
    pub netdev: Option<String>,
    /// Mask of all interfaces.
    pub netmask: Option<Ipv4Addr>,
    /// Prefix length of all interfaces.
    pub netprefix: Option<u8>,
    /// Broadcast address of all interfaces.
    pub netbcast: Option<Ipv4Addr>,
    /// Context flags, one line of `cflags` each.
    pub flags: Vec<String>,
    /// How it starts.
    pub init_style: Option<Style>,
    /// CPUs and memory nodes.
    pub cpuset: Option<NewCpuSet>,
    /// Target of the link `vdir`; by default `<vdirbase>/<name>`.
    pub vdir: Option<PathBuf>,
    /// Target of the link `cache`; by default `<cachebase>/<name>`.
    pub cache: Option<PathBuf>,
    /// Target of the link `run` (`--lockfile`); by default `/var/run/vservers/<name>`.
    pub lockfile: Option<PathBuf>,
    /// Directory of guests' package data that it has a place in (`--pkgbase`): target of the link `apps/pkgmgmt/base`, with its
    /// name put after it. Its packages are managed from inside until `pkgmgmt externalize` moves the data there.
    pub pkgbase: Option<PathBuf>,
    /// User namespace; `None` writes no file.
    pub userns: Option<Userns>,
    /// Content of `fstab`; by default the host's.
    pub fstab: Option<String>,
    /// Further files: path below the guest's directory, and content.
    pub files: Vec<(PathBuf, Vec<u8>)>,
}

/// `--cpuset…`; the flags are written only if given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewCpuSet {
    /// `cpuset/name`
    pub name: String,
    /// `cpuset/cpus`, and `cpuset/cpus_exclusive`.
    pub cpus: Option<(String, Option<bool>)>,
    /// `cpuset/mems`, and `cpuset/mem_exclusive`.
    pub mems: Option<(String, Option<bool>)>,
    /// `cpuset/virtualized`
    pub virtualized: bool,
}

impl NewGuest {
    /// A guest with nothing but a name.
    pub fn new(name: GuestName) -> Self {
        Self {
            name,
            context: None,
            hostname: None,
            interfaces: Vec::new(),
            netdev: None,
            netmask: None,
            netprefix: None,
            netbcast: None,
            flags: Vec::new(),
            init_style: None,
            cpuset: None,
            vdir: None,
            cache: None,
            lockfile: None,
            pkgbase: None,
            userns: None,
            fstab: None,
            files: Vec::new(),
        }
    }

    /// The files with their contents, and what the administrator should know.
    pub(super) fn files(&self) -> (Vec<(PathBuf, Vec<u8>)>, Vec<String>) {
        let mut files = Vec::new();
        let mut line = |path: &str, text: Option<String>| {
            files.extend(text.map(|text| (PathBuf::from(path), format!("{text}\n").into_bytes())));
        };
        line("name", Some(self.name.to_string()));
        line("context", self.context.map(|xid| xid.to_string()));
        line("uts/nodename", self.hostname.clone());
        line("apps/init/style", self.init_style.map(|style| style.to_string()));
        let userns = self.userns.map(|userns| if userns == Userns::Off { "off" } else { "auto" });
        line("userns", userns.map(str::to_owned));
        line("interfaces/dev", self.netdev.clone());
        line("interfaces/mask", self.netmask.map(|mask| mask.to_string()));
        line("interfaces/prefix", self.netprefix.map(|prefix| prefix.to_string()));
        line("interfaces/bcast", self.netbcast.map(|bcast| bcast.to_string()));
        let flags: Vec<&str> =
            self.flags.iter().flat_map(|flags| flags.split(',')).filter(|f| !f.is_empty()).collect();
        line("cflags", Some(flags.join("\n")).filter(|flags| !flags.is_empty()));
        if let Some(set) = &self.cpuset {
            let digit = |flag: Option<bool>| flag.map(|flag| u8::from(flag).to_string());
            line("cpuset/name", Some(set.name.clone()));
            line("cpuset/cpus", set.cpus.as_ref().map(|(list, _)| list.clone()));
            line("cpuset/cpus_exclusive", set.cpus.as_ref().and_then(|(_, flag)| digit(*flag)));
            line("cpuset/mems", set.mems.as_ref().map(|(list, _)| list.clone()));
            line("cpuset/mem_exclusive", set.mems.as_ref().and_then(|(_, flag)| digit(*flag)));
            line("cpuset/virtualized", set.virtualized.then(|| "1".to_owned()));
        }
        line("apps/pkgmgmt/internal", self.pkgbase.as_ref().map(|_| String::new()));
        let mut notes = Vec::new();
        for (number, interface) in self.interfaces.iter().enumerate() {
            notes.extend(self.interface_files(number, interface, &mut files));
        }
        files.extend(self.files.iter().cloned());
        (files, notes)
    }

    /// The files of one interface. An explicit `nodev:` is kept even with a device for all, which the original loses.
    fn interface_files(
        &self,
        number: usize,
        interface: &NewInterface,
        files: &mut Vec<(PathBuf, Vec<u8>)>,
    ) -> Option<String> {
        let dir = Path::new("interfaces").join(number.to_string());
        let mut line = |name: &str, text: Option<String>| {
            files.extend(text.map(|text| (dir.join(name), format!("{text}\n").into_bytes())));
        };
        line("ip", Some(interface.address.ip.to_string()));
        line("name", interface.name.clone());
        line("dev", interface.dev.clone());
        line("mask", interface.mask.map(|mask| mask.to_string()));
        let prefix = interface.address.prefix.filter(|_| interface.mask.is_none());
        line("prefix", prefix.map(|prefix| prefix.to_string()));
        let missing = !interface.nodev && interface.dev.is_none() && self.netdev.is_none();
        if missing || interface.nodev {
            files.push((dir.join("nodev"), Vec::new()));
        }
        missing.then(|| format!("No device specified for interface '{number}'; setting 'nodev'"))
    }
}
