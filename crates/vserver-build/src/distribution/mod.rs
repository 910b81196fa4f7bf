//! Distributions: how their guests are made. Each is a directory in the layout of util-vserver, one that is shipped, one of the
//! administrator's (`.distributions/NAME/`), or both; the administrator's items come first. Source: `config-tree.md` §4.

mod shipped;

use std::fs;
use std::path::{Path, PathBuf};

use vserver_config::Defaults;

use crate::Error;
use shipped::Shipped;

/// Keys for all distributions.
const COMMON: &str = ".common";

/// A distribution that was found by its name.
pub(crate) struct Distribution {
    /// As it was asked for.
    pub name: String,
    /// As in `41` of `fedora-41`; the first of the known ones if none was asked for. Empty where there are none.
    pub release: String,
    own: Option<PathBuf>,
    common: PathBuf,
    shipped: Option<&'static Shipped>,
}

/// A list of packages: one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct List {
    /// Name of its file.
    pub name: String,
    /// Names of packages, as the package tool takes them.
    pub packages: Vec<String>,
    /// Its failure is told, and not one of the build (`--can-fail`).
    pub can_fail: bool,
    /// Packages that are there are installed again (`--reinstall`).
    pub reinstall: bool,
}

impl Distribution {
    /// Finds `NAME` or `NAME-RELEASE`, or for debootstrap's the bare suite.
    pub(crate) fn find(defaults: &Defaults, name: &str) -> Option<Self> {
        let below = defaults.confdir().join(".distributions");
        let plain = !name.is_empty() && !name.contains('/') && !name.starts_with(['.', '-']);
        if !plain || name.contains(char::is_whitespace) {
            return None;
        }
        let (shipped, release) = match known(name) {
            Some((shipped, release)) => (Some(shipped), release.map(str::to_owned)),
            None => (None, None),
        };
        let usual = || shipped.and_then(|one| releases(one).next()).unwrap_or_default().to_owned();
        let own = |name: &str| Some(below.join(name)).filter(|dir| dir.is_dir());
        let own = own(name).or_else(|| own(shipped?.name));
        if own.is_none() && shipped.is_none() {
            return None;
        }
        let release = release.unwrap_or_else(usual);
        Some(Self { name: name.to_owned(), release, own, common: below.join(COMMON), shipped })
    }

    /// One that has nothing of its own.
    pub(crate) fn none(defaults: &Defaults) -> Self {
        let common = defaults.confdir().join(".distributions").join(COMMON);
        Self { name: "packages".to_owned(), release: String::new(), own: None, common, shipped: None }
    }

    /// The same, or a refusal that names those that `method` builds.
    pub(crate) fn of_method(defaults: &Defaults, name: Option<&str>, method: &'static str) -> Result<Self, Error> {
        let known = |wanted: &str| {
            let mut known = names(defaults, Some(method));
            known.sort_by_key(|name| vserver_config::distance(name, wanted));
            known
        };
        let Some(name) = name.map(str::to_owned).or_else(host) else {
            return Err(Error::NoDistribution { method, known: known("") });
        };
        let unknown = || Error::UnknownDistribution {
            name: name.clone(),
            known: known(&name),
            place: defaults.confdir().join(".distributions").join(&name),
        };
        let found = Self::find(defaults, &name).ok_or_else(unknown)?;
        match found.method() {
            Some(other) if other != method => Err(Error::OtherMethod { name, other, method }),
            _ => Ok(found),
        }
    }

    /// The build method that is made for it, if it is one that is shipped.
    pub(crate) fn method(&self) -> Option<&'static str> {
        self.shipped.and_then(|one| one.text("method")).map(str::trim)
    }

    /// An item that is a file.
    pub(crate) fn text(&self, item: &str) -> Result<Option<String>, Error> {
        match self.own.as_ref().map(|dir| dir.join(item)).filter(|path| path.is_file()) {
            Some(path) => fs::read_to_string(&path).map(Some).map_err(Error::io("read", &path)),
            None => Ok(self.shipped.and_then(|one| one.text(item)).map(str::to_owned)),
        }
    }

    /// The files of an item that is a directory, by their names.
    pub(crate) fn files(&self, item: &str) -> Result<Vec<(String, String)>, Error> {
        match self.own.as_ref().map(|dir| dir.join(item)).filter(|dir| dir.is_dir()) {
            Some(dir) => read_all(&dir),
            None => Ok(self.shipped.map(|one| one.files(item)).unwrap_or_default()),
        }
    }

    /// Its own file or directory, links resolved.
    pub(crate) fn path(&self, item: &str) -> Option<PathBuf> {
        self.own.as_ref()?.join(item).canonicalize().ok()
    }

    /// The keys that its packages may be signed by, those of the distribution first.
    pub(crate) fn keys(&self) -> Result<Vec<(String, String)>, Error> {
        let own = self.own.as_ref().map(|dir| dir.join("pubkeys"));
        let mut keys = Vec::new();
        for dir in own.into_iter().chain([self.common.join("pubkeys")]).filter(|dir| dir.is_dir()) {
            keys.extend(read_all(&dir)?);
        }
        keys.extend(self.shipped.map(|one| one.files("pubkeys")).unwrap_or_default());
        keys.retain(|(_, key)| !key.trim().is_empty());
        Ok(keys)
    }

    /// The lists of packages in alphabetical order.
    pub(crate) fn lists(&self) -> Result<Vec<List>, Error> {
        Ok(self.files("pkgs")?.into_iter().map(|(name, text)| List::parse(name, &text)).collect())
    }
}

impl List {
    fn parse(name: String, text: &str) -> Self {
        let mut list = Self { name, ..Self::default() };
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        for word in lines.flat_map(str::split_whitespace) {
            match word {
                "--can-fail" => list.can_fail = true,
                "--reinstall" => list.reinstall = true,
                // What is no package cannot become an option of the package tool.
                word if word.starts_with('-') => {}
                word => list.packages.push(word.to_owned()),
            }
        }
        list
    }
}

impl Shipped {
    fn text(&self, item: &str) -> Option<&'static str> {
        self.files.iter().find(|(file, _)| *file == item).map(|(_, text)| *text)
    }

    fn files(&self, item: &str) -> Vec<(String, String)> {
        let below = |file: &'static str| file.strip_prefix(item)?.strip_prefix('/');
        self.files.iter().filter_map(|(file, text)| Some((below(file)?.to_owned(), (*text).to_owned()))).collect()
    }
}

fn releases(one: &'static Shipped) -> impl Iterator<Item = &'static str> {
    one.text("releases").unwrap_or_default().split_whitespace()
}

/// The shipped one of that name, and the release that the name says.
fn known(name: &str) -> Option<(&'static Shipped, Option<&str>)> {
    if let Some(one) = shipped::ALL.iter().find(|one| one.name == name) {
        return Some((one, None));
    }
    let suite = |one: &&Shipped| one.text("method").is_some_and(|method| method.trim() == "debootstrap");
    let of_suite = shipped::ALL.iter().filter(suite).find(|one| releases(one).any(|release| release == name));
    if let Some(one) = of_suite {
        return Some((one, Some(name)));
    }
    let longest = shipped::ALL.iter().filter_map(|one| {
        let release = name.strip_prefix(one.name)?.strip_prefix('-')?;
        let fine = !release.is_empty() && release.chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
        fine.then_some((one, Some(release)))
    });
    longest.max_by_key(|(one, _)| one.name.len())
}

/// All names, with each known release, of the shipped ones that `method` builds and all of the administrator's.
pub(crate) fn names(defaults: &Defaults, method: Option<&str>) -> Vec<String> {
    let mut names = Vec::new();
    for one in shipped::ALL {
        if method.is_some_and(|method| one.text("method").map(str::trim) != Some(method)) {
            continue;
        }
        names.push(one.name.to_owned());
        let versions = releases(one).filter(|release| release.starts_with(|c: char| c.is_ascii_digit()));
        names.extend(versions.map(|release| format!("{}-{release}", one.name)));
    }
    let own = fs::read_dir(defaults.confdir().join(".distributions")).into_iter().flatten().flatten();
    let own = own.filter(|entry| entry.path().is_dir()).filter_map(|entry| entry.file_name().into_string().ok());
    names.extend(own.filter(|name| !name.starts_with('.')));
    names.sort();
    names.dedup();
    names
}

/// The host's own, if it is one of those. os-release(5).
fn host() -> Option<String> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        Some(line.trim_matches('"').to_owned())
    };
    let name = match value("ID")?.as_str() {
        "almalinux" => "alma".to_owned(),
        "centos" => "centos-stream".to_owned(),
        "rhel" | "debian" | "ubuntu" => return None,
        id => id.to_owned(),
    };
    let major = value("VERSION_ID")?.split('.').next()?.to_owned();
    Some(format!("{name}-{major}")).filter(|name| known(name).is_some())
}

fn read_all(dir: &Path) -> Result<Vec<(String, String)>, Error> {
    let failed = || Error::io("look into", dir);
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed())? {
        paths.push(entry.map_err(failed())?.path());
    }
    paths.retain(|path| path.is_file());
    paths.sort();
    let read = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        Ok((name, String::from_utf8_lossy(&bytes).into_owned()))
    };
    paths.iter().filter(|path| !hidden(path)).map(read).collect()
}

fn hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') || name.ends_with('~')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(dir: &Path, name: &str) -> Option<Distribution> {
        Distribution::find(&Defaults::new(dir), name)
    }

    #[test]
    fn a_name_is_a_distribution_with_a_release_or_a_suite() {
        let dir = tempfile::tempdir().unwrap();
        let release = |name: &str| find(dir.path(), name).map(|found| (found.method().unwrap(), found.release));
        assert_eq!(release("fedora-40"), Some(("yum", "40".to_owned())));
        assert_eq!(release("fedora"), Some(("yum", "43".to_owned())));
        assert_eq!(release("centos-stream-9"), Some(("yum", "9".to_owned())));
        assert_eq!(release("opensuse-leap-15.6"), Some(("zypper", "15.6".to_owned())));
        assert_eq!(release("bookworm"), Some(("debootstrap", "bookworm".to_owned())));
        assert_eq!(release("ubuntu-noble"), Some(("debootstrap", "noble".to_owned())));
        for none in ["fedroa", "", "../fedora", ".common", "fedora-", "fedora-4/1", "-d", "fedora -x"] {
            assert!(release(none).is_none(), "{none}");
        }
    }

    #[test]
    fn the_administrators_items_come_first_and_the_rest_is_shipped() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join(".distributions/fedora");
        fs::create_dir_all(own.join("pkgs")).unwrap();
        fs::write(own.join("pkgs/10-mine"), "nginx # a comment\n--can-fail less --nogpgcheck\n").unwrap();
        fs::create_dir_all(own.join("pubkeys")).unwrap();
        fs::write(own.join("pubkeys/mine"), "key").unwrap();
        fs::write(own.join("pubkeys/empty"), "").unwrap();
        let found = find(dir.path(), "fedora-41").unwrap();
        let list = List {
            name: "10-mine".to_owned(),
            packages: vec!["nginx".to_owned(), "less".to_owned()],
            can_fail: true,
            reinstall: false,
        };
        assert_eq!(found.lists().unwrap(), [list]);
        assert_eq!(found.keys().unwrap(), [("mine".to_owned(), "key".to_owned())]);
        assert!(found.files("yum.repos.d").unwrap()[0].1.contains("$releasever"));
        assert!(found.text("rpm/macros").unwrap().unwrap().contains("%_dbpath"));
        assert!(!find(dir.path(), "rocky").unwrap().lists().unwrap().is_empty());
    }

    #[test]
    fn an_unknown_one_is_told_the_nearest_first_and_another_method_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let defaults = Defaults::new(dir.path());
        let refused = |name| Distribution::of_method(&defaults, Some(name), "yum").err().unwrap().to_string();
        let error = refused("fedroa-41");
        assert!(error.contains("'fedroa-41'") && error.contains("known: fedora-41, "), "{error}");
        assert!(!error.contains("alpine"), "{error}");
        assert!(refused("alpine").contains("-m apk"), "{}", refused("alpine"));
    }
}
