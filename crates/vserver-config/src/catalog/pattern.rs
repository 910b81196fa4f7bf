//! Paths with `<x>` for any name and `{a,b}` for either of two.

use std::borrow::Cow;
use std::sync::LazyLock;

use super::setting::{Setting, Tree};
use super::settings;

/// One path of a setting, without braces.
#[derive(Debug)]
pub(super) struct Row {
    pub path: Cow<'static, str>,
    pub setting: &'static Setting,
}

impl Row {
    /// Its names.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.path.split('/')
    }

    /// Whether this is the path.
    pub fn fits(&self, path: &str) -> bool {
        if !may_fit(&self.path, path) {
            return false;
        }
        let mut names = path.split('/');
        self.segments().all(|segment| names.next().is_some_and(|name| fits(segment, name))) && names.next().is_none()
    }

    /// Whether the path of a directory, as names, leads to it.
    pub fn is_below(&self, dir: &[&str]) -> bool {
        if dir.first().is_some_and(|name| !may_fit(&self.path, name)) {
            return false;
        }
        let mut segments = self.segments();
        dir.iter().all(|name| segments.next().is_some_and(|segment| fits(segment, name))) && segments.next().is_some()
    }

    /// The name at a depth that it has, and whether it is its last.
    pub fn segment(&self, depth: usize) -> Option<(&str, bool)> {
        let mut rest = self.segments().skip(depth);
        Some((rest.next()?, rest.next().is_none()))
    }

    /// Whether `name` is the one at `depth` that it has, and if so, whether that is its last.
    pub fn leads_to(&self, depth: usize, name: &str) -> Option<bool> {
        if depth == 0 && !may_fit(&self.path, name) {
            return None;
        }
        let (segment, last) = self.segment(depth)?;
        fits(segment, name).then_some(last)
    }

    /// How many of its names are fixed.
    pub fn exactness(&self) -> usize {
        self.segments().filter(|segment| !is_free(segment)).count()
    }
}

/// All paths of a tree.
pub(super) fn rows(tree: Tree) -> &'static [Row] {
    static TOP: LazyLock<Vec<Row>> = LazyLock::new(|| of(Tree::Top));
    static GUEST: LazyLock<Vec<Row>> = LazyLock::new(|| of(Tree::Guest));
    static DEFAULTS: LazyLock<Vec<Row>> = LazyLock::new(|| of(Tree::Defaults));
    static DISTRIBUTION: LazyLock<Vec<Row>> = LazyLock::new(|| of(Tree::Distribution));
    match tree {
        Tree::Top => &TOP,
        Tree::Guest => &GUEST,
        Tree::Defaults => &DEFAULTS,
        Tree::Distribution => &DISTRIBUTION,
    }
}

fn of(tree: Tree) -> Vec<Row> {
    let mut rows = Vec::with_capacity(1024);
    for setting in settings(tree) {
        match setting.path.contains('{') {
            false => rows.push(Row { path: Cow::Borrowed(setting.path), setting }),
            true => rows.extend(expand(setting.path).into_iter().map(|path| Row { path: Cow::Owned(path), setting })),
        }
    }
    rows
}

/// Whether any name may stand there.
pub(super) fn is_free(segment: &str) -> bool {
    segment.contains('<')
}

/// By the first letter, which spares a closer look at nearly all of some hundred paths.
fn may_fit(pattern: &str, text: &str) -> bool {
    let first = pattern.as_bytes().first();
    first == Some(&b'<') || first == text.as_bytes().first()
}

/// `<x>` stands for at least one character, with fixed text before and after it.
pub(super) fn fits(segment: &str, name: &str) -> bool {
    if segment == name || !may_fit(segment, name) {
        return segment == name;
    }
    let around = segment.split_once('<').and_then(|(before, rest)| Some((before, rest.split_once('>')?.1)));
    around.is_some_and(|(before, after)| {
        name.len() > before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
    })
}

/// The paths that braces stand for; they do not nest.
pub(super) fn expand(path: &str) -> Vec<String> {
    let Some((before, rest)) = path.split_once('{') else { return vec![path.to_owned()] };
    let Some((choices, after)) = rest.split_once('}') else { return vec![path.to_owned()] };
    choices.split(',').flat_map(|choice| expand(&format!("{before}{choice}{after}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_are_choices_and_angles_any_name() {
        assert_eq!(expand("a/{,<x>/}b{1,2}"), ["a/b1", "a/b2", "a/<x>/b1", "a/<x>/b2"]);
        assert!(fits("refserver.<x>", "refserver.01") && !fits("refserver.<x>", "refserver."));
        assert!(fits("<guest>.conf", "web.conf") && !fits("<guest>.conf", ".conf"));
        assert!(fits("ip", "ip") && !fits("ip", "ips") && fits("<x>", "ip"));
    }
}
