//! The arguments of a build method.

use std::ffi::OsString;
use std::path::PathBuf;

use vserver_build::{CloneOf, Debootstrap, Method, OciImage, Template};
use vserver_config::Defaults;
use vserver_types::Exit;

use crate::args::{self, BuildArgs, CloneArgs, DebootstrapArgs, OciArgs, SkeletonArgs, TemplateArgs};
use crate::error::CliError;
use crate::printer::Printer;

/// Methods of the original that there are not yet.
const LATER: [&str; 3] = ["rsync", "rpm", "yum"];
/// Obsolete ones, and what is used in their place. Source: util-vserver, `commands.md` §4.
const GONE: [(&str, &str); 5] = [
    ("apt-rpm", "use template with an archive of such a system"),
    ("urpmi", "use template with an archive of such a system"),
    ("fai", "let FAI fill a directory, and use template with an archive of it"),
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
        "debootstrap" => debootstrap(words, printer),
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
        later if LATER.contains(&later) => Err(CliError::Refused(format!(
            "build-method '{later}' is not there yet; use skeleton, debootstrap, template, oci or clone"
        ))),
        gone if GONE.iter().any(|(name, _)| *name == gone) => {
            let instead = GONE.iter().find(|(name, _)| *name == gone).map_or("", |(_, instead)| instead);
            Err(CliError::Refused(format!("build-method '{gone}' is obsolete; {instead}")))
        }
        unknown => Err(CliError::known(format!("Unknown build-method '{unknown}'"), Exit::Failure)),
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

fn debootstrap(words: &[OsString], printer: &Printer) -> Result<(Method, Option<String>), CliError> {
    let own: DebootstrapArgs = args::parse(printer, words, Exit::Failure)?;
    let distribution = own.dist.clone();
    let arguments = Debootstrap {
        suite: own.dist,
        mirror: own.mirror,
        script: own.script,
        packages: own.packages,
        options: own.rest,
    };
    Ok((Method::Debootstrap(arguments), distribution))
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
    fn methods_that_are_not() {
        assert_eq!(chosen(&[]).unwrap_err(), "No build-method specified");
        assert_eq!(chosen(&["-m", "magic"]).unwrap_err(), "Unknown build-method 'magic'");
        assert!(chosen(&["-m", "rsync"]).unwrap_err().contains("not there yet"));
        assert!(chosen(&["-m", "clone", "--", "-s", "/no/such"]).unwrap_err().contains("nothing to clone"));
        assert!(chosen(&["-m", "skeleton", "--", "cmd"]).is_err());
    }
}
