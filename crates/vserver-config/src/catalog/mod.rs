//! Every setting of the tree, and what becomes of it on a stock kernel: one table, from which `docs/config.md`, the
//! second half of `vserver NAME check`, the report at start, the search for misspelt names and a test of completeness are
//! made. Source of the paths and their meanings: `config-tree.md`.

mod apps;
mod by_value;
mod distributions;
mod host;
mod identity;
mod init;
mod limits;
mod mounts;
mod netns;
mod network;
mod pattern;
mod present;
mod rlimits;
mod scripts;
mod setting;
mod stray;
mod top;

pub(crate) use by_value::lost;
pub use present::{Found, found};
pub(crate) use present::{found_by, unapplied};
pub use setting::{Group, Kind, Reach, Setting, Told, Tree};
pub(crate) use stray::of_guest as strays_of_guest;
pub use stray::of_host as strays_of_host;

/// The groups of a tree, in the order in which they are shown.
pub fn groups(tree: Tree) -> &'static [Group] {
    match tree {
        Tree::Top => &[top::ALL],
        Tree::Guest => &GUEST,
        Tree::Defaults => &DEFAULTS,
        Tree::Distribution => &[distributions::ALL],
    }
}

/// All settings of a tree.
pub fn settings(tree: Tree) -> impl Iterator<Item = &'static Setting> {
    groups(tree).iter().flat_map(|group| group.settings)
}

/// The entry for a path below the tree's root: the one with the most words of its own, if several fit.
pub fn lookup(tree: Tree, path: &str) -> Option<&'static Setting> {
    pattern::rows(tree).iter().filter(|row| row.fits(path)).max_by_key(|row| row.exactness()).map(|row| row.setting)
}

/// Whether a path is an entry, the directory of one, or something beyond a link that is one.
pub fn knows(tree: Tree, path: &str) -> bool {
    let names: Vec<&str> = path.split('/').collect();
    let beyond = |end: usize| lookup(tree, &names[..end].join("/")).is_some_and(|entry| entry.kind == Kind::Link);
    lookup(tree, path).is_some()
        || pattern::rows(tree).iter().any(|row| row.is_below(&names))
        || (1..names.len()).any(beyond)
}

/// By what a guest's setting holds, or why it does not.
pub fn how(path: &str) -> &'static str {
    lookup(Tree::Guest, path).map_or("", |setting| setting.how)
}

const GUEST: [Group; 11] = [
    identity::LINKS,
    identity::FLAGS,
    rlimits::ALL,
    limits::ALL,
    identity::UTS,
    mounts::ALL,
    network::ALL,
    netns::ALL,
    init::ALL,
    apps::ALL,
    scripts::GUEST,
];
const DEFAULTS: [Group; 4] = [host::GUESTS, host::APPS, host::BUILD, scripts::HOST];
