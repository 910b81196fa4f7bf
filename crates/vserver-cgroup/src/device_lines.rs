//! Device rules as text, in the format of the v1 controller: `c 1:3 rwm`. See
//! `Documentation/admin-guide/cgroup-v1/devices.rst`.

use std::fmt;

use vserver_types::Unenforced;

use crate::devices::{Access, DeviceKind, DevicePolicy, DeviceRule};

impl DevicePolicy {
    /// With the lines of `devices.deny` and `devices.allow` among `raw`, in the format of the v1 controller. What is
    /// denied is taken out before what is allowed is put in, whichever file comes first: the original copied `allow`
    /// first, so that the usual `deny a` took everything away again. Answers what could not be expressed.
    #[must_use]
    pub fn with_raw(mut self, raw: &[(String, String)]) -> (Self, Vec<Unenforced>) {
        let mut report = Vec::new();
        for (allow, file) in [(false, "devices.deny"), (true, "devices.allow")] {
            let lines = raw.iter().filter(|(name, _)| name == file).flat_map(|(_, value)| value.lines());
            for line in lines.map(str::trim).filter(|line| !line.is_empty()) {
                let fault = match parse(line) {
                    None => Some("is not a device rule"),
                    Some(rules) if allow => {
                        self.allow.extend(rules);
                        None
                    }
                    Some(rules) => self.deny(&rules).err(),
                };
                if let Some(fault) = fault {
                    report.push(Unenforced::none(format!("cgroup/{file}"), format!("'{line}' {fault}")));
                }
            }
        }
        (self, report)
    }

    fn deny(&mut self, rules: &[DeviceRule]) -> Result<(), &'static str> {
        for denied in rules {
            for rule in self.allow.iter_mut().filter(|rule| denied.covers(rule)) {
                rule.access = Access(rule.access.0 & !denied.access.0);
            }
            let cut = |rule: &DeviceRule| denied.meets(rule) && !denied.covers(rule);
            if self.allow.iter().any(|rule| cut(rule) && rule.access.0 & denied.access.0 != 0) {
                return Err("is a part of what a wider rule allows");
            }
        }
        self.allow.retain(|rule| rule.access.0 != 0);
        Ok(())
    }
}

impl DeviceRule {
    /// Whether whatever `other` allows is allowed by this rule, too.
    fn covers(&self, other: &Self) -> bool {
        let all = |mine: Option<u32>, other: Option<u32>| mine.is_none() || mine == other;
        self.kind == other.kind && all(self.major, other.major) && all(self.minor, other.minor)
    }

    fn meets(&self, other: &Self) -> bool {
        let both = |mine: Option<u32>, other: Option<u32>| mine.zip(other).is_none_or(|(mine, other)| mine == other);
        self.kind == other.kind && both(self.major, other.major) && both(self.minor, other.minor)
    }
}

impl fmt::Display for DeviceRule {
    /// As `devices.allow` of v1 has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |n: Option<u32>| n.map_or_else(|| "*".to_owned(), |n| n.to_string());
        let kind = if self.kind == DeviceKind::Char { 'c' } else { 'b' };
        write!(f, "{kind} {}:{} ", number(self.major), number(self.minor))?;
        let letters = [(Access::READ, "r"), (Access::WRITE, "w"), (Access::MAKE, "m")];
        letters
            .iter()
            .filter(|(access, _)| self.access.contains(*access))
            .try_for_each(|(_, letter)| f.write_str(letter))
    }
}

/// `c 1:3 rwm`, `b 8:* r`, `a`: a rule for each kind.
fn parse(line: &str) -> Option<Vec<DeviceRule>> {
    let mut words = line.split_whitespace();
    let kinds: &[DeviceKind] = match words.next()? {
        "c" => &[DeviceKind::Char],
        "b" => &[DeviceKind::Block],
        // The kernel ignores what follows.
        "a" => {
            return Some(both_kinds(&[DeviceKind::Char, DeviceKind::Block], None, None, Access::ALL));
        }
        _ => return None,
    };
    let (major, minor) = words.next()?.split_once(':')?;
    let number = |text: &str| {
        if text == "*" { Some(None) } else { text.parse().ok().map(Some) }
    };
    let letters = words.next()?;
    let mut access = Access(0);
    for letter in letters.chars() {
        access = access
            | match letter {
                'r' => Access::READ,
                'w' => Access::WRITE,
                'm' => Access::MAKE,
                _ => return None,
            };
    }
    Some(both_kinds(kinds, number(major)?, number(minor)?, access))
}

fn both_kinds(kinds: &[DeviceKind], major: Option<u32>, minor: Option<u32>, access: Access) -> Vec<DeviceRule> {
    let reason = "devices.allow of the guest's configuration";
    kinds.iter().map(|&kind| DeviceRule { kind, major, minor, access, reason }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(file: &str, value: &str) -> (String, String) {
        (file.to_owned(), value.to_owned())
    }

    #[test]
    fn rules_print_and_parse() {
        for line in ["c 1:3 rwm", "b 8:* r", "c *:* m"] {
            assert_eq!(parse(line).unwrap()[0].to_string(), line);
        }
        assert_eq!(parse("a *:* rwm").unwrap().len(), 2);
        for bad in ["", "d 1:3 r", "c 1 r", "c 1:3", "c x:1 r", "c 1:3 rx"] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn deny_all_then_allow_leaves_what_is_allowed() {
        let (policy, report) = DevicePolicy::default()
            .with_raw(&[raw("devices.allow", "c 1:3 rw\nb 7:0 rwm\n"), raw("devices.deny", "a *:* rwm")]);
        assert!(report.is_empty());
        let lines: Vec<_> = policy.allow.iter().map(DeviceRule::to_string).collect();
        assert_eq!(lines, ["c 1:3 rw", "b 7:0 rwm"]);
    }

    #[test]
    fn denying_a_part_of_a_rule_is_said() {
        let (_, report) = DevicePolicy::default().with_raw(&[raw("devices.deny", "c 136:3 r\nc 1:8 w\nzz")]);
        assert_eq!(report.len(), 2);
    }
}
