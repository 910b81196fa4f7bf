//! What is to be built, and what was.

use std::path::PathBuf;
use std::time::Duration;

use vserver_config::{NewGuest, Style};
use vserver_disk::image::Wish;
use vserver_types::GuestName;

use crate::{Access, Import, Survey};

/// A guest to be built.
#[derive(Clone, Debug)]
pub struct BuildRequest {
    /// The configuration root, `/etc/vservers` by default.
    pub confdir: PathBuf,
    /// Name, number, addresses and so on. `vdir` says where the tree is to be (default: `<vdirbase>/<name>`);
    /// `init_style` is chosen by the tree if it is `None`.
    pub guest: NewGuest,
    /// How the tree is made.
    pub method: Method,
    /// Distribution whose files in `.distributions/<dist>/` come first.
    pub distribution: Option<String>,
    /// Rename an existing tree and configuration to `<path>.~<seconds>~`. The caller sees to it that the guest does not
    /// run.
    pub force: bool,
    /// Build into a tree that is not empty (`--i-know-its-there`). A failure leaves it as it is then.
    pub accept_root: bool,
    /// Keep what a failed build has made.
    pub keep: bool,
    /// A disk of its own: an image beside the tree.
    pub disk: Option<Wish>,
    /// What it may use of the file system that its tree shares with others.
    pub limit: LimitWish,
    /// How the administrator gets in.
    pub access: Access,
    /// How old a template may be that is cloned instead of building anew; `None`: no template is used or made.
    pub template_age: Option<Duration>,
}

/// A limit on a shared file system; all `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitWish {
    /// Space in KiB.
    pub space: Option<u64>,
    /// Inodes.
    pub inodes: Option<u64>,
}

/// How a tree is made.
#[derive(Clone, Debug)]
pub enum Method {
    /// Directories, `/dev` and a few files; no programs.
    Skeleton,
    /// debootstrap(8) of the host.
    Debootstrap(Debootstrap),
    /// Tarballs.
    Template(Template),
    /// An image of containers.
    Oci(OciImage),
    /// A machine that is to be a guest.
    Import(Import),
    /// Another tree's files.
    Clone(CloneOf),
    /// rsync(1), from here or another host.
    Rsync(Rsync),
    /// fai(8) of the host.
    Fai(Fai),
    /// A package tool of the host.
    Packages(Packages),
}

/// Arguments of the method rsync.
#[derive(Clone, Debug, Default)]
pub struct Rsync {
    /// A directory, `HOST:PATH` or `rsync://HOST/PATH`.
    pub source: String,
    /// In place of the usual options, if there are any.
    pub options: Vec<String>,
    /// Options beside those.
    pub more: Vec<String>,
}

/// Arguments of the method fai.
#[derive(Clone, Debug, Default)]
pub struct Fai {
    /// The config space, a directory or a URI; else that of FAI's settings.
    pub space: Option<String>,
    /// Where FAI's settings are, in place of `/etc/fai`.
    pub settings: Option<PathBuf>,
    /// Classes with commas; else FAI finds them by the config space.
    pub classes: Option<String>,
    /// The host name that FAI knows it by, in place of the guest's.
    pub host: Option<String>,
    /// More options of fai.
    pub options: Vec<String>,
}

/// A package tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manager {
    /// dnf(8), or yum(8)
    Yum,
    /// rpm(8), with files of packages
    Rpm,
    /// zypper(8)
    Zypper,
    /// apk(8)
    Apk,
    /// pacman(8)
    Pacman,
}

/// Arguments of the methods that install packages by a tool of the host.
#[derive(Clone, Debug)]
pub struct Packages {
    /// The tool.
    pub manager: Manager,
    /// A distribution, as in `fedora-41`; `None` is the host's own.
    pub distribution: Option<String>,
    /// More packages.
    pub packages: Vec<String>,
    /// For rpm: lists of package files, in place of those of the distribution.
    pub manifests: Vec<PathBuf>,
    /// For rpm: where the files lie; `None` is beside the list.
    pub base: Option<PathBuf>,
    /// For rpm: replace packages and files that are there.
    pub force: bool,
    /// For rpm: ask for no dependencies.
    pub nodeps: bool,
    /// For rpm: a database and no package.
    pub empty: bool,
}

/// Arguments of the method debootstrap.
#[derive(Clone, Debug, Default)]
pub struct Debootstrap {
    /// As in `bookworm`; `None` is the host's own.
    pub suite: Option<String>,
    /// Where the packages are fetched from; `None` is the configured one, else the host's own apt mirror.
    pub mirror: Option<String>,
    /// debootstrap's script for the suite, where it has none of its own.
    pub script: Option<PathBuf>,
    /// Extra packages.
    pub packages: Vec<String>,
    /// Options that are handed on as they are.
    pub options: Vec<String>,
    /// By mmdebstrap(1) instead.
    pub fast: bool,
}

/// Arguments of the method oci.
#[derive(Clone, Debug, Default)]
pub struct OciImage {
    /// An image layout or an archive of docker: a directory, or a tar archive (`-` is standard input).
    pub image: PathBuf,
    /// Which, if there are several: a name of the index, or a tag.
    pub name: Option<String>,
}

/// Arguments of the method template.
#[derive(Clone, Debug, Default)]
pub struct Template {
    /// Unpacked in this order; `-` is standard input.
    pub tarballs: Vec<PathBuf>,
    /// Keep the tarballs' `/dev` instead of making a clean one.
    pub keep_dev: bool,
}

/// Arguments of the method clone.
#[derive(Clone, Debug)]
pub struct CloneOf {
    /// The tree that is there. The caller sees to it that its guest does not run.
    pub source: PathBuf,
    /// An exclude list: what it names is left out.
    pub exclude: Option<PathBuf>,
}

/// A guest to be copied.
#[derive(Clone, Debug)]
pub struct CopyRequest {
    /// The configuration root.
    pub confdir: PathBuf,
    /// The guest that is there.
    pub from: GuestName,
    /// What the copy is to have in place of the other's: name, number, addresses, host name, place of the tree.
    pub guest: NewGuest,
}

/// What was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The guest's root directory, links of the base resolved.
    pub root: PathBuf,
    /// Its configuration directory.
    pub config: PathBuf,
    /// The init style that was given or chosen; `None` if nothing in the tree can be started.
    pub init_style: Option<Style>,
    /// What the administrator should be told, one sentence each.
    pub notes: Vec<String>,
}

/// Somebody who watches.
pub trait Progress {
    /// A new phase begins.
    fn stage(&mut self, what: &str);
    /// A line that a program printed.
    fn line(&mut self, text: &str);
    /// So many bytes of a tarball were read, of so many if that is known.
    fn bytes(&mut self, done: u64, total: Option<u64>);
    /// The report of an import, before anything of it is a guest.
    fn survey(&mut self, survey: &Survey);
}

/// Nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn stage(&mut self, _: &str) {}
    fn line(&mut self, _: &str) {}
    fn bytes(&mut self, _: u64, _: Option<u64>) {}
    fn survey(&mut self, _: &Survey) {}
}
