//! `vlimit`. Its resources are an open list, each with a value and with `-M -S -H` counting for the next one only, so
//! they are taken out of the command line before the rest is parsed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;
use vserver_types::{Resource, Rlimit};

use super::Common;

/// Shows and sets the limits of a running context
#[derive(Parser, Debug)]
#[command(
    name = "vlimit",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- shows and sets the limits of a running context"),
    override_usage = "vlimit --xid XID -a [-n] [-d] [--json]\n       \
                      vlimit [--xid XID] [[-M] [-S] [-H] --RESOURCE VALUE]… [--dir DIR] [[--] COMMAND [ARGUMENTS]]",
    after_help = "RESOURCE: cpu fsize data stack core rss nproc nofile memlock as locks msgqueue nsock openfd anon shmem\n\
                  semary nsems dentry, or its number. -M, -S, -H: the minimum, soft, hard limit of the next one (hard if\n\
                  none is given). VALUE: a number with k, K, m or M, or inf; rss, as, memlock, anon and shmem count pages.\n\
                  rss, nproc, nsock (internet sockets), shmem, semary and nsems bound the guest as a whole, the others each of\n\
                  its processes. It holds until the guest stops. A context without a guest has only limits of each process.\n\
                  Example: vlimit --xid web1 --rss 131072 --nproc 200"
)]
pub struct VlimitArgs {
    #[command(flatten)]
    pub common: Common,
    /// Number or name of a running context; without it the caller's own
    #[arg(short = 'c', long, value_name = "XID")]
    pub xid: Option<String>,
    /// Numbers instead of names of resources
    #[arg(short = 'n')]
    pub numbers: bool,
    /// Decimal values
    #[arg(short = 'd')]
    pub decimal: bool,
    /// Show all limits
    #[arg(short, long)]
    pub all: bool,
    /// With -a: as JSON, an array of objects
    #[arg(long, requires = "all")]
    pub json: bool,
    /// Set what the files of this directory say, as of the directory rlimits, unless it is given here
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// It is no fault if that directory is missing
    #[arg(long)]
    pub missingok: bool,
    /// Command to run afterwards
    #[arg(trailing_var_arg = true, hide = true)]
    pub command: Vec<OsString>,
}

/// One limit to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Of what.
    pub resource: Resource,
    /// `-M`
    pub min: bool,
    /// `-S`
    pub soft: bool,
    /// `-H`, or none of them.
    pub hard: bool,
    /// How much.
    pub value: Rlimit,
}

impl VlimitArgs {
    /// Takes the resources out of `words`; what is left is for the parser. The error is a sentence.
    pub fn split(words: &[OsString]) -> Result<(Vec<OsString>, Vec<Asked>), String> {
        let (mut rest, mut asked, mut kinds) = (Vec::new(), Vec::new(), Kinds::default());
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let text = word.to_str().unwrap_or_default();
            if kinds.take(text) {
                continue;
            }
            if let Some((resource, value)) = resource_option(text) {
                let next = || words.next().and_then(|word| word.to_str()).map(str::to_owned);
                let value = value.or_else(next).ok_or_else(|| format!("--{resource} needs a value"))?;
                asked.push(std::mem::take(&mut kinds).asked(resource, limit(resource, &value)?));
                continue;
            }
            rest.push(word.clone());
            if matches!(text, "-c" | "--xid" | "--confdir" | "--dir") {
                rest.extend(words.next().cloned());
            } else if !text.starts_with('-') || text == "--" {
                rest.extend(words.by_ref().cloned());
            }
        }
        Ok((rest, asked))
    }
}

#[derive(Default)]
struct Kinds {
    min: bool,
    soft: bool,
    hard: bool,
}

impl Kinds {
    /// Whether `text` is `-M`, `-S`, `-H` or several of them in one word.
    fn take(&mut self, text: &str) -> bool {
        let letters = text.strip_prefix('-').unwrap_or_default();
        if letters.is_empty() || !letters.chars().all(|c| "MSH".contains(c)) {
            return false;
        }
        self.min |= letters.contains('M');
        self.soft |= letters.contains('S');
        self.hard |= letters.contains('H');
        true
    }

    fn asked(self, resource: Resource, value: Rlimit) -> Asked {
        let hard = self.hard || !(self.min || self.soft);
        Asked { resource, min: self.min, soft: self.soft, hard, value }
    }
}

/// The resource that `--name`, `--number` or either with `=value` means.
fn resource_option(text: &str) -> Option<(Resource, Option<String>)> {
    let option = text.strip_prefix("--")?;
    let (name, value) = match option.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (option, None),
    };
    let by_number = |number: u8| Resource::ALL.into_iter().find(|r| r.number() == number);
    let resource = Resource::from_name(name).or_else(|| name.parse().ok().and_then(by_number))?;
    Some((resource, value))
}

/// As a file of `rlimits/` has it. To keep what there is nobody needs a word.
fn limit(resource: Resource, text: &str) -> Result<Rlimit, String> {
    let parsed = vserver_config::parse_limit(text).ok().flatten();
    parsed.ok_or_else(|| format!("'{text}' is not a limit for {resource}: a number with k, K, m or M, or inf"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(words: &[&str]) -> Result<(Vec<OsString>, Vec<Asked>), String> {
        VlimitArgs::split(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn kinds_count_for_the_next_resource_only() {
        let (rest, asked) = split(&["--xid", "web1", "-S", "--rss", "10K", "-MSH", "--6", "7", "--as=inf"]).unwrap();
        assert_eq!(rest, ["--xid", "web1"]);
        let made = |resource, min, soft, hard, value| Asked { resource, min, soft, hard, value };
        let expected = [
            made(Resource::Rss, false, true, false, Rlimit::Value(10_240)),
            made(Resource::Nproc, true, true, true, Rlimit::Value(7)),
            made(Resource::As, false, false, true, Rlimit::Infinity),
        ];
        assert_eq!(asked, expected);
    }

    #[test]
    fn the_command_is_left_alone() {
        let (rest, asked) = split(&["-c", "5", "--nproc", "9", "prog", "--rss", "4"]).unwrap();
        assert_eq!((rest.len(), asked.len()), (5, 1));
        let (rest, asked) = split(&["--xid", "5", "--", "--rss", "-S"]).unwrap();
        assert_eq!((rest.len(), asked.len()), (5, 0));
    }

    #[test]
    fn values_in_c_notation() {
        let value = |text| limit(Resource::Rss, text).ok();
        assert_eq!(value("0x10"), Some(Rlimit::Value(16)));
        assert_eq!(value("010"), Some(Rlimit::Value(8)));
        assert_eq!(value("0"), Some(Rlimit::Value(0)));
        assert_eq!(value("2m"), Some(Rlimit::Value(2_000_000)));
        assert_eq!(value("infinity"), Some(Rlimit::Infinity));
        // All ones of 64 bits, as in a file; one less would keep what there is. Source: `flags.md` §7.
        assert_eq!(value("-1"), Some(Rlimit::Infinity));
        for bad in ["", "K", "1G", "-2", "-3", "1 ", "0x", "99999999999999999999", "18446744073709551615K"] {
            assert_eq!(value(bad), None, "{bad}");
        }
        assert_eq!(split(&["--rss"]).unwrap_err(), "--rss needs a value");
    }
}
