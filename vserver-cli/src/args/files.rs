//! `lsxid`, `chxid`, `showattr`, `setattr`: tags and attributes of files.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser};
use vserver_types::c_number;

use super::Common;

/// How far the two that show go.
#[derive(Args, Clone, Debug, Default)]
pub struct Listed {
    /// Go into directories
    #[arg(short = 'R', long)]
    pub recursive: bool,
    /// Names that begin with a dot, too
    #[arg(short, long)]
    pub all: bool,
    /// A directory itself, not what is in it
    #[arg(short, long)]
    pub directory: bool,
    /// Stay on the file system
    #[arg(short = 'x', long)]
    pub one_filesystem: bool,
    /// Files and directories, the working directory unless given
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// Shows whose files are: the guest's name or number
#[derive(Parser, Debug)]
#[command(
    name = "lsxid",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- shows whose files are"),
    override_usage = "lsxid [-R] [-a] [-d] [-n] [-x] [--] [FILE…]",
    after_help = "A line for each: the guest (or !!ERR!! where files have no tags), right-aligned in 20 columns, and the file.\n\
                  Example: lsxid -d /vservers/web1"
)]
pub struct LsxidArgs {
    #[command(flatten)]
    pub common: Common,
    /// Numbers instead of names
    #[arg(short = 'n', long)]
    pub numeric: bool,
    #[command(flatten)]
    pub listed: Listed,
}

/// Gives files to a guest
#[derive(Parser, Debug)]
#[command(
    name = "chxid",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- gives files to a guest"),
    override_usage = "chxid -c XID [-R] [-x] [-U] [--] FILE…",
    after_help = "What is made in a directory belongs to its guest, too. Works on ext4 and xfs; see lsxid.\n\
                  Example: chxid -c web1 -R /vservers/web1/srv"
)]
pub struct ChxidArgs {
    #[command(flatten)]
    pub common: Common,
    /// Number of a context or name of a guest; 0 takes the tag away
    #[arg(short = 'c', long, value_name = "XID")]
    pub xid: Option<String>,
    /// Go into directories
    #[arg(short = 'R', long)]
    pub recursive: bool,
    /// Stay on the file system
    #[arg(short = 'x', long)]
    pub one_filesystem: bool,
    /// Leave files alone that several guests share: immutable ones with more than one name
    #[arg(short = 'U', long)]
    pub skip_unified: bool,
    /// Files and directories
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// Shows the attributes of files
#[derive(Parser, Debug)]
#[command(
    name = "showattr",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- shows the attributes of files"),
    override_usage = "showattr [-R] [-a] [-d] [-x] [--] [FILE…]",
    after_help = "Nine letters: admin, watch, hide, write (m), barrier, iunlink (u), immutable, cow, tagged (x). Upper case is on,\n\
                  lower case is off, - is what this kernel does not have for that file.\n\
                  Example: showattr -d /vservers"
)]
pub struct ShowattrArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub listed: Listed,
}

/// Sets and clears attributes of files
#[derive(Parser, Debug)]
#[command(
    name = "setattr",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- sets and clears attributes of files"),
    override_usage = "setattr [-R] [-x] [--[~]ATTRIBUTE]… [--flags N] [--~flags N] [--] FILE…",
    after_help = "ATTRIBUTE: barrier (directories), immutable; a ~ or ! before it clears. No stock kernel has iunlink, cow, admin,\n\
                  watch, hide and write. The barrier is remembered and shown by showattr; no guest needs one to be kept in.\n\
                  Example: setattr --barrier /vservers"
)]
pub struct SetattrArgs {
    #[command(flatten)]
    pub common: Common,
    /// Go into directories
    #[arg(short = 'R', long)]
    pub recursive: bool,
    /// Stay on the file system
    #[arg(short = 'x', long)]
    pub one_filesystem: bool,
    /// Files and directories
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// What is to be changed, as bits. Source: util-vserver, `flags.md` §10.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// To be set.
    pub set: u32,
    /// To be cleared; wins.
    pub clear: u32,
}

const ADMIN: u32 = 0x1;
const WATCH: u32 = 0x2;
const HIDE: u32 = 0x4;
const WRITE: u32 = 0x8;
/// `--barrier`
pub const BARRIER: u32 = 0x1_0000;
/// `--ixunlink`
pub const IUNLINK: u32 = 0x2_0000;
/// `--immutable`
pub const IMMUTABLE: u32 = 0x4_0000;
const COW: u32 = 0x8_0000;

const NAMES: [(&str, u32); 11] = [
    ("iunlink", IUNLINK | IMMUTABLE),
    ("immu", IUNLINK | IMMUTABLE),
    ("admin", ADMIN),
    ("watch", WATCH),
    ("hide", HIDE),
    ("barrier", BARRIER),
    ("iunlink-but-not-immutable", IUNLINK),
    ("ixunlink", IUNLINK),
    ("immutable", IMMUTABLE),
    ("write", WRITE),
    ("cow", COW),
];

/// Takes the attributes out of `words`; what is left is for the parser. The error is a sentence.
pub fn split_attributes(words: &[OsString]) -> Result<(Vec<OsString>, Change), String> {
    let (mut rest, mut change) = (Vec::new(), Change::default());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let text = word.to_str().unwrap_or_default();
        if text == "--" {
            rest.push(word.clone());
            rest.extend(words.by_ref().cloned());
            break;
        }
        let Some(option) = text.strip_prefix("--") else {
            rest.push(word.clone());
            continue;
        };
        let negated = option.strip_prefix(['~', '!']);
        let bits = match option_bits(negated.unwrap_or(option))? {
            Bits::These(bits) => bits,
            Bits::Given(Some(value)) => number(&value)?,
            Bits::Given(None) => {
                let value = words.next().and_then(|word| word.to_str()).ok_or("--flags needs a number")?;
                number(value)?
            }
            Bits::Other if negated.is_some() => return Err(format!("unexpected argument '{text}' found")),
            Bits::Other => {
                rest.push(word.clone());
                continue;
            }
        };
        *(if negated.is_some() { &mut change.clear } else { &mut change.set }) |= bits;
    }
    Ok((rest, change))
}

enum Bits {
    These(u32),
    /// `--flags`, perhaps with `=value`.
    Given(Option<String>),
    Other,
}

/// A whole name, or the beginning of one attribute only. The options of the parser come first.
fn option_bits(option: &str) -> Result<Bits, String> {
    if let Some(rest) = option.strip_prefix("flags")
        && (rest.is_empty() || rest.starts_with('='))
    {
        return Ok(Bits::Given(rest.strip_prefix('=').map(str::to_owned)));
    }
    if let Some((_, bits)) = NAMES.iter().find(|(name, _)| *name == option) {
        return Ok(Bits::These(*bits));
    }
    if option.is_empty()
        || ["recursive", "one-filesystem", "help", "version", "confdir"].iter().any(|own| own.starts_with(option))
    {
        return Ok(Bits::Other);
    }
    let mut meant: Vec<u32> =
        NAMES.iter().filter(|(name, _)| name.starts_with(option)).map(|(_, bits)| *bits).collect();
    meant.dedup();
    match meant.as_slice() {
        [] => Ok(Bits::Other),
        [bits] => Ok(Bits::These(*bits)),
        _ => Err(format!("option '--{option}' is ambiguous")),
    }
}

fn number(text: &str) -> Result<u32, String> {
    let parsed = c_number(text).and_then(|number| u32::try_from(number).ok());
    parsed.ok_or_else(|| format!("'{text}' is not a number of flags"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(words: &[&str]) -> Result<(Vec<OsString>, Change), String> {
        split_attributes(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    /// Source: `commands.md` §7.
    #[test]
    fn attributes_are_taken_out() {
        let (rest, change) = split(&["-R", "--barrier", "--~immutable", "--!cow", "/v", "--", "--hide"]).unwrap();
        assert_eq!(rest, ["-R", "/v", "--", "--hide"]);
        assert_eq!(change, Change { set: BARRIER, clear: IMMUTABLE | COW });
        assert_eq!(split(&["--iunlink"]).unwrap().1.set, IUNLINK | IMMUTABLE);
        assert_eq!(split(&["--immu"]).unwrap().1.set, IUNLINK | IMMUTABLE);
        assert_eq!(split(&["--ixunlink", "--flags", "0x10000"]).unwrap().1.set, IUNLINK | BARRIER);
        assert_eq!(split(&["--~flags=0x40000"]).unwrap().1.clear, IMMUTABLE);
        assert_eq!(split(&["--barr"]).unwrap().1.set, BARRIER);
        assert_eq!(split(&["--i"]).unwrap_err(), "option '--i' is ambiguous");
        assert!(split(&["--~nothing"]).is_err() && split(&["--flags", "x"]).is_err() && split(&["--flags"]).is_err());
        assert_eq!(split(&["--help"]).unwrap().0, ["--help"]);
    }
}
