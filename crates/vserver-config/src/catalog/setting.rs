//! What is said of one setting.

use std::fmt;

use vserver_types::Verdict;

use super::pattern::expand;

/// Where a setting stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tree {
    /// The configuration root itself.
    Top,
    /// A guest's directory.
    Guest,
    /// `.defaults/`
    Defaults,
    /// `.distributions/<dist>/`
    Distribution,
}

/// What a path holds. Source: `config-tree.md` §1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One value on the first line.
    Scalar,
    /// One item per line; `#` comments.
    Lines,
    /// One argument per line; no comments.
    Arguments,
    /// A number with one of K, M, k, m, or `inf`.
    Limit,
    /// One integer in C notation.
    Integer,
    /// The whole file.
    Text,
    /// Existence counts.
    Flag,
    /// A symbolic link, or what it would lead to.
    Link,
    /// A directory that means something by being there.
    Directory,
    /// A directory that means nothing while it is empty.
    Group,
    /// A file of another program's format.
    Data,
    /// Executed, or sourced by a shell.
    Program,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Scalar => "value",
            Self::Lines => "lines",
            Self::Arguments => "arguments",
            Self::Limit => "limit",
            Self::Integer => "integer",
            Self::Text => "text",
            Self::Flag => "flag",
            Self::Link => "link",
            Self::Directory | Self::Group => "directory",
            Self::Data => "data",
            Self::Program => "program",
        })
    }
}

/// Whom a setting of `.defaults/` reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The host, or guests while they are built; and everything that is not in `.defaults/`.
    Host,
    /// Every guest that has none of these paths of its own.
    Guests(&'static [&'static str]),
}

/// Who tells at start of a setting that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// This table, whenever it is there.
    ByBeingThere,
    /// Whoever uses it, for it depends on what it says.
    ByValue,
    /// Nobody: it is no matter of a start.
    NotAtStart,
}

/// One setting, or several of one kind that share their fate.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its path below the root of its tree. `<x>` is any name, `{a,b}` either of the two, as in a shell.
    pub path: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// How much of it holds.
    pub verdict: Verdict,
    /// By what, or why not.
    pub how: &'static str,
    /// The test that shows it: a root test `case::name`, or `crate::name` of a cargo test; empty where nothing is done.
    pub test: &'static str,
    /// Who tells of it when a guest starts, if it does not hold.
    pub told: Told,
    /// Whom it reaches, if it is one of `.defaults/`.
    pub reach: Reach,
}

/// Settings of one subject.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// Its heading.
    pub title: &'static str,
    /// Its entries.
    pub settings: &'static [Setting],
}

const fn setting(path: &'static str, kind: Kind, verdict: Verdict, how: &'static str, test: &'static str) -> Setting {
    Setting { path, kind, verdict, how, test, told: Told::ByBeingThere, reach: Reach::Host }
}

pub(super) const fn honoured(path: &'static str, kind: Kind, how: &'static str, test: &'static str) -> Setting {
    setting(path, kind, Verdict::Honoured, how, test)
}

pub(super) const fn partly(path: &'static str, kind: Kind, how: &'static str, test: &'static str) -> Setting {
    setting(path, kind, Verdict::Partly, how, test)
}

pub(super) const fn cannot(path: &'static str, kind: Kind, why: &'static str) -> Setting {
    setting(path, kind, Verdict::Cannot, why, "")
}

impl Setting {
    /// The paths that it stands for, without braces, and with `x` where any name may be.
    pub fn examples(&self) -> Vec<String> {
        let named = |path: String| {
            let segments = path.split('/').map(|segment| match segment.split_once('<') {
                Some((before, rest)) => format!("{before}x{}", rest.split_once('>').map_or("", |(_, after)| after)),
                None => segment.to_owned(),
            });
            segments.collect::<Vec<_>>().join("/")
        };
        expand(self.path).into_iter().map(named).collect()
    }

    pub(super) const fn by_value(self) -> Self {
        Self { told: Told::ByValue, ..self }
    }

    pub(super) const fn not_at_start(self) -> Self {
        Self { told: Told::NotAtStart, ..self }
    }

    pub(super) const fn seen_in(self, test: &'static str) -> Self {
        Self { test, ..self }
    }

    pub(super) const fn for_guests_without(self, paths: &'static [&'static str]) -> Self {
        Self { reach: Reach::Guests(paths), ..self }
    }
}
