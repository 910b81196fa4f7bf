//! What the start of a host has to know about every guest, also of those whose configuration has faults elsewhere.

use std::collections::BTreeMap;
use std::path::Path;

use vserver_types::GuestName;

use crate::error::{Diagnostic, Error};
use crate::list::list;
use crate::order::Depends;
use crate::reader::{Line, Reader};

/// What one guest says about boot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootFacts {
    /// Lines of `apps/init/mark`.
    pub marks: Vec<String>,
    /// Lines of `apps/init/depends`.
    pub depends: Vec<String>,
    /// Not `disabled`, and `vdir` is a directory.
    pub enabled: bool,
    /// Not `disabled`, but `vdir` leads nowhere.
    pub dangling: bool,
}

/// All guests of a configuration root.
#[derive(Clone, Debug, Default)]
pub struct Boot {
    /// By name.
    pub guests: BTreeMap<GuestName, BootFacts>,
    /// Files that could not be read as meant.
    pub findings: Vec<Diagnostic>,
}

impl Boot {
    /// Reads `apps/init/mark`, `apps/init/depends` and `disabled` of every guest, and nothing else.
    pub fn read(confdir: &Path) -> Result<Self, Error> {
        let mut reader = Reader::default();
        let text = |line: Line| line.text;
        let mut guests = BTreeMap::new();
        for name in list(confdir)? {
            let dir = confdir.join(name.as_str());
            let (disabled, there) = (Reader::exists(&dir.join("disabled")), dir.join("vdir").is_dir());
            let facts = BootFacts {
                marks: reader.list(&dir.join("apps/init/mark")).into_iter().map(text).collect(),
                depends: reader.list(&dir.join("apps/init/depends")).into_iter().map(text).collect(),
                enabled: !disabled && there,
                dangling: !disabled && !there,
            };
            guests.insert(name, facts);
        }
        Ok(Self { guests, findings: reader.findings })
    }

    /// Who needs whom.
    pub fn depends(&self) -> Depends {
        self.guests.iter().map(|(name, facts)| (name.clone(), facts.depends.clone())).collect()
    }

    /// Enabled guests with this line among their marks.
    pub fn marked<'a>(&'a self, mark: &'a str) -> impl Iterator<Item = &'a GuestName> + 'a {
        let has = move |facts: &BootFacts| facts.enabled && facts.marks.iter().any(|line| line == mark);
        self.guests.iter().filter(move |(_, facts)| has(facts)).map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn marks_are_whole_lines_and_a_disabled_guest_has_none() {
        let dir = tempfile::tempdir().unwrap();
        let guest = |name: &str, mark: &str, depends: &str| {
            let init = dir.path().join(name).join("apps/init");
            fs::create_dir_all(&init).unwrap();
            symlink(dir.path(), dir.path().join(name).join("vdir")).unwrap();
            fs::write(init.join("mark"), mark).unwrap();
            fs::write(init.join("depends"), depends).unwrap();
        };
        guest("web", "late\ndefault\n", "# first\ndb\n\nold\n");
        guest("db", "", "");
        guest("mail", "default-not\n", "");
        guest("old", "default\n", "older\n");
        fs::write(dir.path().join("old/disabled"), "").unwrap();
        // A fault elsewhere does not hide the mark.
        fs::write(dir.path().join("web/context"), "nonsense\n").unwrap();
        let boot = Boot::read(dir.path()).unwrap();
        assert_eq!(boot.marked("default").map(GuestName::as_str).collect::<Vec<_>>(), ["web"]);
        let depends = boot.depends();
        assert_eq!(depends[&"web".parse().unwrap()], ["db", "old"]);
        assert_eq!(depends[&"old".parse().unwrap()], ["older"], "whoever needs a disabled guest wants it");
        assert!(boot.findings.is_empty());
    }
}
