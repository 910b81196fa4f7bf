//! pacman(8) with a root and a database of the tree's.

use super::{Plan, Step};
use crate::Error;
use crate::confine::{self, TREE, WORK};
use crate::distribution::Distribution;
use crate::request::Packages;

/// Where pacman-key(8) looks for the keys of distributions. Debian: archlinux-keyring.
const KEYRINGS: &str = "/usr/share/keyrings/archlinux.gpg";

pub(super) fn plan(distribution: Distribution, arguments: &Packages) -> Result<Plan, Error> {
    let mut plan = Plan::new("pacman", "pacman-package-manager", distribution)?;
    plan.cache = Some("var/cache/pacman/pkg");
    plan.directories = vec!["var/lib/pacman", "var/log"];
    let settings = plan.settings("pacman")?;
    plan.lent.extend(confine::named(&settings));
    if !settings.lines().any(|line| line.replace(' ', "") == "SigLevel=Never") {
        if !std::path::Path::new(KEYRINGS).exists() {
            return Err(Error::Missing { program: "the keyring of Arch Linux", package: "archlinux-keyring" });
        }
        let key = |words: &[&str]| {
            let all = ["pacman-key", "--config", "/work/pacman/pacman.conf", "--gpgdir", "/work/gnupg"]
                .iter()
                .chain(words)
                .map(|word| (*word).to_owned());
            Step::new("importing keys", all)
        };
        plan.steps.extend([key(&["--init"]), key(&["--populate", "archlinux"])]);
    }
    for (number, list) in plan.lists(&arguments.packages)?.into_iter().enumerate() {
        let mut words: Vec<String> =
            ["pacman", "--noconfirm", "--noprogressbar", "--root", TREE].map(str::to_owned).to_vec();
        words.extend(["--config".to_owned(), format!("{WORK}/pacman/pacman.conf")]);
        words.extend(["--dbpath".to_owned(), format!("{TREE}/var/lib/pacman")]);
        words.extend(["--cachedir".to_owned(), format!("{TREE}/var/cache/pacman/pkg")]);
        words.extend(["--logfile".to_owned(), format!("{TREE}/var/log/pacman.log")]);
        words.extend(["--hookdir".to_owned(), format!("{TREE}/etc/pacman.d/hooks")]);
        words.extend(["--gpgdir".to_owned(), format!("{WORK}/gnupg"), "--disable-download-timeout".to_owned()]);
        words.push(if number == 0 { "-Sy" } else { "-S" }.to_owned());
        if !list.reinstall {
            words.push("--needed".to_owned());
        }
        words.extend(list.packages.iter().cloned());
        plan.steps.push(Step { can_fail: list.can_fail, ..Step::new(list.name, words) });
    }
    Ok(plan)
}
