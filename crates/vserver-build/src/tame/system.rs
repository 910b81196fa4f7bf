//! Which distribution and which init a tree has, by its files.

use vserver_fs::GuestRoot;

use crate::Error;

/// Largest text of a guest that is read, in bytes.
pub(crate) const MAX: u64 = 1 << 20;

/// What starts a tree's services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Init {
    /// systemd
    Systemd,
    /// sysvinit, with `/etc/inittab`
    Sysvinit,
    /// upstart, with `/etc/init/*.conf`
    Upstart,
    /// OpenRC
    Openrc,
    /// busybox without OpenRC
    Busybox,
    /// `/sbin/init` is something else
    Other,
    /// There is none.
    None,
}

impl Init {
    /// As people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::Sysvinit => "sysvinit",
            Self::Upstart => "upstart",
            Self::Openrc => "OpenRC",
            Self::Busybox => "busybox",
            Self::Other => "an init of its own",
            Self::None => "none",
        }
    }
}

/// Files that name a release where there is no os-release(5), and what they are of.
const RELEASES: [(&str, &str); 8] = [
    ("etc/redhat-release", "rhel"),
    ("etc/fedora-release", "fedora"),
    ("etc/mandrake-release", "mandrake"),
    ("etc/SuSE-release", "suse"),
    ("etc/debian_version", "debian"),
    ("etc/alpine-release", "alpine"),
    ("etc/gentoo-release", "gentoo"),
    ("etc/slackware-version", "slackware"),
];

/// A tree's distribution and init.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct System {
    /// As in `ID` of os-release(5), `linux` if nothing tells.
    pub id: String,
    /// For people.
    pub name: String,
    /// What starts its services.
    pub init: Init,
}

impl System {
    /// Looks at a tree.
    pub(crate) fn of(root: &GuestRoot) -> Result<Self, Error> {
        let (id, name) = distribution(root)?;
        Ok(Self { id, name, init: init(root)? })
    }
}

/// A text file of the tree; `None` if there is none, or nothing that can be read as one.
pub(crate) fn text(root: &GuestRoot, path: &str) -> Result<Option<String>, Error> {
    match root.kind(path)? {
        Some(vserver_fs::Kind::File) => match root.read(path, MAX) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(vserver_fs::Error::TooLarge { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        },
        _ => Ok(None),
    }
}

/// The names in a directory; none if there is no such directory.
pub(crate) fn names(root: &GuestRoot, path: &str) -> Result<Vec<String>, Error> {
    if root.kind(path)? != Some(vserver_fs::Kind::Directory) {
        return Ok(Vec::new());
    }
    Ok(root.list(directory(root, path))?.into_iter().filter_map(|name| name.into_string().ok()).collect())
}

/// A directory by its name without links: `/etc/rc3.d` is one on Red Hat's, `/etc/rc.d` on SUSE.
pub(crate) fn directory(root: &GuestRoot, path: &str) -> String {
    let place = root.place(path).ok().and_then(|place| place.into_os_string().into_string().ok());
    place.unwrap_or_else(|| path.to_owned())
}

fn distribution(root: &GuestRoot) -> Result<(String, String), Error> {
    for file in ["etc/os-release", "usr/lib/os-release"] {
        let Some(text) = text(root, file)? else { continue };
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
            Some(line.trim().trim_matches(['"', '\'']).to_owned()).filter(|value| !value.is_empty())
        };
        if let Some(id) = value("ID") {
            let name = value("PRETTY_NAME").or_else(|| value("NAME")).unwrap_or_else(|| id.clone());
            return Ok((id, name));
        }
    }
    for (file, id) in RELEASES {
        if let Some(text) = text(root, file)? {
            let line = text.lines().next().unwrap_or_default().trim().to_owned();
            let name = if id == "debian" { format!("Debian {line}") } else { line };
            return Ok((id.to_owned(), name));
        }
    }
    Ok(("linux".to_owned(), "an unknown distribution".to_owned()))
}

fn init(root: &GuestRoot) -> Result<Init, Error> {
    let target = root.readlink("sbin/init").ok();
    let target = target.as_deref().and_then(|path| path.file_name()?.to_str()).unwrap_or_default();
    let is_there = |path: &str| root.is_executable(path);
    let openrc = is_there("sbin/openrc")? || is_there("usr/sbin/openrc")? || is_there("bin/openrc")?;
    Ok(match target {
        "systemd" => Init::Systemd,
        "openrc-init" => Init::Openrc,
        "upstart" => Init::Upstart,
        "busybox" if !openrc => Init::Busybox,
        _ if !is_there("sbin/init")? => {
            match root.exists("lib/systemd/systemd")? || root.exists("usr/lib/systemd/systemd")? {
                true => Init::Systemd,
                false => Init::None,
            }
        }
        _ if openrc => Init::Openrc,
        _ if root.exists("etc/init/rc-sysinit.conf")? || root.exists("etc/init/rcS.conf")? => Init::Upstart,
        _ if root.exists("etc/inittab")? => Init::Sysvinit,
        _ => Init::Other,
    })
}
