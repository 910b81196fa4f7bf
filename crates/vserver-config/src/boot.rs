//! What the start of a host has to know about every guest, also of those whose configuration has faults elsewhere.

use std::collections::BTreeMap;
use std::path::Path;

use vserver_types::GuestName;

use crate::error::{Diagnostic, Error};
use crate::list::list;
use crate::nearest::nearest;
use crate::order::{Depends, circle_through};
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

    /// What is wrong with one guest's `apps/init/depends`: needs that no guest has, and a circle.
    pub fn faults_of(&self, confdir: &Path, name: &GuestName) -> Vec<Diagnostic> {
        let path = confdir.join(name.as_str()).join("apps/init/depends");
        let circle = circle_through(name, &self.depends());
        let mut reader = Reader::default();
        let lines = reader.list(&path);
        // Faults of the file itself are found by whoever reads the whole configuration.
        reader.findings.clear();
        for line in lines {
            let known = line.text.parse().is_ok_and(|need: GuestName| self.guests.contains_key(&need));
            if !known {
                let near = nearest(&line.text, self.guests.keys().map(GuestName::as_str));
                let hint = near.map_or("remove the line, or make that guest".to_owned(), |near| {
                    format!("did you mean '{near}'?")
                });
                let text = line.text.escape_debug();
                let message = format!("there is no guest '{text}', so this one is not started together with others");
                reader.error(&path, Some(line.number), message, &hint);
            }
            if let Some(circle) =
                circle.as_ref().filter(|circle| circle.0.get(1).unwrap_or(name).as_str() == line.text)
            {
                let message = format!("guests depend on each other in a circle: {circle}");
                reader.error(
                    &path,
                    Some(line.number),
                    message,
                    "remove one of these lines; until then one is ignored",
                );
            }
        }
        reader.findings
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

    /// Issue: a cyclic `depends` is found by `check`, with file, line, reason and remedy.
    #[test]
    fn a_circle_and_an_unknown_need_have_file_line_and_remedy() {
        let dir = tempfile::tempdir().unwrap();
        for (name, depends) in [("web", "# first\ndb\nmaill\n"), ("db", "web\n"), ("mail", "mail\n")] {
            let init = dir.path().join(name).join("apps/init");
            fs::create_dir_all(&init).unwrap();
            symlink(dir.path(), dir.path().join(name).join("vdir")).unwrap();
            fs::write(init.join("depends"), depends).unwrap();
        }
        let boot = Boot::read(dir.path()).unwrap();
        let said = |name: &str| {
            let faults = boot.faults_of(dir.path(), &name.parse().unwrap());
            faults.iter().map(|fault| (fault.line.unwrap(), fault.message.clone())).collect::<Vec<_>>()
        };
        let circle = |line, text: &str| (line, format!("guests depend on each other in a circle: {text}"));
        let unknown = "there is no guest 'maill', so this one is not started together with others".to_owned();
        assert_eq!(said("web"), [circle(2, "web -> db -> web"), (3, unknown)]);
        assert_eq!(said("mail"), [circle(1, "mail -> mail")]);
        let hint = boot.faults_of(dir.path(), &"web".parse().unwrap())[1].hint.clone();
        assert_eq!(hint.as_deref(), Some("did you mean 'mail'?"));
    }
}
