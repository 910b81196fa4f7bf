//! `vdlimit`. Source of the format: util-vserver, `commands.md` §7.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::sys::statvfs::Statvfs;
use vserver_disk::{Account, Limits, Reading};
use vserver_types::{Exit, GuestName};

use crate::args::VdlimitArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::resolve;

/// Sets, removes or shows; the first failure ends it.
pub fn run(args: &VdlimitArgs, context: &Context) -> Result<Exit, CliError> {
    let usage = |fault: &str| CliError::usage("vdlimit", fault, Exit::Failure);
    let word = args.xid.as_deref().ok_or_else(|| usage("--xid is needed: whose limit it is"))?;
    if args.directories.is_empty() {
        return Err(usage("a directory of a file system is needed"));
    }
    if args.remove && !args.set.is_empty() {
        return Err(usage("--set and --remove exclude each other"));
    }
    let wishes = Wishes::read(&args.set).map_err(|fault| usage(&fault))?;
    let number = resolve::xid_word(context, word)?;
    for directory in &args.directories {
        let place = Place::find(context, number, directory)?;
        match (args.remove, args.set.is_empty()) {
            (true, _) => place.remove()?,
            (false, true) => {
                context.printer.bytes(&shown(number, directory, &place.limited(context, number, directory)?))?
            }
            (false, false) => place.set(&wishes, context)?,
        }
    }
    Ok(Exit::Success)
}

/// What is to be changed; `None` stays, `Some(None)` is "no limit".
#[derive(Debug, Default, PartialEq, Eq)]
struct Wishes {
    space_used: Option<Option<u64>>,
    space_total: Option<Option<u64>>,
    inodes_used: Option<Option<u64>>,
    inodes_total: Option<Option<u64>>,
    reserved: Option<u8>,
}

impl Wishes {
    /// The error is a sentence.
    fn read(words: &[String]) -> Result<Self, String> {
        let mut wishes = Self::default();
        for word in words {
            wishes.add(word)?;
        }
        for (used, total, what) in
            [(wishes.space_used, wishes.space_total, "space"), (wishes.inodes_used, wishes.inodes_total, "inodes")]
        {
            if let (Some(Some(used)), Some(Some(total))) = (used, total)
                && used > total
            {
                return Err(format!("{what}_used is more than {what}_total"));
            }
        }
        Ok(wishes)
    }

    fn add(&mut self, word: &str) -> Result<(), String> {
        let (name, text) = word.split_once('=').ok_or_else(|| format!("'{word}' is not LIMIT=VALUE"))?;
        let value = value(text).ok_or_else(|| format!("'{text}' is not a number, or -1 for no limit"))?;
        let place = match name {
            "space_used" => &mut self.space_used,
            "space_total" => &mut self.space_total,
            "inodes_used" => &mut self.inodes_used,
            "inodes_total" => &mut self.inodes_total,
            "reserved" => {
                let percent = value.and_then(|value| u8::try_from(value).ok()).filter(|percent| *percent <= 100);
                let percent = percent.ok_or_else(|| format!("'{text}' is not a percentage"))?;
                return once(&mut self.reserved, percent, name);
            }
            _ => {
                let known = "space_used, space_total, inodes_used, inodes_total, reserved";
                return Err(format!("'{name}' is none of {known}"));
            }
        };
        once(place, value, name)
    }
}

fn once<T>(place: &mut Option<T>, value: T, name: &str) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("{name} is given twice")),
    }
}

/// A number in C notation; −1 is "no limit", also as the original's 32 bits show it. Source: `flags.md` §11.
fn value(text: &str) -> Option<Option<u64>> {
    if text == "-1" {
        return Some(None);
    }
    let (digits, radix) = match text.strip_prefix("0x") {
        Some(hex) => (hex, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    let number = u64::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with('+'))?;
    Some(Some(number).filter(|number| *number != 0xffff_ffff))
}

/// What the limit is one of.
enum Place {
    /// A file system that guests share.
    Shared(Account),
    /// A guest's own disk.
    Own(GuestName),
}

impl Place {
    fn find(context: &Context, number: u32, directory: &Path) -> Result<Self, CliError> {
        let host = &context.host;
        let name = resolve::guest_of_project(context, number)?;
        let config = name.as_ref().and_then(|name| vserver_config::read(&host.confdir, name).ok());
        let real = |path: &Path| path.canonicalize().ok();
        match config {
            Some((config, _)) if config.image.is_some() && real(&config.vdir) == real(directory) => {
                Ok(Self::Own(config.name))
            }
            Some((config, _)) => Ok(Self::Shared(Account::find(directory, number, Some(&config.vdir))?)),
            None => Ok(Self::Shared(Account::find(directory, number, None)?)),
        }
    }

    /// The reading of a limit that there is.
    fn limited(&self, context: &Context, number: u32, directory: &Path) -> Result<Reading, CliError> {
        let reading = self.read(context)?;
        if reading.limits.space.is_none() && reading.limits.inodes.is_none() {
            let at = directory.display();
            return Err(CliError::Refused(format!(
                "context {number} has no limit at '{at}'; set one with `vdlimit --xid {number} --set space_total=KIB {at}`"
            )));
        }
        Ok(reading)
    }

    fn read(&self, context: &Context) -> Result<Reading, CliError> {
        match self {
            Self::Shared(account) => Ok(account.read()?),
            Self::Own(name) => {
                let disk = vserver_runtime::disk(&context.host, name)?;
                let inside = disk.and_then(|disk| disk.inside);
                inside.map(|found| of_disk(&found)).ok_or_else(|| {
                    CliError::Refused(format!(
                        "guest '{name}' does not run, and its own disk is not mounted: start it first"
                    ))
                })
            }
        }
    }

    fn remove(&self) -> Result<(), CliError> {
        match self {
            Self::Shared(account) => Ok(account.release()?),
            Self::Own(name) => Err(CliError::Refused(format!(
                "guest '{name}' has a disk of its own, whose size is its limit; it can only grow"
            ))),
        }
    }

    fn set(&self, wishes: &Wishes, context: &Context) -> Result<(), CliError> {
        let account = match self {
            Self::Shared(account) => account,
            Self::Own(name) => return grow(name, wishes, context),
        };
        let now = account.read()?.limits;
        let limits = Limits {
            space: wishes.space_total.unwrap_or(now.space),
            inodes: wishes.inodes_total.unwrap_or(now.inodes),
            reserved: wishes.reserved.unwrap_or(now.reserved),
        };
        if !account.counts_inodes() && (limits.inodes.is_some() || limits.reserved != 0) {
            context.printer.note("btrfs counts no inodes and reserves nothing: only the space is limited");
        }
        Ok(account.limit(&limits)?)
    }
}

/// A disk of its own has as many inodes as its size allows.
fn grow(name: &GuestName, wishes: &Wishes, context: &Context) -> Result<(), CliError> {
    if wishes.inodes_total.is_some() || wishes.reserved.is_some_and(|reserved| reserved != 0) {
        context.printer.note(format_args!("guest '{name}' has a disk of its own: only space_total can be set"));
    }
    match wishes.space_total {
        Some(Some(kib)) => Ok(vserver_runtime::grow_disk(&context.host, name, kib.saturating_mul(1024))?),
        Some(None) => Err(CliError::Refused(format!("the disk of guest '{name}' has a size; give it a number"))),
        None => Ok(()),
    }
}

fn of_disk(found: &Statvfs) -> Reading {
    let unit = found.fragment_size();
    let kib = |blocks: u64| blocks.saturating_mul(unit) / 1024;
    Reading {
        space_used: kib(found.blocks().saturating_sub(found.blocks_free())),
        inodes_used: Some(found.files().saturating_sub(found.files_free())),
        limits: Limits { space: Some(kib(found.blocks())), inodes: Some(found.files()), reserved: 0 },
    }
}

/// The six lines of one file system.
fn shown(number: u32, directory: &Path, reading: &Reading) -> Vec<u8> {
    let value = |limit: Option<u64>| limit.map_or_else(|| "-1".to_owned(), |limit| limit.to_string());
    let Reading { space_used, inodes_used, limits } = reading;
    let lines = format!(
        "\nspace_used={space_used}\nspace_total={}\ninodes_used={}\ninodes_total={}\nreserved={}\n",
        value(limits.space),
        value(*inodes_used),
        value(limits.inodes),
        limits.reserved
    );
    [format!("{number} ").as_bytes(), directory.as_os_str().as_bytes(), lines.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_text_to_the_byte() {
        let limits = Limits { space: Some(4_194_304), inodes: Some(200_000), reserved: 5 };
        let reading = Reading { space_used: 1_048_576, inodes_used: Some(20_133), limits };
        let text = "40012 /vservers\nspace_used=1048576\nspace_total=4194304\ninodes_used=20133\ninodes_total=200000\nreserved=5\n";
        assert_eq!(shown(40_012, Path::new("/vservers"), &reading), text.as_bytes());
        let none = shown(7, Path::new("/v"), &Reading { inodes_used: None, ..Reading::default() });
        let text = "7 /v\nspace_used=0\nspace_total=-1\ninodes_used=-1\ninodes_total=-1\nreserved=0\n";
        assert_eq!(none, text.as_bytes());
    }

    /// `commands.md` §7: each limit once; a C integer, −1 is unlimited; used above total is an error.
    #[test]
    fn wishes() {
        let read = |words: &[&str]| Wishes::read(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        let wishes = read(&["space_total=0x10", "inodes_total=-1", "reserved=5", "space_used=010"]).unwrap();
        assert_eq!((wishes.space_total, wishes.inodes_total), (Some(Some(16)), Some(None)));
        assert_eq!((wishes.reserved, wishes.space_used), (Some(5), Some(Some(8))));
        assert_eq!(read(&["space_total=4294967295"]).unwrap().space_total, Some(None));
        for bad in [
            &["space_total=1G"][..],
            &["space_total"],
            &["space=1"],
            &["reserved=101"],
            &["reserved=-1"],
            &["space_total=-2"],
            &["space_total=1", "space_total=1"],
            &["space_total=1", "space_used=2"],
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}
