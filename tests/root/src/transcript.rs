//! Command lines with what they print, compared to the byte. The files in `transcripts/` are also to be read by people:
//!
//! ```text
//! # a comment, with the fact that is held
//! % set rlimits/nproc 200          the guest's configuration, before `% start`; also `% stop`
//! % place xfs                      its tree on an xfs without quotas at {place}, or a btrfs with them
//! $ vserver {name} status          a command
//! Vserver '{name}' is running at context '{xid}'
//! ! a line on standard error
//! !<6.12 a line on standard error that only kernels before 6.12 have
//! ? 3                              exit status, if it is not 0
//! ```
//!
//! Known of the guest, and filled in: `{name}`, `{xid}`, `{cfg}`, `{root}`, `{init}`, `{place}`; `{xid:<6}` and `{xid:>5}` are padded.
//! Of the kernel: `{release}`, `{version}`, `{machine}`, as uname(1) has them.
//! Figures that differ from run to run: `{size:7}` and `{time:10}` are so many characters, right-aligned, of the digits
//! and letters that such a figure may have; `{number}` is digits, `{number:10}` so many, `{word}` has no blank,
//! `{word:20}` is filled up with them; `{blanks}` is any number of blanks. A line `{…}`
//! is any number of lines.

use crate::cases::disk;
use crate::fixture::{Fixture, Guest, Ran};

/// Plays one transcript with one guest. Panics at the first difference, with both texts.
pub fn play(text: &str) {
    let host = Fixture::new();
    let guest = host.guest();
    let place = host.scratch("place");
    let fill = |line: &str| fill(&line.replace("{place}", place.to_str().unwrap()), &guest);
    let mut mounted = None;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(kind) = line.strip_prefix("% place ") {
            mounted = Some(disk::placed(&host, &guest, kind, &place));
        } else if let Some(step) = line.strip_prefix("% ") {
            act(&fill(step), &guest);
        } else if let Some(command) = line.strip_prefix("$ ") {
            let is_next = |line: &&str| line.starts_with("$ ") || line.starts_with("% ") || line.starts_with('#');
            let mut expected = Vec::new();
            while let Some(line) = lines.next_if(|line| !is_next(line)) {
                expected.extend(of_this_kernel(line).map(|line| fill(&line)));
            }
            compare(command, &expected, &run(&fill(command), &host));
        }
    }
    // Before the guests are looked after: what is stopped holds nothing.
    drop(mounted);
}

fn act(step: &str, guest: &Guest<'_>) {
    match step.splitn(3, ' ').collect::<Vec<_>>()[..] {
        ["start"] => drop(guest.start()),
        ["stop"] => drop(guest.stop()),
        ["set", file, content] => drop(guest.set(file, &format!("{content}\n"))),
        _ => panic!("no such step: {step}"),
    }
}

/// Programs of ours that stand behind others in a chain, which find them by PATH.
const CHAINED: [&str; 3] = ["vlimit", "vsched", "vsysctl"];

/// Words are split at blanks; quotes mean nothing.
fn run(command: &str, host: &Fixture) -> Ran {
    let words: Vec<&str> = command.split_whitespace().collect();
    let mut process = host.command(words[0]);
    if let Some(name) = words[1..].iter().find(|word| CHAINED.contains(word)) {
        let chained = host.command(name).get_program().to_owned();
        let dir = std::path::Path::new(&chained).parent().expect("a link in a directory").to_owned();
        process.env("PATH", format!("{}:{}", dir.display(), std::env::var("PATH").unwrap_or_default()));
    }
    Ran::from(process.args(&words[1..]).output().expect("it can be run"))
}

fn compare(command: &str, expected: &[String], ran: &Ran) {
    let (mut out, mut err, mut code) = (Vec::new(), Vec::new(), 0);
    for line in expected {
        match (line.strip_prefix("! "), line.strip_prefix("? ")) {
            (Some(text), _) => err.push(text),
            (_, Some(number)) => code = number.trim().parse().expect("an exit status"),
            _ => out.push(line.as_str()),
        }
    }
    // A line that only separates two commands in the file.
    while out.last().is_some_and(|line| line.is_empty()) && !ran.out.ends_with("\n\n") {
        out.pop();
    }
    let said = |what: &str, text: &str| -> Vec<String> {
        assert!(text.is_empty() || text.ends_with('\n'), "$ {command}: the last line of {what} has no end: {text}");
        text.lines().map(str::to_owned).collect()
    };
    for (what, expected, found) in
        [("output", out, said("output", &ran.out)), ("errors", err, said("errors", &ran.err))]
    {
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        let both = format!("$ {command}\nexpected:\n{}\nfound:\n{}", expected.join("\n"), found.join("\n"));
        assert!(all_match(&expected, &found), "{what} of {both}");
    }
    assert_eq!(ran.code, code, "exit status of $ {command}");
}

fn all_match(expected: &[&str], found: &[&str]) -> bool {
    match (expected, found) {
        ([], []) => true,
        (["{…}", rest @ ..], _) => (0..=found.len()).any(|skip| all_match(rest, &found[skip..])),
        ([pattern, rest @ ..], [line, others @ ..]) => line_matches(pattern, line) && all_match(rest, others),
        _ => false,
    }
}

/// Puts in what is known of the guest.
fn fill(line: &str, guest: &Guest<'_>) -> String {
    let mut known = vec![
        ("name", guest.name.clone()),
        ("xid", guest.xid.to_string()),
        ("cfg", guest.cfg.display().to_string()),
        ("root", guest.root.display().to_string()),
        ("release", of_kernel("osrelease")),
        ("version", of_kernel("version")),
        ("machine", std::env::consts::ARCH.to_owned()),
    ];
    if line.contains("{init") {
        known.push(("init", guest.init().to_string()));
    }
    let mut line = line.to_owned();
    for (name, value) in known {
        line = line.replace(&format!("{{{name}}}"), &value);
        for width in 1..40 {
            line = line.replace(&format!("{{{name}:<{width}}}"), &format!("{value:<width$}"));
            line = line.replace(&format!("{{{name}:>{width}}}"), &format!("{value:>width$}"));
        }
    }
    line
}

/// A line that only kernels before some version have becomes one of standard error, or nothing.
fn of_this_kernel(line: &str) -> Option<String> {
    let Some((before, text)) = line.strip_prefix("!<").and_then(|rest| rest.split_once(' ')) else {
        return Some(line.to_owned());
    };
    let numbers = |text: &str| -> Vec<u32> {
        text.split(|letter: char| !letter.is_ascii_digit()).take(2).map_while(|part| part.parse().ok()).collect()
    };
    (numbers(&of_kernel("osrelease")) < numbers(before)).then(|| format!("! {text}"))
}

/// What the kernel says of itself (proc_sys_kernel(5)); the version is any number of words.
fn of_kernel(field: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/sys/kernel/{field}")).expect("every Linux has it");
    text.trim_end().to_owned()
}

fn line_matches(pattern: &str, line: &str) -> bool {
    let Some((before, rest)) = pattern.split_once('{') else {
        return pattern == line;
    };
    let Some((figure, after)) = rest.split_once('}') else {
        return pattern == line;
    };
    let Some(line) = line.strip_prefix(before) else {
        return false;
    };
    let (kind, width) =
        figure.split_once(':').map_or((figure, None), |(kind, width)| (kind, width.parse::<usize>().ok()));
    let may_be = |text: &str| {
        let text = match width {
            Some(_) if kind == "word" => text.trim_end_matches(' '),
            Some(_) => text.trim_start_matches(' '),
            None => text,
        };
        let letters = match kind {
            "size" => "0123456789.KMGT+ ",
            "time" => "0123456789ydhms",
            "number" => "0123456789",
            "blanks" => return text.trim_matches(' ').is_empty(),
            "word" => return !text.is_empty() && !text.contains(' '),
            _ => panic!("no such figure: {figure}"),
        };
        !text.is_empty() && text.chars().all(|letter| letters.contains(letter))
    };
    let ends = match width {
        Some(width) => width..=width,
        None => 0..=line.len(),
    };
    ends.into_iter().any(|end| {
        line.get(..end).is_some_and(may_be) && line.get(end..).is_some_and(|line| line_matches(after, line))
    })
}
