//! `vps`. Nearly all of its command line is for ps, so only the words in front are parsed here.

use std::ffi::OsString;

use clap::Parser;
use vserver_types::Exit;

use super::Common;
use crate::error::CliError;
use crate::printer::Printer;

/// Runs ps and says for each process which context it is in
#[derive(Parser, Debug)]
#[command(
    name = "vps",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- ps with a column that names the context"),
    override_usage = "vps [PS OPTIONS]\n       vps --json",
    after_help = "These options must come first and be written in full; everything else is for ps.\nExample: vps axu"
)]
pub struct VpsArgs {
    #[command(flatten)]
    pub common: Common,
    /// All processes as JSON (takes no options of ps)
    #[arg(long, conflicts_with = "ps")]
    pub json: bool,
    /// Options of ps
    #[arg(trailing_var_arg = true, hide = true)]
    pub ps: Vec<OsString>,
}

impl VpsArgs {
    /// Our own options, and the others untouched.
    pub fn read(printer: &Printer, words: &[OsString]) -> Result<Self, CliError> {
        let mut own = 0;
        while let Some(word) = words.get(own).and_then(|word| word.to_str()) {
            own += match word {
                "--help" | "--version" | "--json" => 1,
                "--confdir" => 2,
                _ if word.starts_with("--confdir=") => 1,
                _ => break,
            };
        }
        let mut split = words[..own.min(words.len())].to_vec();
        if let Some(rest @ [_, ..]) = words.get(own..) {
            split.push("--".into());
            split.extend_from_slice(rest);
        }
        super::parse(printer, &split, Exit::Command(254))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<VpsArgs, CliError> {
        VpsArgs::read(&Printer::new("vps"), &words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_not_ours_is_for_ps() {
        assert_eq!(read(&["-V", "--json"]).unwrap().ps, ["-V", "--json"]);
        let both = read(&["--confdir", "/tmp/x", "ax", "--", "-h"]).unwrap();
        assert_eq!(both.ps, ["ax", "--", "-h"]);
        assert_eq!(both.common.confdir.as_deref(), Some("/tmp/x".as_ref()));
        assert!(read(&["--json"]).unwrap().json);
        assert!(read(&["--json", "ax"]).is_err());
        assert!(read(&["--confdir"]).is_err());
    }
}
