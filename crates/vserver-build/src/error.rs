//! Why a guest was not built or not removed.

use std::io;
use std::path::PathBuf;

use nix::errno::Errno;
use vserver_types::GuestName;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is a tree or a configuration already.
    #[error(
        "vserver-topdirectory '{}' and/or configuration at '{}' exist already; please try to use '--force', or remove \
         them manually.", root.display(), config.display()
    )]
    Exists {
        /// Where the tree would be.
        root: PathBuf,
        /// Where the configuration would be.
        config: PathBuf,
    },
    /// The disk that the guest was to get is too small.
    #[error("the guest does not fit its disk of {} MiB; give it a larger one with --disk, or more with --inodes", bytes >> 20)]
    OwnDiskFull {
        /// Its size.
        bytes: u64,
    },
    /// Wishes that exclude each other or lack something, or a limit that the file system cannot hold.
    #[error("{reason}")]
    Wish {
        /// A sentence: what, why, and what to do.
        reason: String,
    },
    /// Files that are shared with other guests.
    #[error(transparent)]
    Unify(#[from] vserver_unify::Error),
    /// A disk or a limit.
    #[error(transparent)]
    Disk(#[from] vserver_disk::Error),
    /// There is nothing to copy.
    #[error("there is no directory at '{}': the guest has no tree", path.display())]
    NoTree {
        /// The link that should lead to it.
        path: PathBuf,
    },
    /// A program of the host is not installed.
    #[error(
        "{program} is not installed on this host; install the Debian package '{package}' (apt install {package})"
    )]
    Missing {
        /// The program.
        program: &'static str,
        /// The package that has it.
        package: &'static str,
    },
    /// Nobody knows how to build it.
    #[error(
        "the distribution '{suite}' is not known; those that are known: {}; for another one give debootstrap's script with \
         '-s SCRIPT'", .known.join(", ")
    )]
    UnknownSuite {
        /// What was asked for.
        suite: String,
        /// All that there are, the nearest first.
        known: Vec<String>,
    },
    /// There is no such distribution.
    #[error(
        "Can not find configuration for the distribution '{name}'; those that are known: {}; one of your own is a directory \
         '{}'", .known.join(", "), place.display()
    )]
    UnknownDistribution {
        /// What was asked for.
        name: String,
        /// All that there are, the nearest first.
        known: Vec<String>,
        /// Where one of that name would be.
        place: PathBuf,
    },
    /// None was named, and the host's own is none that the method builds.
    #[error("say which distribution with '-d NAME'; those that '-m {method}' builds: {}", .known.join(", "))]
    NoDistribution {
        /// The method.
        method: &'static str,
        /// All that it builds.
        known: Vec<String>,
    },
    /// It is built in another way.
    #[error("the distribution '{name}' is not built with '-m {method}'; use '-m {other} -- -d {name}'")]
    OtherMethod {
        /// What was asked for.
        name: String,
        /// The method for it.
        other: &'static str,
        /// The method that was given.
        method: &'static str,
    },
    /// What was fetched is not signed, or by somebody else.
    #[error(
        "{program} refuses what it fetched for '{distribution}', as its signature is missing or not by a key of the \
         distribution ({line}); use a mirror that is right, or give the right key"
    )]
    Signature {
        /// The program.
        program: &'static str,
        /// The distribution or suite.
        distribution: String,
        /// What it said.
        line: String,
    },
    /// No mirror answered, or one stopped half way.
    #[error(
        "{program} could not fetch all that '{distribution}' needs ({line}); see whether the network and the mirror work, \
         and build again"
    )]
    Fetch {
        /// The program.
        program: &'static str,
        /// The distribution, suite or source.
        distribution: String,
        /// What it said.
        line: String,
    },
    /// No mirror was given, configured or found in the host's apt configuration.
    #[error(
        "no mirror is known for suite '{suite}': this host's apt configuration names none; give one with '-m MIRROR' or \
         write it into '{}'", file.display()
    )]
    NoMirror {
        /// The suite.
        suite: String,
        /// Where it can be configured.
        file: PathBuf,
    },
    /// A suite or mirror that could be taken for an option or a path.
    #[error("'{word}' cannot be a {what}")]
    BadWord {
        /// What was given.
        word: String,
        /// As what.
        what: &'static str,
    },
    /// A program ended with a failure.
    #[error("{program} failed ({status}){}", said(.tail))]
    Program {
        /// The program.
        program: &'static str,
        /// How it ended.
        status: String,
        /// Its last lines.
        tail: Vec<String>,
    },
    /// No space is left.
    #[error("the file system at '{}' is full: there is no space for '{}'", filesystem.display(), path.display())]
    DiskFull {
        /// Its mount point.
        filesystem: PathBuf,
        /// What was being made.
        path: PathBuf,
    },
    /// A tarball could not be unpacked.
    #[error("cannot unpack '{}'", tarball.display())]
    Unpack {
        /// The tarball; `-` is standard input.
        tarball: PathBuf,
        /// Why.
        #[source]
        source: vserver_archive::Error,
    },
    /// An archive could not be made.
    #[error("cannot pack the tree into '{}'; nothing of it is left", tarball.display())]
    Pack {
        /// The archive; `-` is standard output.
        tarball: PathBuf,
        /// Why.
        #[source]
        source: vserver_archive::Error,
    },
    /// A signal came.
    #[error("interrupted by {signal}; nothing of it is left")]
    Interrupted {
        /// Its name.
        signal: &'static str,
    },
    /// The build failed, and what it made was kept because that was asked for.
    #[error("the build failed; what it has made is kept at '{}'", path.display())]
    Kept {
        /// Where.
        path: PathBuf,
        /// Why it failed.
        source: Box<Error>,
    },
    /// A program that somebody else than root, or a guest, could have written.
    #[error("'{}' is not run for the build: {reason}", path.display())]
    Untrusted {
        /// The program.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A directory of `apps/pkgmgmt` is missing.
    #[error(
        "guest '{name}' has its packages managed from the host, and there is no directory for '{key}' at '{}'; make it, or \
         move back to the guest's own tools with `vserver {name} pkgmgmt internalize`", path.display()
    )]
    NoPackageData {
        /// The guest.
        name: GuestName,
        /// Its key below `apps/pkgmgmt/`.
        key: &'static str,
        /// Where it would be.
        path: PathBuf,
    },
    /// The host has package data of that guest already.
    #[error(
        "the host has data of the packages of guest '{name}' at '{}' already; --force puts them aside", path.display()
    )]
    PackageData {
        /// The guest.
        name: GuestName,
        /// Where.
        path: PathBuf,
    },
    /// Two databases of rpm.
    #[error(
        "the host has a database of the packages of guest '{name}' at '{}', and the guest has one in /var/lib/rpm; remove \
         the wrong one, or use --force to keep the guest's", path.display()
    )]
    TwoDatabases {
        /// The guest.
        name: GuestName,
        /// That of the host.
        path: PathBuf,
    },
    /// Another guest has the same tree.
    #[error("the tree of '{name}' at '{}' is also that of guest '{other}'; it is not {done}", root.display())]
    Shared {
        /// The guest to remove.
        name: GuestName,
        /// The other one.
        other: GuestName,
        /// The tree.
        root: PathBuf,
        /// What does not happen to it.
        done: &'static str,
    },
    /// A path that the configuration gives cannot be a guest's own.
    #[error("'{}' of guest '{name}' {reason}; it is not {done}", path.display())]
    NotOurs {
        /// The guest.
        name: GuestName,
        /// The path.
        path: PathBuf,
        /// Why not.
        reason: &'static str,
        /// What does not happen to it.
        done: &'static str,
    },
    /// A call on a file or process of the host failed.
    #[error("cannot {action} '{object}'")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        object: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something in a guest's tree.
    #[error(transparent)]
    Tree(#[from] vserver_fs::Error),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] vserver_config::Error),
}

impl Error {
    /// For `map_err`.
    pub(crate) fn io(action: &'static str, object: impl AsRef<std::path::Path>) -> impl FnOnce(io::Error) -> Self {
        let object = object.as_ref().display().to_string();
        move |source| Self::Io { action, object, source }
    }

    /// Whether the kernel said that a file system is full.
    pub(crate) fn is_disk_full(&self) -> bool {
        self.is_of(&[Errno::ENOSPC])
    }

    /// Whether the kernel said that what is below a file system does not work.
    pub(crate) fn is_disk_broken(&self) -> bool {
        self.is_of(&[Errno::EIO, Errno::EROFS])
    }

    fn is_of(&self, numbers: &[Errno]) -> bool {
        let errno = match self {
            Self::Io { source, .. } => source.raw_os_error(),
            Self::Tree(e) => e.errno(),
            Self::Unpack { source, .. } | Self::Pack { source, .. } => source.errno(),
            Self::Disk(e) => e.errno(),
            _ => None,
        };
        numbers.iter().any(|number| errno == Some(*number as i32))
    }
}

fn said(tail: &[String]) -> String {
    if tail.is_empty() { String::new() } else { format!("; it said last:\n  {}", tail.join("\n  ")) }
}
