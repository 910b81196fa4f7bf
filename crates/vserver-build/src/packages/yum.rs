//! dnf(8), or yum(8) where there is only that, with `--installroot`. Sources: dnf.conf(5), dnf(8).

use super::{Plan, Step};
use crate::Error;
use crate::confine::{Room, TREE, WORK};
use crate::distribution::{Distribution, List};
use crate::request::Packages;

/// Paths but for those of [`WORK`] are of the tree.
const SETTINGS: &str = "[main]\nreposdir=/work/yum.repos.d\nvarsdir=/work/vars\nplugins=0\ncachedir=/var/cache/dnf\nkeepcache=1\n\
                        install_weak_deps=0\ngpgcheck=1\nretries=3\ntimeout=30\ncolor=never\n";

pub(super) fn plan(distribution: Distribution, arguments: &Packages) -> Result<Plan, Error> {
    let exec = distribution.path("execdir");
    let has = |program| Room::has(program, exec.as_deref());
    let program = if has("dnf") || !has("yum") { "dnf" } else { "yum" };
    let mut plan = Plan::new(program, "dnf", distribution)?;
    plan.cache = Some("var/cache/dnf");
    let repositories = plan.settings("yum.repos.d")?;
    let own = ["yum/dnf.conf", "yum/yum.conf"];
    let own = own.iter().find_map(|item| plan.distribution.text(item).transpose()).transpose()?.unwrap_or_default();
    // Places are ours: those of the original's have a sign that it replaces.
    let own = own.lines().filter(|line| line.trim() != "[main]" && !line.contains('@'));
    let settings: String = own.map(|line| format!("{line}\n")).collect();
    plan.files.push(("dnf.conf".to_owned(), format!("{SETTINGS}{settings}")));
    let has_keys = plan.rpm_settings()?;
    if let Some(section) = without_key(&repositories).filter(|_| !has_keys) {
        let name = &plan.distribution.name;
        return Err(Error::Wish {
            reason: format!(
                "the packages of repository '{section}' of the distribution '{name}' are to be checked (gpgcheck), and no key \
                 is known for that; name one with 'gpgkey=', or put it into '.distributions/{name}/pubkeys/'"
            ),
        });
    }
    for list in plan.lists(&arguments.packages)? {
        let words = words(program, &plan.distribution.release, &list);
        plan.steps.push(Step { can_fail: list.can_fail, ..Step::new(list.name, words) });
    }
    Ok(plan)
}

/// The first repository that checks signatures and says by which key: none. dnf has a page to say about that.
fn without_key(repositories: &str) -> Option<&str> {
    let mut sections = repositories.split("\n[").map(|text| text.trim_start_matches('['));
    let faulty = sections.find(|text| {
        let value = |key: &str| {
            let mut fields = text.lines().rev().filter_map(|line| line.split_once('='));
            fields.find(|(name, _)| name.trim() == key).map(|(_, value)| value.trim())
        };
        let is_off = |key: &str| value(key).is_some_and(|value| ["0", "no", "false", "off"].contains(&value));
        text.contains(']') && !is_off("gpgcheck") && !is_off("enabled") && value("gpgkey").is_none_or(str::is_empty)
    });
    faulty.and_then(|text| text.split(']').next())
}

fn words(program: &str, release: &str, list: &List) -> Vec<String> {
    let mut words = vec![program.to_owned(), "-y".to_owned()];
    words.extend([format!("--installroot={TREE}"), format!("--config={WORK}/dnf.conf")]);
    if !release.is_empty() {
        words.push(format!("--releasever={release}"));
    }
    words.push(if list.reinstall { "reinstall" } else { "install" }.to_owned());
    words.extend(list.packages.iter().cloned());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_that_is_checked_has_a_key() {
        let key = "[a]\nbaseurl=x\ngpgcheck=1\ngpgkey=https://k\n";
        assert_eq!(without_key(key), None);
        assert_eq!(without_key(&format!("{key}\n[b]\nbaseurl=x\n")), Some("b"));
        assert_eq!(without_key(&format!("{key}[b]\ngpgcheck = 0\n[c]\nenabled=0\n")), None);
    }
}
