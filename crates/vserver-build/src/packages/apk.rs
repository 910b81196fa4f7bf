//! apk(8) with a root. Source: its manual, version 2.14.

use super::{Plan, Step};
use crate::Error;
use crate::confine::{Room, TREE, WORK};
use crate::distribution::Distribution;
use crate::request::Packages;

pub(super) fn plan(distribution: Distribution, arguments: &Packages) -> Result<Plan, Error> {
    let (name, exec) = (distribution.name.clone(), distribution.path("execdir"));
    let refused = |reason: String| Err(Error::Wish { reason });
    if !Room::has("apk", exec.as_deref()) {
        return refused(format!(
            "apk is not installed on this host, and Debian has no package of it; put Alpine's apk.static (of its package \
             'apk-tools-static') as 'apk' into '.distributions/{name}/execdir/'"
        ));
    }
    let keys = distribution.keys()?;
    if keys.is_empty() {
        return refused(format!(
            "no key of the distribution '{name}' is known, so none of its packages can be trusted; put its keys (of its \
             package 'alpine-keys') into '.distributions/{name}/pubkeys/'"
        ));
    }
    let mut plan = Plan::new("apk", "apk-tools", distribution)?;
    for (name, text) in &mut plan.distribution.files("apk")? {
        *text = text.replace("@RELEASE@", &plan.distribution.release);
        plan.lent.extend(crate::confine::named(text));
        plan.files.push((format!("apk/{name}"), text.clone()));
    }
    plan.files.extend(keys.into_iter().map(|(name, key)| (format!("keys/{name}"), key)));
    for (number, list) in plan.lists(&arguments.packages)?.into_iter().enumerate() {
        let mut words: Vec<String> =
            ["apk", "--root", TREE, "--no-progress", "--no-cache"].map(str::to_owned).to_vec();
        words.push(format!("--repositories-file={WORK}/apk/repositories"));
        words.push(format!("--keys-dir={WORK}/keys"));
        if number == 0 {
            words.push("--initdb".to_owned());
        }
        words.extend(["add".to_owned()].into_iter().chain(list.packages));
        plan.steps.push(Step { can_fail: list.can_fail, ..Step::new(list.name, words) });
    }
    Ok(plan)
}
