//! zypper(8) with `--root`.

use super::{Plan, Step};
use crate::Error;
use crate::confine::{TREE, WORK};
use crate::distribution::{Distribution, List};
use crate::request::Packages;

pub(super) fn plan(distribution: Distribution, arguments: &Packages) -> Result<Plan, Error> {
    let mut plan = Plan::new("zypper", "zypper", distribution)?;
    plan.cache = Some("var/cache/zypp");
    let repositories = plan.settings("zypp.repos.d")?;
    let has_keys = plan.rpm_settings()?;
    // Without a key of the distribution's the first one is taken that comes over a connection which itself is authentic.
    let import = !has_keys && all_authentic(&repositories);
    for list in plan.lists(&arguments.packages)? {
        let words = words(&plan.distribution.release, &list, import);
        plan.steps.push(Step { can_fail: list.can_fail, ..Step::new(list.name, words) });
    }
    Ok(plan)
}

fn all_authentic(repositories: &str) -> bool {
    let mut urls = repositories.lines().filter_map(|line| line.trim().strip_prefix("baseurl="));
    urls.all(|url| url.trim().starts_with("https://"))
}

fn words(release: &str, list: &List, import: bool) -> Vec<String> {
    let mut words: Vec<String> =
        ["zypper", "--non-interactive", "--root", TREE, "--reposd-dir"].map(str::to_owned).to_vec();
    words.push(format!("{WORK}/zypp.repos.d"));
    if release.starts_with(|c: char| c.is_ascii_digit()) {
        words.extend(["--releasever".to_owned(), release.to_owned()]);
    }
    if import {
        words.push("--gpg-auto-import-keys".to_owned());
    }
    words.extend(["install", "--no-recommends", "--auto-agree-with-licenses"].map(str::to_owned));
    if list.reinstall {
        words.push("--force".to_owned());
    }
    words.extend(list.packages.iter().cloned());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_taken_from_an_authentic_place_only() {
        assert!(all_authentic("[a]\nbaseurl=https://m/x\n[b]\nbaseurl=https://m/y\n"));
        assert!(!all_authentic("[a]\nbaseurl=https://m/x\n[b]\nbaseurl=http://m/y\n"));
        let list = List { packages: vec!["a".to_owned()], ..List::default() };
        assert!(words("15.6", &list, true).contains(&"--gpg-auto-import-keys".to_owned()));
        assert!(!words("tumbleweed", &list, false).iter().any(|word| word.contains("gpg") || word == "tumbleweed"));
    }
}
