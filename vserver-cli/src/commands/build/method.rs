//! The arguments of a build method.

use std::ffi::OsString;
use std::path::PathBuf;

use vserver_build::{
    CloneOf, Debootstrap, Fai, Import, ImportSource, Manager, Method, OciImage, Packages, Rsync, Template,
};
use vserver_config::Defaults;
use vserver_types::Exit;

use crate::args::{
    self, BuildArgs, CloneArgs, DebootstrapArgs, FaiArgs, ImageArgs, OciArgs, PackagesArgs, RpmArgs, RsyncArgs,
    SkeletonArgs, TemplateArgs,
};
use crate::commands::import;
use crate::error::CliError;
use crate::printer::Printer;

/// Methods that install packages by a tool. What apt-rpm did for such distributions, dnf does.
const TOOLS: [(&str, Manager); 5] = [
    ("yum", Manager::Yum),
    ("apt-rpm", Manager::Yum),
    ("zypper", Manager::Zypper),
    ("apk", Manager::Apk),
    ("pacman", Manager::Pacman),
];
/// Obsolete ones, and what is used in their place. Source: util-vserver, `commands.md` §4.
const GONE: [(&str, &str); 3] = [
    ("urpmi", "use yum with the repositories of such a system"),
    ("legacy", "use template with an archive of the old guest's tree"),
    ("copy", "use `vserver OLD copy NEW`"),
];

/// The method with its arguments, and the distribution that was named.
pub fn choose(
    args: &BuildArgs,
    defaults: &Defaults,
    printer: &Printer,
) -> Result<(Method, Option<String>), CliError> {
    let Some(method) = args.method.as_deref() else {
        return Err(CliError::known("No build-method specified", Exit::Failure));
    };
    let words = &args.rest;
    match method {
        "skeleton" => {
            let own: SkeletonArgs = args::parse(printer, words, Exit::Failure)?;
            Ok((Method::Skeleton, own.dist))
        }
        "debootstrap" => debootstrap(words, false, printer),
        "mmdebstrap" => debootstrap(words, true, printer),
        "template" => {
            let own: TemplateArgs = args::parse(printer, words, Exit::Failure)?;
            let usual = defaults.template(own.dist.as_deref());
            let tarballs: Vec<_> = usual.into_iter().chain(own.template).collect();
            if tarballs.is_empty() {
                let fault = "it needs an archive: give one with --template, or as .distributions/DIST/template";
                return Err(CliError::usage("vserver NAME build -m template --", fault, Exit::Failure));
            }
            let template = Template { tarballs, keep_dev: own.nodevsanity };
            Ok((Method::Template(template), own.dist))
        }
        "clone" => {
            let own: CloneArgs = args::parse(printer, words, Exit::Failure)?;
            let source = source(&own.source, defaults)?;
            Ok((Method::Clone(CloneOf { source, exclude: own.exclude_from }), own.dist))
        }
        "oci" => {
            let own: OciArgs = args::parse(printer, words, Exit::Failure)?;
            Ok((Method::Oci(OciImage { image: own.source, name: own.image }), own.dist))
        }
        "rsync" => {
            let own: RsyncArgs = args::parse(printer, words, Exit::Failure)?;
            Ok((Method::Rsync(Rsync { source: own.source, options: own.option, more: own.more }), own.dist))
        }
        "fai" => fai(words, printer),
        "image" => image(words, printer),
        "rpm" => rpm(words, printer),
        tool if TOOLS.iter().any(|(name, _)| *name == tool) => packages(tool, words, printer),
        gone if GONE.iter().any(|(name, _)| *name == gone) => {
            let instead = GONE.iter().find(|(name, _)| *name == gone).map_or("", |(_, instead)| instead);
            Err(CliError::Refused(format!("build-method '{gone}' is obsolete; {instead}")))
        }
        unknown => Err(CliError::known(format!("Unknown build-method '{unknown}'"), Exit::Failure)),
    }
}

/// The command that is to run on the host when the guest is there; none for most. Source: util-vserver, `commands.md` §4.
pub fn afterwards(args: &BuildArgs, printer: &Printer) -> Result<Vec<OsString>, CliError> {
    match args.method.as_deref() {
        Some("skeleton") => Ok(args::parse::<SkeletonArgs>(printer, &args.rest, Exit::Failure)?.command),
        _ => Ok(Vec::new()),
    }
}

/// The tree of a guest, a directory, or a name below that of all guests. Source: util-vserver, `commands.md` §4.
fn source(word: &str, defaults: &Defaults) -> Result<PathBuf, CliError> {
    let guest = defaults.confdir().join(word).join("vdir");
    let places = [guest, PathBuf::from(word), defaults.vdirbase().join(word)];
    let found =
        places.iter().filter(|place| !word.is_empty() && place.is_dir()).find_map(|place| place.canonicalize().ok());
    found.ok_or_else(|| {
        CliError::Refused(format!(
            "there is nothing to clone: '{word}' is no guest, no directory and nothing below '{}'",
            defaults.vdirbase().display()
        ))
    })
}

fn debootstrap(words: &[OsString], fast: bool, printer: &Printer) -> Result<(Method, Option<String>), CliError> {
    let own: DebootstrapArgs = args::parse(printer, words, Exit::Failure)?;
    let distribution = own.dist.clone();
    let arguments = Debootstrap {
        suite: own.dist,
        mirror: own.mirror,
        script: own.script,
        packages: own.packages,
        options: own.rest,
        fast,
    };
    Ok((Method::Debootstrap(arguments), distribution))
}

fn packages(tool: &str, words: &[OsString], printer: &Printer) -> Result<(Method, Option<String>), CliError> {
    let own: PackagesArgs = args::parse(printer, words, Exit::Failure)?;
    if tool == "apt-rpm" {
        printer.warn("build-method 'apt-rpm' is that of yum today: its packages are installed by dnf");
    }
    let manager = TOOLS.iter().find(|(name, _)| *name == tool).map_or(Manager::Yum, |(_, manager)| *manager);
    let distribution = own.dist.clone();
    let packages = Packages { packages: own.packages, ..of(manager, own.dist) };
    Ok((Method::Packages(packages), distribution))
}

fn rpm(words: &[OsString], printer: &Printer) -> Result<(Method, Option<String>), CliError> {
    let own: RpmArgs = args::parse(printer, words, Exit::Failure)?;
    let distribution = own.dist.clone();
    let packages = Packages {
        manifests: own.lists,
        base: own.basedir,
        force: own.force,
        nodeps: own.nodeps,
        empty: own.empty,
        ..of(Manager::Rpm, own.dist)
    };
    Ok((Method::Packages(packages), distribution))
}

fn of(manager: Manager, distribution: Option<String>) -> Packages {
    Packages {
        manager,
        distribution,
        packages: Vec::new(),
        manifests: Vec::new(),
        base: None,
        force: false,
        nodeps: false,
        empty: false,
    }
}

fn fai(words: &[OsString], printer: &Printer) -> Result<(Method, Option<String>), CliError> {
    let own: FaiArgs = args::parse(printer, words, Exit::Failure)?;
    if own.nfsroot.is_some() || own.all {
        printer.warn(
            "-n and -a of build-method 'fai' have no effect: FAI installs into the guest's tree, without an nfsroot",
        );
    }
    let arguments =
        Fai { space: own.cspace, settings: own.faidir, classes: own.class, host: own.guest, options: own.more };
    Ok((Method::Fai(arguments), None))
}

/// A machine that never was one of this host: the rest is that of an import.
fn image(words: &[OsString], printer: &Printer) -> Result<(Method, Option<String>), CliError> {
    let own: ImageArgs = args::parse(printer, words, Exit::Failure)?;
    let import = Import {
        source: ImportSource::Image(own.source, own.partition),
        below: own.below.as_deref().map(import::below).transpose()?.unwrap_or_default(),
        as_is: false,
        keep_identity: false,
        this_host: false,
    };
    Ok((Method::Import(import), own.dist))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(words: &[&str]) -> Result<(Method, Option<String>), String> {
        let printer = Printer::new("vserver");
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let args = args::parse(&printer, &words, Exit::Failure).map_err(|error| error.to_string())?;
        choose(&args, &Defaults::new(std::path::Path::new("/nowhere")), &printer).map_err(|error| error.to_string())
    }

    #[test]
    fn the_typical_script_line() {
        let line = "-m debootstrap --context 40012 -- -d bookworm -m URL -- --variant=minbase --include=a,b";
        let (method, distribution) = chosen(&line.split(' ').collect::<Vec<_>>()).unwrap();
        let Method::Debootstrap(made) = method else { panic!("{method:?}") };
        assert_eq!((distribution.as_deref(), made.suite.as_deref()), (Some("bookworm"), Some("bookworm")));
        assert_eq!((made.mirror.as_deref(), made.options.len()), (Some("URL"), 2));
    }

    #[test]
    fn tarballs_in_order() {
        let (method, _) = chosen(&["-m", "template", "--", "-t", "a.tar", "--template", "-"]).unwrap();
        let Method::Template(made) = method else { panic!("{method:?}") };
        assert_eq!(made.tarballs, [std::path::Path::new("a.tar"), std::path::Path::new("-")]);
        assert!(chosen(&["-m", "template"]).unwrap_err().contains("--template"));
    }

    #[test]
    fn package_tools_and_their_words() {
        let (method, distribution) = chosen(&["-m", "yum", "--", "-d", "fedora-42", "--", "nginx", "vim"]).unwrap();
        let Method::Packages(made) = method else { panic!("{method:?}") };
        assert_eq!(
            (made.manager, made.packages.len(), distribution.as_deref()),
            (Manager::Yum, 2, Some("fedora-42"))
        );
        let (method, _) =
            chosen(&["-m", "rpm", "--", "-d", "fc6", "-b", "/b", "--nodeps", "a.lst", "b.lst"]).unwrap();
        let Method::Packages(made) = method else { panic!("{method:?}") };
        assert!(made.manager == Manager::Rpm && made.nodeps && !made.force && made.manifests.len() == 2);
        assert!(chosen(&["-m", "rpm", "--", "-e", "a.lst"]).is_err());
        let line = ["-m", "rsync", "--", "-s", "old:/srv", "-o", "-aH", "--", "--exclude=x"];
        let (method, _) = chosen(&line).unwrap();
        let Method::Rsync(made) = method else { panic!("{method:?}") };
        assert_eq!((made.source.as_str(), made.options.len(), made.more.len()), ("old:/srv", 1, 1));
    }

    #[test]
    fn fai_and_the_words_of_the_original() {
        let line =
            ["-m", "fai", "--", "-s", "/srv/fai", "-c", "A,B", "-d", "/fai", "-f", "web1", "-n", "/root", "--", "-x"];
        let (method, distribution) = chosen(&line).unwrap();
        let Method::Fai(made) = method else { panic!("{method:?}") };
        assert_eq!((made.space.as_deref(), made.classes.as_deref()), (Some("/srv/fai"), Some("A,B")));
        assert_eq!((made.host.as_deref(), made.settings), (Some("web1"), Some("/fai".into())));
        assert!(made.options == ["-x"] && distribution.is_none());
    }

    #[test]
    fn methods_that_are_not() {
        assert_eq!(chosen(&[]).unwrap_err(), "No build-method specified");
        assert_eq!(chosen(&["-m", "magic"]).unwrap_err(), "Unknown build-method 'magic'");
        assert!(chosen(&["-m", "rsync"]).unwrap_err().contains("--source"));
        assert!(chosen(&["-m", "urpmi"]).unwrap_err().contains("obsolete"));
        assert!(chosen(&["-m", "clone", "--", "-s", "/no/such"]).unwrap_err().contains("nothing to clone"));
        assert!(chosen(&["-m", "skeleton", "--", "--frob", "cmd"]).is_err());
    }

    #[test]
    fn a_skeleton_may_have_a_command() {
        let printer = Printer::new("vserver");
        let command = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let args: BuildArgs = args::parse(&printer, &words, Exit::Failure).unwrap();
            afterwards(&args, &printer).unwrap()
        };
        assert_eq!(
            command("-m skeleton -- -d x --pkgmgmt --debug tar xf a.tar -C /x"),
            ["tar", "xf", "a.tar", "-C", "/x"]
        );
        assert!(command("-m skeleton").is_empty());
        assert!(command("-m template -- -t a.tar --pkgmgmt").is_empty());
    }
}
