//! `h2ext`: how archives are unpacked, by their first bytes. Source: util-vserver, `config-tree.md`, "h2ext magic".

use std::fs::File;
use std::path::Path;

use vserver_archive::{Archive, Codec, layers};
use vserver_types::Exit;

use crate::args::H2extArgs;
use crate::context::Context;
use crate::error::CliError;

const UNKNOWN: &str = "unknown format";

/// One line each, as far as the files can be read.
pub fn run(args: &H2extArgs, context: &Context) -> Result<Exit, CliError> {
    if args.files.is_empty() {
        return Err(CliError::usage(context.printer.tool(), "an archive is needed", Exit::BeforeExec));
    }
    for path in &args.files {
        let how = how(path)?;
        let line = if args.quiet { how } else { format!("{}: {how}", path.display()) };
        context.printer.line(line)?;
    }
    Ok(Exit::Success)
}

/// Broken bytes inside of a compression that is known are an unknown format inside of it.
fn how(path: &Path) -> Result<String, CliError> {
    let open = || File::open(path).map_err(CliError::io(format!("cannot open '{}'", path.display())));
    let (codecs, archive) = match layers(open()?) {
        Ok(found) => found,
        Err(_) => return Ok(UNKNOWN.to_owned()),
    };
    let inner = match archive {
        Some(Archive::Tar) => "tar -x --numeric-owner",
        Some(Archive::Cpio) => "cpio -i --numeric-uid-gid",
        Some(Archive::Dump) => "restore -rf -",
        None => UNKNOWN,
    };
    let steps = codecs.into_iter().map(|codec| match codec {
        Codec::Gzip => "gzip -d -c",
        Codec::Bzip2 => "bzip2 -d -c",
        Codec::Xz => "xz -d -c",
        Codec::Zstd => "zstd -d -c",
    });
    Ok(steps.chain([inner]).collect::<Vec<_>>().join(" | "))
}
