//! `vserver NAME build` and the arguments of its methods.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, Command, CommandFactory, Parser};

use super::NewGuestArgs;

const METHODS: &str = "\
Methods and their arguments, after `--`:
  skeleton     [COMMAND] (directories, /dev and configuration only; then a command of yours)
  debootstrap  -d SUITE [-m MIRROR] [-s SCRIPT] [--packages LIST] [-- debootstrap's own options]
  mmdebstrap   the same by mmdebstrap, which is faster and keeps no template
  yum          -d DIST[-RELEASE] [-- PACKAGES] (Fedora, Rocky, Alma, CentOS Stream, by dnf; apt-rpm is the same)
  zypper       -d DIST[-RELEASE] [-- PACKAGES] (openSUSE)
  apk          -d DIST[-RELEASE] [-- PACKAGES] (Alpine)
  pacman       -d DIST [-- PACKAGES] (Arch)
  rpm          [-d DIST] [-b BASEDIR] (--empty | [--force] [--nodeps] LIST…) (lists of package files)
  rsync        -s DIR|HOST:PATH [-o OPTION]… [-- more options of rsync]
  fai          [-s CONFIG-SPACE] [-c CLASSES] [-d FAI-SETTINGS] [-- more options of fai]
  image        -s FILE [--partition N] [--below DIR] (qcow2, vmdk, vhdx, vdi, raw)
  clone        --source GUEST|DIR [-X EXCLUDE-LIST]
  oci          -s IMAGE [--image NAME] (an OCI image layout or a docker archive, a directory or a tar archive)
  template     -t FILE|- [-t FILE]… (tar, cpio or dump; plain, gz, xz, bz2, zst) [--nodevsanity]
`vserver NAME build -m METHOD -- --help` explains them. Defaults for all options: CONFDIR/.defaults/apps/build/options, one
word a line, unless NO_DEFAULT_OPTS is set.

Example:
  vserver web1 build -m debootstrap --context 40012 --hostname web1.example.org \\
      --interface eth0:192.0.2.12/24 -- -d bookworm -- --include=nginx";

/// Makes a guest: its configuration and its tree
#[derive(Parser, Debug, Default)]
#[command(name = "build", bin_name = "vserver NAME build", after_help = METHODS)]
pub struct BuildArgs {
    /// How the tree is made, see below
    #[arg(short, long, value_name = "METHOD")]
    pub method: Option<String>,
    #[command(flatten)]
    pub guest: NewGuestArgs,
    /// Accept a tree that is not empty
    #[arg(long)]
    pub i_know_its_there: bool,
    /// Keep what a failed build has made
    #[arg(long)]
    pub keep: bool,
    /// Build anew: neither use a template of an earlier build nor keep one
    #[arg(long, conflicts_with = "template_age")]
    pub fresh: bool,
    /// How many days old a template may be that is cloned instead of building anew (debootstrap; default 30)
    #[arg(long, value_name = "DAYS")]
    pub template_age: Option<u32>,
    /// Show what the tools of the method say
    #[arg(long, action = ArgAction::Count)]
    pub debug: u8,
    /// Directory for this guest's configuration
    #[arg(long, value_name = "DIR")]
    pub confdir: Option<PathBuf>,
    /// Run file of this guest
    #[arg(long, value_name = "FILE")]
    pub lockfile: Option<PathBuf>,
    /// Name of the cpuset
    #[arg(long, value_name = "NAME")]
    pub cpuset: Option<String>,
    /// CPUs, and 1 for exclusive
    #[arg(long, value_name = "LIST[:0|1]")]
    pub cpusetcpus: Option<String>,
    /// Memory nodes, and 1 for exclusive
    #[arg(long, value_name = "LIST[:0|1]")]
    pub cpusetmems: Option<String>,
    /// Let the guest see only its CPUs
    #[arg(long)]
    pub cpusetvirt: bool,
    /// The original's vserver-build took the name here; it is the word before `build`
    #[arg(short, value_name = "NAME", hide = true)]
    pub name: Option<String>,
    /// Where the host may keep data of its packages, as DIR/NAME, instead of .defaults/apps/pkgmgmt/base/NAME
    #[arg(long, value_name = "DIR")]
    pub pkgbase: Option<PathBuf>,
    /// Arguments of the method
    #[arg(trailing_var_arg = true, value_name = "METHOD ARGUMENTS")]
    pub rest: Vec<OsString>,
}

/// The definition of `vserver-build`, which is told the name by an option.
pub fn build_command() -> Command {
    let version = concat!(env!("CARGO_PKG_VERSION"), " -- makes a guest: its configuration and its tree");
    let named = |name: Arg| name.hide(false).help("The guest's name");
    BuildArgs::command().name("vserver-build").bin_name("vserver-build").version(version).mut_arg("name", named)
}

/// Directories, /dev and configuration only
#[derive(Parser, Debug)]
#[command(
    name = "skeleton",
    bin_name = "vserver NAME build -m skeleton --",
    after_help = "The command runs on the host, in the working directory, when the guest is there; if it fails, the guest is removed\n\
                  again unless --keep is given.\n\
                  Example: vserver empty build -m skeleton --initstyle plain -- tar xf base.tar -C /vservers/empty"
)]
pub struct SkeletonArgs {
    /// Distribution whose defaults are used
    #[arg(short, value_name = "DIST")]
    pub dist: Option<String>,
    /// Accepted for old scripts
    #[arg(long)]
    pub pkgmgmt: bool,
    /// Accepted for old scripts
    #[arg(long)]
    pub debug: bool,
    /// What fills the tree
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Debian and its kin, by debootstrap
#[derive(Parser, Debug)]
#[command(
    name = "debootstrap",
    bin_name = "vserver NAME build -m debootstrap --",
    after_help = "Example: vserver web1 build -m debootstrap -- -d bookworm -- --include=openssh-server,nginx"
)]
pub struct DebootstrapArgs {
    /// Suite, as in bookworm
    #[arg(short, value_name = "SUITE")]
    pub dist: Option<String>,
    /// Archive to fetch from; without it the host's own
    #[arg(short, value_name = "MIRROR")]
    pub mirror: Option<String>,
    /// Script of debootstrap for the suite
    #[arg(short, value_name = "SCRIPT")]
    pub script: Option<PathBuf>,
    /// More packages, separated by commas
    #[arg(long, value_name = "LIST", value_delimiter = ',', action = ArgAction::Append)]
    pub packages: Vec<String>,
    /// debootstrap's own options
    #[arg(trailing_var_arg = true, value_name = "OPTIONS")]
    pub rest: Vec<String>,
}

/// Packages of a distribution, by a package tool of this host
#[derive(Parser, Debug)]
#[command(
    name = "packages",
    bin_name = "vserver NAME build -m yum|zypper|apk|pacman --",
    after_help = "The distribution's repositories, keys and lists of packages: docs/distributions.md.\n\
                  Examples: vserver web4 build -m yum -- -d fedora-42 -- nginx\n          vserver web5 build -m zypper -- -d opensuse-leap"
)]
pub struct PackagesArgs {
    /// Distribution, as in fedora or fedora-42; without it that of this host
    #[arg(short, value_name = "DIST")]
    pub dist: Option<String>,
    /// More packages
    #[arg(value_name = "PACKAGES")]
    pub packages: Vec<String>,
}

/// Package files that lists name, by rpm of this host
#[derive(Parser, Debug)]
#[command(
    name = "rpm",
    bin_name = "vserver NAME build -m rpm --",
    after_help = "A list has one file name a line, below BASEDIR or beside the list; each list is one transaction.\n\
                  Example: vserver web6 build -m rpm -- -d fedora-42 base.lst"
)]
pub struct RpmArgs {
    /// Distribution whose keys and lists (rpmlist.d) are used
    #[arg(short, value_name = "DIST")]
    pub dist: Option<String>,
    /// Where the files lie
    #[arg(short, value_name = "BASEDIR")]
    pub basedir: Option<PathBuf>,
    /// A database and no package
    #[arg(short, long, conflicts_with = "lists")]
    pub empty: bool,
    /// Replace packages and files that are there
    #[arg(long)]
    pub force: bool,
    /// Ask for no dependencies
    #[arg(long)]
    pub nodeps: bool,
    /// Lists of package files; without one those of the distribution
    #[arg(value_name = "LIST")]
    pub lists: Vec<PathBuf>,
}

/// A tree of this host or another one, by rsync
#[derive(Parser, Debug)]
#[command(
    name = "rsync",
    bin_name = "vserver NAME build -m rsync --",
    after_help = "A machine that is to become a guest wants `vserver NAME import ssh://HOST/` instead.\n\
                  Example: vserver web7 build -m rsync -- -s backup:/srv/trees/web -- --exclude=/var/cache/*"
)]
pub struct RsyncArgs {
    /// DIR, HOST:PATH, rsync://HOST/PATH
    #[arg(short, long, value_name = "SOURCE")]
    pub source: String,
    /// In place of rsync's usual options here, -Hazx --numeric-ids
    #[arg(short, value_name = "OPTION", action = ArgAction::Append, allow_hyphen_values = true)]
    pub option: Vec<String>,
    /// Distribution whose defaults are used
    #[arg(short, value_name = "DIST")]
    pub dist: Option<String>,
    /// Accepted for old scripts
    #[arg(long)]
    pub pkgmgmt: bool,
    /// More options of rsync
    #[arg(last = true, value_name = "OPTIONS")]
    pub more: Vec<String>,
}

/// What FAI installs by a config space
#[derive(Parser, Debug)]
#[command(
    name = "fai",
    bin_name = "vserver NAME build -m fai --",
    after_help = "The scripts of the config space run on this host, as FAI means them to.\n\
                  Example: vserver web9 build -m fai -- -s /srv/fai/config -c DEBIAN,WEBSERVER"
)]
pub struct FaiArgs {
    /// The config space, a directory or a URI that FAI knows; else the one of FAI's settings
    #[arg(short = 's', long, value_name = "SPACE")]
    pub cspace: Option<String>,
    /// Classes; else FAI finds them by the config space
    #[arg(short, long, value_name = "CLASS,…")]
    pub class: Option<String>,
    /// Where FAI's settings are (default /etc/fai)
    #[arg(short = 'd', long, value_name = "DIR")]
    pub faidir: Option<PathBuf>,
    /// The host name that FAI knows it by (default: --hostname, else the guest's name)
    #[arg(short = 'f', long, value_name = "HOST")]
    pub guest: Option<String>,
    /// Accepted for old scripts: FAI installs into the tree itself
    #[arg(short = 'n', long, value_name = "DIR")]
    pub nfsroot: Option<PathBuf>,
    /// Accepted for old scripts
    #[arg(short = 'a')]
    pub all: bool,
    /// More options of fai
    #[arg(last = true, value_name = "OPTIONS", allow_hyphen_values = true)]
    pub more: Vec<String>,
}

/// The image of a disk: its root partition
#[derive(Parser, Debug)]
#[command(
    name = "image",
    bin_name = "vserver NAME build -m image --",
    after_help = "The report and what is left out and rewritten are those of `vserver NAME import FILE`.\n\
                  Example: vserver web8 build -m image -- -s old-server.qcow2"
)]
pub struct ImageArgs {
    /// qcow2, vmdk, vhdx, vdi or raw
    #[arg(short, long, value_name = "FILE")]
    pub source: PathBuf,
    /// Number of the partition with the root, if it is not found
    #[arg(long, value_name = "N")]
    pub partition: Option<u32>,
    /// The directory of the partition that is the root
    #[arg(long, value_name = "DIR")]
    pub below: Option<PathBuf>,
    /// Distribution whose defaults are used
    #[arg(short, value_name = "DIST")]
    pub dist: Option<String>,
}

/// The files of another guest, each shared until one of them writes to it
#[derive(Parser, Debug)]
#[command(
    name = "clone",
    bin_name = "vserver NAME build -m clone --",
    after_help = "The other guest must be stopped. Host name, machine-id and ssh host keys are the new guest's own.\n\
                  Example: vserver web2 build -m clone --context 40013 --hostname web2.example.org -- --source web1"
)]
pub struct CloneArgs {
    /// A guest, a directory, or a name below the directory of all guests
    #[arg(short, long, value_name = "SOURCE")]
    pub source: String,
    /// Distribution whose defaults are used
    #[arg(short, value_name = "DIST")]
    pub dist: Option<String>,
    /// What is left out, an exclude list as in apps/vunify/exclude
    #[arg(short = 'X', long, value_name = "FILE")]
    pub exclude_from: Option<PathBuf>,
    /// Accepted for old scripts
    #[arg(long)]
    pub pkgmgmt: bool,
}

/// An image of containers: an OCI image layout, or what `docker save` writes
#[derive(Parser, Debug)]
#[command(
    name = "oci",
    bin_name = "vserver NAME build -m oci --",
    after_help = "An image without an init starts what it says, with its environment (apps/init/cmd.start, environment).\n\
                  Examples: vserver web3 build -m oci -- -s nginx.tar\n          skopeo copy docker://nginx oci:nginx && vserver web3 build -m oci -- -s nginx"
)]
pub struct OciArgs {
    /// Directory or tar archive, - for standard input
    #[arg(short, long, value_name = "IMAGE")]
    pub source: PathBuf,
    /// Which image, if there are several in it
    #[arg(long, value_name = "NAME")]
    pub image: Option<String>,
    /// Distribution whose defaults are used
    #[arg(short, value_name = "DIST")]
    pub dist: Option<String>,
}

/// A tree from tarballs
#[derive(Parser, Debug)]
#[command(
    name = "template",
    bin_name = "vserver NAME build -m template --",
    after_help = "Example: vserver web2 build -m template -- -t debian-12.tar.zst"
)]
pub struct TemplateArgs {
    /// Tarball, - for standard input; unpacked in this order, after that of the distribution
    #[arg(short, long, value_name = "FILE", action = ArgAction::Append)]
    pub template: Vec<PathBuf>,
    /// Distribution whose defaults are used
    #[arg(short, value_name = "DIST")]
    pub dist: Option<String>,
    /// Keep the tarball's /dev
    #[arg(long)]
    pub nodevsanity: bool,
    /// Accepted for old scripts
    #[arg(long)]
    pub pkgmgmt: bool,
}
