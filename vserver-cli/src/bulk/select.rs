//! Which guests are meant.

use std::collections::BTreeSet;

use glob::Pattern;
use vserver_config::{Boot, BootFacts};
use vserver_types::{Exit, GuestName};

use crate::error::CliError;

/// Names, or filters, or both.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Names and patterns: each selects by itself, filters or not.
    pub names: Vec<String>,
    /// `--all`: the filters choose among all guests, even if there is no filter.
    pub all: bool,
    /// A line of `apps/init/mark`.
    pub mark: Option<String>,
    /// Lists `a,b` of marks with `!` or `~` for "not": each must pass.
    pub mark_lists: Vec<String>,
    /// With (`true`) or without any mark.
    pub marked: Option<bool>,
    /// Running (`true`) or not.
    pub running: Option<bool>,
    /// Leave out disabled guests unless named.
    pub enabled_only: bool,
}

/// Whether a word means guests by a pattern.
pub fn is_pattern(word: &str) -> bool {
    word.contains(['*', '?', '['])
}

impl Selection {
    /// The guests that are meant, and the words that mean none.
    pub fn pick(
        &self,
        boot: &Boot,
        runs: impl Fn(&GuestName) -> bool,
    ) -> Result<(BTreeSet<GuestName>, Vec<String>), CliError> {
        let mut picked = BTreeSet::new();
        let mut nobody = Vec::new();
        for word in &self.names {
            let pattern = pattern(word)?;
            let plain = !is_pattern(word);
            let found = boot.guests.iter().filter(|(name, _)| pattern.matches(name.as_str()));
            let found: Vec<_> = found.filter(|(_, facts)| plain || self.lets(facts)).map(|(name, _)| name).collect();
            if found.is_empty() {
                nobody.push(word.clone());
            }
            picked.extend(found.into_iter().cloned());
        }
        let filtered =
            self.mark.is_some() || !self.mark_lists.is_empty() || self.marked.is_some() || self.running.is_some();
        if self.all || filtered {
            let passes = |name: &GuestName, facts: &BootFacts| {
                self.lets(facts)
                    && self.mark.as_ref().is_none_or(|mark| facts.marks.contains(mark))
                    && self.mark_lists.iter().all(|list| marked(list, &facts.marks))
                    && self.marked.is_none_or(|wanted| wanted != facts.marks.is_empty())
                    && self.running.is_none_or(|wanted| wanted == runs(name))
            };
            picked
                .extend(boot.guests.iter().filter(|(name, facts)| passes(name, facts)).map(|(name, _)| name.clone()));
        }
        Ok((picked, nobody))
    }

    /// Guests that would be meant if their trees were there.
    pub fn without_tree(&self, boot: &Boot, runs: impl Fn(&GuestName) -> bool) -> Result<Vec<GuestName>, CliError> {
        let (mut all, _) = Self { enabled_only: false, ..self.clone() }.pick(boot, runs)?;
        all.retain(|name| self.enabled_only && boot.guests.get(name).is_some_and(|facts| facts.dangling));
        Ok(all.into_iter().collect())
    }

    fn lets(&self, facts: &BootFacts) -> bool {
        facts.enabled || !self.enabled_only
    }
}

/// Any item of `a,b`; one `!` or `~` before an item turns the whole test round. Source: util-vserver, `commands.md` §9.
fn marked(list: &str, marks: &[String]) -> bool {
    let items = list.split(',').map(|item| item.trim_start_matches(['!', '~']));
    let any = items.into_iter().any(|item| marks.iter().any(|mark| mark == item));
    let negated = list.split(',').map(|item| item.len() - item.trim_start_matches(['!', '~']).len()).sum::<usize>();
    any != (negated % 2 == 1)
}

fn pattern(word: &str) -> Result<Pattern, CliError> {
    Pattern::new(word).map_err(|fault| {
        CliError::usage("vserver", &format!("'{word}' is not a pattern of guest names: {}", fault.msg), Exit::Usage)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot() -> Boot {
        let guest = |name: &str, marks: &[&str], enabled| {
            let marks = marks.iter().map(ToString::to_string).collect();
            (name.parse().unwrap(), BootFacts { marks, depends: Vec::new(), enabled, dangling: false })
        };
        let guests = [
            guest("db", &["default", "early"], true),
            guest("old", &["default"], false),
            guest("web1", &["default"], true),
            guest("web2", &[], true),
        ];
        Boot { guests: guests.into(), findings: Vec::new() }
    }

    fn picked(selection: &Selection) -> (String, String) {
        let (names, nobody) = selection.pick(&boot(), |name| name.as_str() == "web1").unwrap();
        (names.iter().map(GuestName::as_str).collect::<Vec<_>>().join(" "), nobody.join(" "))
    }

    /// compat/commands.md §10: names plus the intersection of the filters.
    #[test]
    fn names_and_filters() {
        let base = Selection { enabled_only: true, ..Selection::default() };
        let is = |selection: Selection, names: &str| assert_eq!(picked(&selection).0, names, "{selection:?}");
        is(base.clone(), "");
        is(Selection { all: true, ..base.clone() }, "db web1 web2");
        is(Selection { all: true, enabled_only: false, ..base.clone() }, "db old web1 web2");
        is(Selection { mark: Some("default".into()), ..base.clone() }, "db web1");
        is(Selection { mark: Some("def.*".into()), ..base.clone() }, "");
        is(Selection { marked: Some(false), ..base.clone() }, "web2");
        is(Selection { marked: Some(true), running: Some(false), ..base.clone() }, "db");
        is(Selection { names: vec!["web2".into()], mark: Some("early".into()), ..base.clone() }, "db web2");
        is(Selection { names: vec!["old".into()], ..base.clone() }, "old");
        is(Selection { names: vec!["[dow]*".into()], ..base.clone() }, "db web1 web2");
    }

    #[test]
    fn words_that_mean_nobody_are_told() {
        let base = Selection::default();
        let selection = Selection { names: vec!["web?".into(), "nobody".into(), "x*".into()], ..base.clone() };
        assert_eq!(picked(&selection), ("web1 web2".into(), "nobody x*".into()));
        assert!(Selection { names: vec!["[".into()], ..base }.pick(&boot(), |_| false).is_err());
    }

    /// compat/commands.md §9: any of the list; one negation turns the whole test round.
    #[test]
    fn marks_and_their_negation() {
        let marks = ["default".to_owned(), "early".to_owned()];
        for (list, expected) in [
            ("default", true),
            ("late,early", true),
            ("late", false),
            ("!late", true),
            ("~default", false),
            ("late,!default", false),
            ("!!default", true),
            ("", false),
        ] {
            assert_eq!(marked(list, &marks), expected, "{list}");
        }
        assert!(marked("!default", &[]) && !marked("default", &[]));
    }
}
