//! `lsxid`. Source of the format: util-vserver, `commands.md` §7.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use vserver_disk::{Found, tag_of, takes_tags};
use vserver_types::Exit;

use super::file_tools;
use crate::args::LsxidArgs;
use crate::context::Context;
use crate::error::CliError;

/// Whether a file system keeps tags, asked once for each.
#[derive(Debug, Default)]
pub struct Filesystems(HashMap<u64, bool>);

impl Filesystems {
    /// Whether that of `found` does.
    pub fn keep_tags(&mut self, found: &Found<'_>) -> io::Result<bool> {
        if let Some(known) = self.0.get(&found.stat.st_dev) {
            return Ok(*known);
        }
        // A mount point's directory is on another file system than the one that holds it.
        let own: BorrowedFd<'_> = match &found.file {
            Some(file) if found.is_dir() => file.as_fd(),
            _ => found.directory,
        };
        let keeps = takes_tags(own)?;
        self.0.insert(found.stat.st_dev, keeps);
        Ok(keeps)
    }
}

/// Shows whose files are.
pub fn run(args: &LsxidArgs, context: &Context) -> Result<Exit, CliError> {
    let names: HashMap<u32, String> = match args.numeric {
        true => HashMap::new(),
        false => vserver_config::projects(&context.host.confdir)?
            .into_iter()
            .map(|(number, name)| (number, name.to_string()))
            .collect(),
    };
    let mut filesystems = Filesystems::default();
    file_tools::list(&args.listed, context, &format!("{:<20}  ", "!!ERR!!"), &mut |found| {
        if !filesystems.keep_tags(found)? {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let tag = tag_of(found)?;
        Ok(column(names.get(&tag).cloned().unwrap_or_else(|| tag.to_string())))
    })
}

fn column(name: String) -> String {
    format!("{name:>20}  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_line_to_the_byte() {
        assert_eq!(column("web1".into()) + "./etc", "                web1  ./etc");
        assert_eq!(column("a-name-of-more-than-20-letters".into()), "a-name-of-more-than-20-letters  ");
    }
}
