//! From the policy files to one verdict per call for one mode.

use std::borrow::Cow;
use std::collections::BTreeMap;

use oci_spec::runtime::{LinuxSeccompAction, LinuxSeccompArg};
use serde::Deserialize;
use vserver_sys::process;

use super::{ALL_SPACES, Error, SeccompMode, numbers};

/// The policy: calls as a whole that are allowed, that are refused, that are refused by argument, and that the supervisor
/// answers.
const FILES: [&str; 4] = [
    include_str!("policy/allowed.json"),
    include_str!("policy/refused.json"),
    include_str!("policy/arguments.json"),
    include_str!("policy/asked.json"),
];

/// What a guest's configuration can switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Switch {
    Userns,
    Nesting,
    Netns,
    Packets,
    Firewall,
    Sctp,
    Mounts,
    Remounts,
    /// Of devices or of files.
    Disks,
    Images,
    Utsname,
    Names,
    Limits,
    Sysinfo,
    Quotas,
    Forks,
    Ping,
    HideNetif,
    Syslog,
    Tiocsti,
    IgnegNice,
    IgnegIonice,
    Newns,
    Newuts,
    Newipc,
    Newuser,
    Newpid,
    Newnet,
    Newcgroup,
    Newtime,
    AnySpace,
    AllSpaces,
}

impl Switch {
    fn is_on(self, mode: SeccompMode) -> bool {
        let may_make = |space: u64| mode.allowed_spaces() & space != 0;
        match self {
            Switch::Userns => mode.userns,
            Switch::Nesting => mode.nests(),
            Switch::Netns => mode.netns,
            Switch::Packets => mode.netns && mode.packets,
            Switch::Firewall => mode.userns && mode.netns && mode.firewall,
            Switch::Sctp => mode.netns && mode.sctp,
            Switch::Mounts => mode.may_mount(),
            Switch::Remounts => mode.may_remount(),
            Switch::Disks => mode.userns && (mode.disks || mode.images),
            Switch::Images => mode.userns && mode.images,
            Switch::Utsname => mode.utsname,
            Switch::Names => mode.names,
            Switch::Limits => mode.limits,
            Switch::Sysinfo => mode.sysinfo,
            Switch::Quotas => mode.quotas,
            Switch::Forks => mode.forks,
            Switch::Ping => mode.ping,
            Switch::HideNetif => mode.hide_netif,
            Switch::Syslog => mode.syslog,
            Switch::Tiocsti => mode.tiocsti,
            Switch::IgnegNice => mode.igneg_nice,
            Switch::IgnegIonice => mode.igneg_ionice,
            Switch::Newns => may_make(process::NEWNS),
            Switch::Newuts => may_make(process::NEWUTS),
            Switch::Newipc => may_make(process::NEWIPC),
            Switch::Newuser => may_make(process::NEWUSER),
            Switch::Newpid => may_make(process::NEWPID),
            Switch::Newnet => may_make(process::NEWNET),
            Switch::Newcgroup => may_make(process::NEWCGROUP),
            Switch::Newtime => may_make(process::NEWTIME),
            Switch::AnySpace => may_make(ALL_SPACES),
            Switch::AllSpaces => mode.allowed_spaces() == ALL_SPACES,
        }
    }
}

/// One entry of a policy file: a rule in the form of OCI's `linux.seccomp`, and when it counts. Every start reads all of
/// them, so they are borrowed from the text, and the rule stands beside the rest: to pick it out (`serde(flatten)`) would
/// make a copy of everything first.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry<'a> {
    /// Why. An entry without a reason does not parse.
    #[serde(borrow)]
    comment: Cow<'a, str>,
    /// The entry counts only if all of these are on.
    #[serde(default)]
    when: Vec<Switch>,
    /// Any of these lifts the refusal.
    #[serde(default)]
    unless: Vec<Switch>,
    /// Calls that are refused or allowed.
    names: Vec<&'a str>,
    /// What is done.
    action: LinuxSeccompAction,
    /// The error number of a refusal.
    #[serde(default)]
    errno_ret: Option<u32>,
    /// It is done only if all of these hold.
    #[serde(default)]
    args: Option<Vec<LinuxSeccompArg>>,
}

/// The answer to a call whatever its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Allow,
    Refuse(u32),
}

/// A refusal of a call with certain arguments: all conditions hold.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) number: i64,
    pub(super) errno: u32,
    pub(super) conditions: Vec<LinuxSeccompArg>,
}

/// A call that the supervisor answers, if all conditions hold.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) number: i64,
    pub(super) conditions: Vec<LinuxSeccompArg>,
}

/// The policy of one mode, by call number.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    pub(super) verdicts: BTreeMap<i64, Verdict>,
    pub(super) refusals: Vec<Refusal>,
    pub(super) questions: Vec<Question>,
}

impl Resolved {
    /// Parses the built-in files and picks what counts in `mode`.
    pub(super) fn new(mode: SeccompMode) -> Result<Self, Error> {
        let mut resolved = Self::default();
        for file in FILES {
            let entries: Vec<Entry<'_>> = serde_json::from_str(file).map_err(|source| Error::Parse { source })?;
            for entry in &entries {
                resolved.add(entry, mode)?;
            }
        }
        let refusals = resolved.refusals.iter().map(|refusal| refusal.number);
        let mut exceptions = refusals.chain(resolved.questions.iter().map(|question| question.number));
        match exceptions.find(|number| resolved.verdicts.get(number) != Some(&Verdict::Allow)) {
            Some(number) => fault(format!("call {number} is refused by argument, or asked for, but not allowed")),
            None => Ok(resolved),
        }
    }

    fn add(&mut self, entry: &Entry<'_>, mode: SeccompMode) -> Result<(), Error> {
        if entry.comment.trim().is_empty() {
            return fault(format!("no reason given for {:?}", entry.names));
        }
        let lifted = entry.unless.iter().any(|switch| switch.is_on(mode));
        let counts = entry.when.iter().all(|switch| switch.is_on(mode));
        for name in &entry.names {
            // Names of other architectures are no fault; a test holds the names of x86_64.
            let Some(number) = numbers::number(name) else { continue };
            if entry.action == LinuxSeccompAction::ScmpActNotify {
                let conditions = entry.args.clone().unwrap_or_default();
                self.questions.extend((counts && !lifted).then_some(Question { number, conditions }));
                continue;
            }
            match (&entry.args, verdict(entry)?) {
                (None, _) if !counts => {}
                (None, _) if lifted => self.decide(number, name, Verdict::Allow)?,
                (None, verdict) => self.decide(number, name, verdict)?,
                (Some(_), _) if lifted || !counts => {}
                (Some(args), Verdict::Refuse(errno)) => {
                    self.refusals.push(Refusal { number, errno, conditions: args.clone() });
                }
                (Some(_), Verdict::Allow) => return fault(format!("{name} is allowed by argument")),
            }
        }
        Ok(())
    }

    fn decide(&mut self, number: i64, name: &str, verdict: Verdict) -> Result<(), Error> {
        match self.verdicts.insert(number, verdict) {
            None => Ok(()),
            Some(_) => fault(format!("{name} is decided twice")),
        }
    }
}

fn verdict(entry: &Entry<'_>) -> Result<Verdict, Error> {
    match (entry.action, entry.errno_ret) {
        (LinuxSeccompAction::ScmpActAllow, None) => Ok(Verdict::Allow),
        (LinuxSeccompAction::ScmpActErrno, Some(errno)) => Ok(Verdict::Refuse(errno)),
        (action, errno) => fault(format!("{:?} have the action {action:?} with {errno:?}", entry.names)),
    }
}

fn fault<T>(fault: String) -> Result<T, Error> {
    Err(Error::Policy { fault })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every combination of switches.
    fn modes() -> impl Iterator<Item = SeccompMode> {
        (0..1024).map(|n| SeccompMode {
            userns: n & 1 > 0,
            nesting: n & 2 > 0,
            netns: n & 4 > 0,
            packets: n & 8 > 0,
            firewall: n & 16 > 0,
            sctp: n & 32 > 0,
            mounts: n & 8 > 0,
            remounts: n & 16 > 0,
            disks: n & 32 > 0,
            images: n & 64 > 0,
            utsname: n & 32 > 0,
            names: n & 32 > 0,
            limits: n & 64 > 0,
            sysinfo: n & 16 > 0,
            forks: n & 16 > 0,
            quotas: n & 64 > 0,
            ping: n & 128 > 0,
            hide_netif: n & 64 > 0,
            syslog: n & 32 > 0,
            tiocsti: n & 64 > 0,
            igneg_nice: n & 128 > 0,
            igneg_ionice: n & 128 > 0,
            spaces: [0, process::NEWUSER, process::NEWNS | process::NEWUTS, ALL_SPACES][n >> 8],
        })
    }

    #[test]
    fn every_known_call_is_decided_once_in_every_mode() {
        for mode in modes() {
            let resolved = Resolved::new(mode).unwrap();
            for (name, number) in numbers::all() {
                assert!(resolved.verdicts.contains_key(&number), "{name} is not in the policy ({mode:?})");
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn every_name_of_the_policy_is_a_call() {
        for file in FILES {
            let entries: Vec<Entry<'_>> = serde_json::from_str(file).unwrap();
            for name in entries.iter().flat_map(|entry| &entry.names) {
                assert!(numbers::number(name).is_some(), "{name}");
            }
        }
    }

    #[test]
    fn a_misspelt_switch_does_not_parse() {
        let text = r#"{"comment": "c", "unless": ["nestling"], "names": ["read"], "action": "SCMP_ACT_ALLOW"}"#;
        assert!(serde_json::from_str::<Entry<'_>>(text).is_err());
        assert!(serde_json::from_str::<Entry<'_>>(&text.replace("nestling", "nesting")).is_ok());
        assert!(serde_json::from_str::<Entry<'_>>(&text.replace("comment", "remark")).is_err());
    }

    #[test]
    fn nesting_needs_a_user_namespace() {
        let (plain, nesting) = (SeccompMode::default(), SeccompMode { nesting: true, ..SeccompMode::default() });
        assert_eq!(Resolved::new(plain).unwrap().verdicts, Resolved::new(nesting).unwrap().verdicts);
        assert_eq!(nesting.unenforced().len(), 1);
        assert!(plain.unenforced().is_empty());
    }
}
