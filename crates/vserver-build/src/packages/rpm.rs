//! rpm(8) with `--root`: package files that manifests list, each manifest one transaction. Source: util-vserver,
//! `commands.md` §4, `config-tree.md` §4.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use vserver_config::Defaults;

use super::{Plan, Step};
use crate::Error;
use crate::confine::TREE;
use crate::distribution::Distribution;
use crate::request::Packages;

/// The directory of a distribution's manifests.
const MANIFESTS: &str = "rpmlist.d";

/// One manifest.
struct Manifest {
    name: String,
    options: Vec<&'static str>,
    files: Vec<PathBuf>,
}

pub(super) fn plan(arguments: &Packages, defaults: &Defaults) -> Result<Plan, Error> {
    let distribution = match &arguments.distribution {
        Some(name) => found(defaults, name)?,
        // Manifests say all; a distribution would add keys and the place of the database.
        None => Distribution::none(defaults),
    };
    let mut plan = Plan::new("rpm", "rpm", distribution)?;
    let has_keys = plan.rpm_settings()?;
    plan.steps.insert(0, Step::new("making the database", ["rpm", "--root", TREE, "--initdb"]));
    if arguments.empty {
        return Ok(plan);
    }
    let manifests = manifests(&plan.distribution, arguments)?;
    if !has_keys && !manifests.is_empty() {
        plan.notes.push(
            "the signatures of its packages were not looked at, as no keys are known (pubkeys/ of the distribution)"
                .to_owned(),
        );
    }
    for manifest in manifests {
        let mut words: Vec<OsString> = ["rpm", "--root", TREE, "-U"].map(OsString::from).to_vec();
        if has_keys {
            words.extend(["--define", "_pkgverify_level all"].map(OsString::from));
        }
        words.extend(manifest.options.iter().map(OsString::from));
        words.extend(manifest.files.iter().map(|file| file.clone().into_os_string()));
        plan.lent.extend(manifest.files.iter().filter_map(|file| file.parent()).map(Path::to_owned));
        plan.steps.push(Step::new(manifest.name, words));
    }
    plan.lent.sort();
    plan.lent.dedup();
    Ok(plan)
}

fn found(defaults: &Defaults, name: &str) -> Result<Distribution, Error> {
    Distribution::find(defaults, name).ok_or_else(|| {
        let mut known = crate::distribution::names(defaults, None);
        known.sort_by_key(|known| vserver_config::distance(known, name));
        let place = defaults.confdir().join(".distributions").join(name);
        Error::UnknownDistribution { name: name.to_owned(), known, place }
    })
}

/// Those of the command line, else those of the distribution.
fn manifests(distribution: &Distribution, arguments: &Packages) -> Result<Vec<Manifest>, Error> {
    let mut given = Vec::new();
    if arguments.force {
        given.push("--force");
    }
    if arguments.nodeps {
        given.push("--nodeps");
    }
    let base = arguments.base.as_deref();
    let mut all = Vec::new();
    for path in &arguments.manifests {
        let text = fs::read_to_string(path).map_err(Error::io("read the manifest", path))?;
        let beside = path.parent().unwrap_or(Path::new(".")).to_owned();
        all.push(Manifest::read(path.display().to_string(), &text, base.unwrap_or(&beside), given.clone())?);
    }
    if !all.is_empty() {
        return Ok(all);
    }
    let items = distribution.files(MANIFESTS)?;
    let place = distribution.path(MANIFESTS).unwrap_or_default();
    for (name, text) in items.iter().filter(|(name, _)| name.ends_with(".lst")) {
        let commands = items.iter().find(|(other, _)| {
            Some(other.as_str()) == name.strip_suffix("lst").map(|stem| format!("{stem}cmd")).as_deref()
        });
        let mut options = given.clone();
        for word in commands.iter().flat_map(|(_, text)| text.split_whitespace()) {
            match word {
                "--force" => options.push("--force"),
                "--nodeps" => options.push("--nodeps"),
                word => {
                    return Err(Error::BadWord {
                        word: word.to_owned(),
                        what: "option of a list (--force, --nodeps)",
                    });
                }
            }
        }
        all.push(Manifest::read(name.clone(), text, base.unwrap_or(&place), options)?);
    }
    if all.is_empty() {
        let reason = "there is no list of package files: name one, or have some in '.distributions/DIST/rpmlist.d/'; with \
                      --empty none is needed";
        return Err(Error::Wish { reason: reason.to_owned() });
    }
    Ok(all)
}

impl Manifest {
    fn read(name: String, text: &str, base: &Path, options: Vec<&'static str>) -> Result<Self, Error> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let find = |line: &str| {
            let path = base.join(line);
            path.canonicalize().map_err(Error::io("find the package", &path))
        };
        let files = lines.map(find).collect::<Result<Vec<_>, _>>()?;
        if files.is_empty() {
            return Err(Error::Wish { reason: format!("the list '{name}' names no package files") });
        }
        Ok(Self { name, options, files })
    }
}
