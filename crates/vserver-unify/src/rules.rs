//! Which files of a guest may be shared: the exclude list, and the configuration files of its packages. Source:
//! util-vserver, `behaviours.md` §9.1 and R10 of `config-tree.md`.

use std::collections::HashSet;

use crate::pattern::matches;

/// What the list that comes with us says.
pub const SHIPPED: &[u8] = include_bytes!("../data/exclude");

/// What may be done with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It may be shared; a directory is entered.
    Share,
    /// It stays the guest's own; a directory is not entered.
    Keep,
    /// Not even copied.
    Leave,
}

/// The rules of one guest.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    configuration: HashSet<Vec<u8>>,
    patterns: Vec<(Verdict, Vec<u8>)>,
}

impl Rules {
    /// An exclude list. As in the original a line of one character, and a last line without its end, count for nothing.
    pub fn parse(text: &[u8]) -> Self {
        let complete = text.iter().rposition(|byte| *byte == b'\n').map_or(&text[..0], |end| &text[..end]);
        Self { patterns: complete.split(|byte| *byte == b'\n').filter_map(line).collect(), ..Self::default() }
    }

    /// Adds configuration files of packages, absolute in the guest: they stay the guest's own.
    #[must_use]
    pub fn with_configuration(mut self, files: impl IntoIterator<Item = Vec<u8>>) -> Self {
        self.configuration.extend(files);
        self
    }

    /// What becomes of an absolute path in the guest. The first rule that matches decides; what none names is shared.
    pub fn judge(&self, path: &[u8]) -> Verdict {
        if self.configuration.contains(path) {
            return Verdict::Keep;
        }
        let found = self.patterns.iter().find(|(_, pattern)| matches(pattern, path));
        found.map_or(Verdict::Share, |(verdict, _)| *verdict)
    }
}

fn line(line: &[u8]) -> Option<(Verdict, Vec<u8>)> {
    let line = line.trim_ascii_end();
    match line {
        [] | [_] | [b'#', ..] => None,
        [b'+', pattern @ ..] => Some((Verdict::Share, pattern.to_vec())),
        [b'-', pattern @ ..] => Some((Verdict::Keep, pattern.to_vec())),
        [b'~', pattern @ ..] => Some((Verdict::Leave, pattern.to_vec())),
        pattern => Some((Verdict::Keep, pattern.to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_match_decides_and_a_torn_last_line_counts_for_nothing() {
        let rules = Rules::parse(b"# no\n+/etc/termcap  \n~/etc/shadow\n-/etc/*\n/var\nx\n/usr");
        let said = |path: &str| rules.judge(path.as_bytes());
        assert_eq!(said("/etc/termcap"), Verdict::Share);
        assert_eq!(said("/etc/shadow"), Verdict::Leave);
        assert_eq!(said("/etc/a/b"), Verdict::Keep);
        assert_eq!(said("/var"), Verdict::Keep);
        assert_eq!(said("/var/lib"), Verdict::Share);
        assert_eq!(said("/usr"), Verdict::Share);
        assert_eq!(said("x"), Verdict::Share);
    }

    #[test]
    fn the_shipped_list_keeps_what_makes_a_guest_itself() {
        let rules = Rules::parse(SHIPPED).with_configuration([b"/usr/lib/x.conf".to_vec()]);
        for own in ["/etc/hostname", "/etc/gconf/x", "/var", "/home", "/root/.bashrc", "/usr/lib/x.conf", "/tmp"] {
            assert_eq!(rules.judge(own.as_bytes()), Verdict::Keep, "{own}");
        }
        for left in ["/etc/shadow", "/root/.ssh/id_rsa", "/tmp/x"] {
            assert_eq!(rules.judge(left.as_bytes()), Verdict::Leave, "{left}");
        }
        for shared in ["/usr/bin/perl", "/etc/gconf/schemas", "/root", "/etc"] {
            assert_eq!(rules.judge(shared.as_bytes()), Verdict::Share, "{shared}");
        }
    }
}
