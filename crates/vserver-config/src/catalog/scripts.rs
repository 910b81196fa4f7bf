//! The administrator's scripts. Source: `config-tree.md` §6.

use super::setting::{Group, Kind, Setting, honoured};

pub(super) const GUEST: Group = Group { title: "Scripts: `scripts/`", settings: OWN };
pub(super) const HOST: Group = Group { title: "Scripts for all guests: `scripts/`", settings: SHARED };

const OWN: &[Setting] = &[honoured(
    "scripts/{initialize,prepre-start,pre-start,post-start,pre-stop,post-stop,postpost-stop}{,.d/<name>}",
    Kind::Program,
    "run on the host at that moment, or sourced if it is not executable",
    "scripts::run_in_order_with_their_arguments",
)];

const fn shared(path: &'static str, hidden_by: &'static [&'static str]) -> Setting {
    let how = "run for guests without a script of that moment, or where that says DONT_SKIP_DEFAULTS";
    honoured(path, Kind::Program, how, "scripts::host_scripts_are_for_guests_without").for_guests_without(hidden_by)
}

const SHARED: &[Setting] = &[
    shared("scripts/initialize{,.d/<name>}", &["scripts/initialize", "scripts/initialize.d"]),
    shared("scripts/prepre-start{,.d/<name>}", &["scripts/prepre-start", "scripts/prepre-start.d"]),
    shared("scripts/pre-start{,.d/<name>}", &["scripts/pre-start", "scripts/pre-start.d"]),
    shared("scripts/post-start{,.d/<name>}", &["scripts/post-start", "scripts/post-start.d"]),
    shared("scripts/pre-stop{,.d/<name>}", &["scripts/pre-stop", "scripts/pre-stop.d"]),
    shared("scripts/post-stop{,.d/<name>}", &["scripts/post-stop", "scripts/post-stop.d"]),
    shared("scripts/postpost-stop{,.d/<name>}", &["scripts/postpost-stop", "scripts/postpost-stop.d"]),
];
