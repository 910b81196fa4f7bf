//! `vdu`. Source of the format: util-vserver, `commands.md` §7.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use vserver_disk::{Usage, shares_of, usage_of};
use vserver_types::Exit;

use crate::args::VduArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::resolve;

/// Counts what a guest's files use.
pub fn run(args: &VduArgs, context: &Context) -> Result<Exit, CliError> {
    let usage = |fault: &str| CliError::usage("vdu", fault, Exit::Failure);
    if args.shares {
        return shares(args, context);
    }
    let word = args.xid.as_deref().ok_or_else(|| usage("--xid is needed: whose files are counted"))?;
    if !args.space && !args.inodes {
        return Err(usage("--space or --inodes is needed"));
    }
    if args.directories.is_empty() || args.blocksize == 0 {
        return Err(usage(if args.blocksize == 0 {
            "a block has at least one byte"
        } else {
            "a directory is needed"
        }));
    }
    let tag = resolve::xid_word(context, word)?;
    for directory in &args.directories {
        let found = usage_of(directory, tag)?;
        context.printer.bytes(&line(args, directory, found))?;
    }
    Ok(Exit::Success)
}

/// Own and shared space of each directory.
fn shares(args: &VduArgs, context: &Context) -> Result<Exit, CliError> {
    if args.directories.is_empty() || args.blocksize == 0 {
        return Err(CliError::usage(
            "vdu",
            "--shares takes directories, and a block has at least one byte",
            Exit::Failure,
        ));
    }
    for directory in &args.directories {
        let found = shares_of(directory)?;
        let numbers = [found.own, found.shared].map(|blocks| in_blocks(args, blocks).to_string());
        let name = (!args.script).then(|| directory.as_os_str().as_bytes().to_vec());
        let words: Vec<_> = name.into_iter().chain(numbers.map(String::into_bytes)).collect();
        context.printer.bytes(&[words.join(&b' '), b"\n".to_vec()].concat())?;
    }
    Ok(Exit::Success)
}

fn in_blocks(args: &VduArgs, blocks: u64) -> u128 {
    u128::from(blocks) * 512 / u128::from(args.blocksize.max(1))
}

fn line(args: &VduArgs, directory: &Path, found: Usage) -> Vec<u8> {
    let space = in_blocks(args, found.blocks);
    let name = (!args.script).then(|| directory.as_os_str().as_bytes().to_vec());
    let numbers = [args.space.then(|| space.to_string()), args.inodes.then(|| found.inodes.to_string())];
    let words: Vec<Vec<u8>> = name.into_iter().chain(numbers.into_iter().flatten().map(String::into_bytes)).collect();
    [words.join(&b' '), b"\n".to_vec()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_lines_to_the_byte() {
        let args = |space, inodes, script, blocksize| VduArgs {
            common: Default::default(),
            xid: None,
            shares: false,
            space,
            inodes,
            blocksize,
            script,
            directories: Vec::new(),
        };
        let shown = |args| {
            String::from_utf8(line(&args, Path::new("/vservers/web1"), Usage { blocks: 1_624_681, inodes: 20_133 }))
        };
        assert_eq!(shown(args(true, true, false, 1024)).unwrap(), "/vservers/web1 812340 20133\n");
        assert_eq!(shown(args(true, true, true, 1024)).unwrap(), "812340 20133\n");
        assert_eq!(shown(args(false, true, false, 1024)).unwrap(), "/vservers/web1 20133\n");
        assert_eq!(shown(args(true, false, true, 512)).unwrap(), "1624681\n");
    }
}
