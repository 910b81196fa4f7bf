//! From the directory to a [`GuestConfig`]: every file is read, whatever is wrong with the others.

mod amount;
mod devices;
mod disk;
mod flags;
mod init;
mod interfaces;
mod legacy;
mod limits;
mod link_kind;
mod loose;
mod nat;
mod netns;
mod sysctl;
mod trunk;

pub use flags::personality_type;
pub(crate) use flags::{PERSONALITIES, net_flags};

use std::fs;
use std::path::{Path, PathBuf};

use vserver_types::{GuestName, Nid, Shape, ShapeError, Traffic, Xid, XidKind};

use crate::error::{Diagnostic, Error, Severity};
use crate::list::nearest_guest;
use crate::model::{DeviceMap, GuestConfig, Userns, Uts};
use crate::reader::Reader;
use crate::{apparmor, catalog, defaults, mounts, sched};

pub use amount::parse_limit;
pub use interfaces::scope_number;
pub(crate) use interfaces::{inherited, prefix_of};
pub(crate) use limits::HIERARCHY;
pub use loose::{bucket_of, rlimits_of, sysctl_of};

/// Where a run file lies unless the link `run` says otherwise.
pub(crate) const RUN_DIR: &str = "/var/run/vservers";

/// Reads the guest `name` below `confdir` (usually `/etc/vservers`). Gives its configuration and the warnings.
///
/// # Errors
/// [`Error::NoSuchGuest`] if there is no such directory; [`Error::Invalid`] with every fault and warning at once.
pub fn read(confdir: &Path, name: &GuestName) -> Result<(GuestConfig, Vec<Diagnostic>), Error> {
    faultless(survey(confdir, name)?)
}

/// The same of a directory of any name.
pub(crate) fn read_dir(
    confdir: &Path,
    dir: &Path,
    name: &GuestName,
) -> Result<(GuestConfig, Vec<Diagnostic>), Error> {
    faultless(survey_dir(confdir, dir, name))
}

/// Reads a guest's configuration whatever is wrong with it: what could not be understood is as if it were not there. For
/// those who look for further faults; nothing must be done with a guest whose findings hold an error.
///
/// # Errors
/// [`Error::NoSuchGuest`] if there is no such directory; [`Error::Invalid`] if it is of a kind that is not read at all.
pub fn survey(confdir: &Path, name: &GuestName) -> Result<(GuestConfig, Vec<Diagnostic>), Error> {
    let confdir = std::path::absolute(confdir).map_err(Error::io("find", confdir))?;
    let dir = confdir.join(name.as_str());
    let old = confdir.join(format!("{name}.conf"));
    if !dir.is_dir() && old.is_file() {
        let mut reader = Reader::default();
        legacy::tell(&mut reader, &confdir, name.as_str(), &old);
        return Err(Error::Invalid { diagnostics: reader.findings });
    }
    if !dir.is_dir() {
        return Err(Error::NoSuchGuest { nearest: nearest_guest(&confdir, name), dir });
    }
    Ok(survey_dir(&confdir, &dir, name))
}

pub(crate) fn survey_dir(confdir: &Path, dir: &Path, name: &GuestName) -> (GuestConfig, Vec<Diagnostic>) {
    let mut reader = Reader::default();
    let config = guest(&mut reader, confdir, dir, name);
    catalog::strays_of_guest(&mut reader, dir);
    let mut diagnostics: Vec<Diagnostic> = Vec::new();
    for finding in reader.findings {
        // A file that several interfaces inherit is read for each of them.
        if !diagnostics.contains(&finding) {
            diagnostics.push(finding);
        }
    }
    (config, diagnostics)
}

fn faultless((config, diagnostics): (GuestConfig, Vec<Diagnostic>)) -> Result<(GuestConfig, Vec<Diagnostic>), Error> {
    match diagnostics.iter().any(|finding| finding.severity == Severity::Error) {
        true => Err(Error::Invalid { diagnostics }),
        false => Ok((config, diagnostics)),
    }
}

/// The addresses and the context of a guest, whatever else is wrong with it.
pub(crate) fn claims(confdir: &Path, name: &GuestName) -> (Option<Xid>, Vec<std::net::IpAddr>) {
    let (dir, mut reader) = (confdir.join(name.as_str()), Reader::default());
    let interfaces = interfaces::read(&mut reader, &dir, &confdir.join(".defaults"));
    let context = context(&mut reader, &dir);
    (context, interfaces.into_iter().map(|interface| interface.address.ip).collect())
}

/// The project of a guest's files, whatever else is wrong with it; see [`GuestConfig::project`].
pub(crate) fn project(confdir: &Path, name: &GuestName) -> Option<u32> {
    let (dir, mut reader) = (confdir.join(name.as_str()), Reader::default());
    disk::tag(&mut reader, &dir).or_else(|| context(&mut reader, &dir)).map(|number| number.0)
}

fn guest(reader: &mut Reader, confdir: &Path, dir: &Path, name: &GuestName) -> GuestConfig {
    let defaults = confdir.join(".defaults");
    if reader.has(&dir.join("legacy")) {
        let hint = "move its settings to the files of a 2.6 guest and remove 'legacy'";
        reader.error(&dir.join("legacy"), None, "guests of the 2.4 kind are not supported", hint);
    }
    let interfaces = interfaces::read(reader, dir, &defaults);
    let network_space = netns::read(reader, dir, &defaults, name, &interfaces);
    let flags = flags::read(reader, dir, &interfaces);
    let context = context(reader, dir);
    let mut unapplied = catalog::unapplied(&catalog::found_by(reader, confdir, dir));
    unapplied.extend(catalog::lost(reader, dir, &network_space));
    GuestConfig {
        name: name.clone(),
        dir: dir.to_owned(),
        display_name: display_name(reader, dir).unwrap_or_else(|| name.to_string()),
        vdir: vdir(reader, dir),
        run_target: link(dir, "run").unwrap_or_else(|| Path::new(RUN_DIR).join(name.as_str())),
        cache: link(dir, "cache"),
        context,
        ncontext: number::<Nid>(reader, &dir.join("ncontext")).or(context.map(|xid| Nid(xid.0))),
        no_ncontext: reader.has(&dir.join("noncontext")),
        disabled: reader.has(&dir.join("disabled")),
        shell: reader.first_scalar(&[dir.join("shell"), defaults.join("shell")]).filter(|shell| !shell.is_empty()),
        keepfds: [dir, &defaults].into_iter().any(|base| reader.has(&base.join("keepfds"))),
        noisy: reader.has(&dir.join("noisy")),
        userns: userns(reader, dir),
        apparmor: apparmor::read(reader, dir, &defaults),
        bcaps: flags.bcaps,
        ccaps: flags.ccaps,
        cflags: flags.cflags,
        ncaps: flags.ncaps,
        nflags: flags.nflags,
        umask: flags.umask,
        init: init::read(reader, dir, &defaults, flags.fakeinit),
        uts: uts(reader, dir),
        interfaces,
        network_space,
        traffic: traffic(reader, dir),
        lback: interfaces::own_address(reader, dir, "lback"),
        bcast: interfaces::own_address(reader, dir, "bcast"),
        rlimits: limits::rlimits(reader, &dir.join("rlimits")),
        ulimits: limits::ulimits(reader, dir),
        sched: sched::read(reader, dir),
        hz: defaults::read_hz(reader, &defaults),
        cpuset: limits::cpuset(reader, dir),
        cpuset_virtualized: reader.scalar(&dir.join("cpuset/virtualized")).is_some_and(|text| text == "1"),
        cgroup: limits::cgroup(reader, dir, &defaults),
        cgroup_base: defaults::read_cgroup_base(reader, &defaults),
        nice: limits::nice(reader, dir),
        ionice: limits::ionice(reader, dir),
        badness: reader.parsed(&dir.join("badness"), "a number"),
        personality: flags::personality(reader, dir),
        fstab: mounts::read(reader, dir),
        tag: disk::tag(reader, dir),
        dlimits: disk::limits(reader, dir),
        image: disk::image(reader, dir),
        devices: devices::read(reader, &dir.join("apps/vdevmap")),
        sysctl: sysctl::read(reader, dir),
        unapplied,
    }
}

/// What a guest may do with single devices: its own entries, and for other devices those of `.defaults/apps/vdevmap/`.
pub fn device_maps(config: &GuestConfig) -> Vec<DeviceMap> {
    let defaults = config.dir.with_file_name(".defaults").join("apps/vdevmap");
    let mut all = config.devices.clone();
    for map in devices::read(&mut Reader::default(), &defaults) {
        if all.iter().all(|own| own.device != map.device) {
            all.push(map);
        }
    }
    all
}

/// The target of a link made absolute, or the path itself if it is there and no link.
fn link(dir: &Path, name: &str) -> Option<PathBuf> {
    let path = dir.join(name);
    match fs::read_link(&path) {
        Ok(target) => Some(dir.join(target)),
        Err(_) => fs::symlink_metadata(&path).is_ok().then_some(path),
    }
}

fn display_name(reader: &mut Reader, dir: &Path) -> Option<String> {
    reader.scalar(&dir.join("name")).filter(|name| !name.is_empty())
}

fn vdir(reader: &mut Reader, dir: &Path) -> PathBuf {
    let path = dir.join("vdir");
    match link(dir, "vdir") {
        Some(target) if target != path || path.is_dir() => target,
        Some(_) => {
            reader.error(&path, None, "it is neither a link nor a directory", "make it a link to the guest's root");
            path
        }
        None => {
            reader.error(&path, None, "it does not exist", "make it a link to the guest's root");
            path
        }
    }
}

fn context(reader: &mut Reader, dir: &Path) -> Option<Xid> {
    let path = dir.join("context");
    let xid = number::<Xid>(reader, &path)?;
    if xid.kind() != XidKind::Static {
        let hint = "use 2 to 49151, or remove the file for a number given at start";
        reader.error(&path, Some(1), format!("{xid} is not a static context number"), hint);
        return None;
    }
    Some(xid)
}

/// R8: at most 50 bytes, a decimal number.
fn number<T: std::str::FromStr<Err = vserver_types::ParseError>>(reader: &mut Reader, path: &Path) -> Option<T> {
    let text = reader.scalar(path)?;
    let parsed = if text.len() > 50 { None } else { text.parse().ok() };
    if parsed.is_none() {
        let message =
            format!("'{}' is not a context number", text.chars().take(50).collect::<String>().escape_debug());
        reader.error(path, Some(1), message, "a decimal number from 2 to 49151");
    }
    parsed
}

fn traffic(reader: &mut Reader, dir: &Path) -> Traffic {
    let mut of = |direction: &str| shape(reader, &dir.join("traffic").join(direction));
    Traffic { egress: of("egress"), ingress: of("ingress") }
}

/// A bound of its traffic in one direction.
fn shape(reader: &mut Reader, path: &Path) -> Option<Shape> {
    let text = reader.scalar(path)?;
    match text.parse::<Shape>() {
        Ok(shape) => {
            if let Some(least) = shape.least_for_tcp() {
                let message = format!(
                    "with so small a burst a TCP connection comes to no more than about {} kbit/s, of {} on average",
                    least / 1000,
                    shape.average / 1000
                );
                let hint = "leave the burst out, which makes it half a second of the average";
                reader.warn(path, Some(1), message, hint);
            }
            Some(shape)
        }
        Err(error) => {
            let error: ShapeError = error;
            reader.error(path, Some(1), error.to_string(), "AVERAGE [PEAK [BURST]], such as '10mbit 20mbit 1M'");
            None
        }
    }
}

fn userns(reader: &mut Reader, dir: &Path) -> Userns {
    let path = dir.join("userns");
    match reader.scalar(&path).as_deref() {
        None | Some("auto") => Userns::Auto,
        Some("off") => Userns::Off,
        Some(other) => {
            reader.error(
                &path,
                Some(1),
                format!("'{}' is not 'auto' or 'off'", other.escape_debug()),
                "write one of them",
            );
            Userns::Auto
        }
    }
}

fn uts(reader: &mut Reader, dir: &Path) -> Uts {
    for old in ["hostname", "domainname"] {
        if reader.has_file(&dir.join(old)) {
            let hint = format!("use uts/{}", if old == "hostname" { "nodename" } else { "domainname" });
            reader.warn(&dir.join(old), None, "it is superseded and not read", &hint);
        }
    }
    let mut name = |file: &str| reader.string(&dir.join("uts").join(file));
    Uts {
        sysname: name("sysname"),
        nodename: name("nodename"),
        release: name("release"),
        version: name("version"),
        machine: name("machine"),
        domainname: name("domainname"),
    }
}
