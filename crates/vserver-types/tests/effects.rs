//! The table of flags is complete, its tests exist, and `docs/flags.md` is made from it (`UPDATE_DOCS=1` writes it).
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};

use vserver_types::{FlagKind, Verdict};

const KINDS: [(FlagKind, &str, &str); 5] = [
    (FlagKind::Ccap, "ccapabilities", "Context capabilities"),
    (FlagKind::Cflag, "cflags", "Context flags"),
    (FlagKind::Ncap, "ncapabilities", "Network capabilities"),
    (FlagKind::Nflag, "nflags", "Network flags"),
    (FlagKind::Space, "umask", "Namespaces that a guest may make"),
];

const HEAD: &str = "# What becomes of flags and capabilities

Made from the table in `crates/vserver-types/src/flag_effects.rs`. A root test is run by `cargo xtask test NAME`. What
cannot be honoured is said when a guest starts with it, and refused with `--strict`.

`bcapabilities` are the kernel's own capability bounding set: `each::bcapability_and_its_lack`, `each::bcapability_has_its_bit`,
`flags::bcapabilities_are_a_list_of_changes`. In a user namespace those that govern the host have no effect, and SYS_MODULE and
SYS_RAWIO are never given.
`personality` is personality(2): `flags::personality`. The ncapability `^12` (multicast), which has no name, is honoured:
`flags_net::multicast`.
";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The first name of each single bit has an entry, and nothing else has.
#[test]
fn every_flag_has_an_entry() {
    for (kind, file, _) in KINDS {
        let mut seen = 0;
        let mut expected = Vec::new();
        for (name, bits) in kind.names() {
            if bits.count_ones() == 1 && seen & bits == 0 {
                expected.push(*name);
                seen |= bits;
            }
        }
        let entries: Vec<&str> = kind.effects().iter().map(|effect| effect.name).collect();
        assert_eq!(entries, expected, "{file}");
        assert!(kind.effects().iter().all(|effect| !effect.how.is_empty()));
    }
}

/// All root tests, as text.
fn tests(dir: &Path) -> String {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { tests(&path) } else { fs::read_to_string(path).unwrap() }).collect()
}

/// What is seen from the host alone, with the reason.
const OUTSIDE: [&str; 2] = [
    // A weight shows only against other guests, on a machine that is busy for as long as it is measured.
    "flags::sched_prio_is_a_weight",
    // A context without a guest has no inside of its own.
    "prefix::persistent_context_without_a_guest",
];

/// How a test looks from inside: a command there, a check of the probe there, or a process that is busy, serves or types there.
const LOOKS: [&str; 8] = [".sh(", ".exec(", "answer(", "answers(", "ask(", "busy(", "serve(", "session("];

#[test]
fn what_holds_has_a_test_that_looks_from_inside() {
    let text = tests(&repository().join("tests/root/src"));
    for (kind, file, _) in KINDS {
        for effect in kind.effects() {
            let (name, test) = (effect.name, effect.test);
            assert_eq!(test.is_empty(), effect.verdict == Verdict::Cannot, "{file} {name}: a test for what holds");
            if test.is_empty() {
                continue;
            }
            let looks = looks(&text, test).unwrap_or_else(|| panic!("{file} {name}: no test {test}"));
            assert_eq!(looks, !OUTSIDE.contains(&test), "{file} {name}: {test} looks from inside");
        }
    }
}

/// Whether the test of this name does. A row of the threat model is a list of the probe's checks, made in a guest of each mode.
fn looks(text: &str, test: &str) -> Option<bool> {
    let (_, rest) = text.split_once(&format!("\"{test}\""))?;
    if rest.starts_with(": [(") {
        return Some(true);
    }
    let function = rest.trim_start_matches([',', ' ', '\n']).split([')', ',', ' ', '\n']).next()?;
    let (_, rest) = text.split_once(&format!("\nfn {function}() {{\n"))?;
    let (body, _) = rest.split_once("\n}\n")?;
    Some(LOOKS.iter().any(|look| body.contains(look)))
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for (kind, file, title) in KINDS {
        page.push_str(&format!(
            "\n## {title}: `{file}`\n\n| name | verdict | how, or why not | test |\n|---|---|---|---|\n"
        ));
        for effect in kind.effects() {
            let verdict = effect.verdict;
            let test = if effect.test.is_empty() { String::new() } else { format!("`{}`", effect.test) };
            page.push_str(&format!("| `{}` | {verdict} | {} | {test} |\n", effect.name, effect.how));
        }
    }
    page
}

#[test]
fn the_page_is_made_from_the_table() {
    let path = repository().join("docs/flags.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, page()).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, page(), "run it with UPDATE_DOCS=1 and look at the difference");
}
