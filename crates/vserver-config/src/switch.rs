//! `.switches/NAME/`: switches that guests plug into by name. Ours.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vserver_types::GuestAddress;

use crate::error::{Diagnostic, Error, Severity};
use crate::reader::Reader;

/// Where they are, below the configuration root.
const DIR: &str = ".switches";
/// What its bridge's name begins with; a device's has at most 15 bytes.
const PREFIX: &str = "sw-";
const LONGEST: usize = 15 - PREFIX.len();

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switch {
    /// Its name, at most 12 bytes.
    pub name: String,
    /// The host's device that leads outside (`uplink`).
    pub uplink: Option<String>,
    /// Addresses that the host has on it (`address`).
    pub addresses: Vec<GuestAddress>,
}

impl Switch {
    /// The one of this name; `None`: there is none.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every fault of its files.
    pub fn read(confdir: &Path, name: &str) -> Result<Option<Self>, Error> {
        let dir = confdir.join(DIR).join(name);
        if !is_name(name) || !dir.is_dir() {
            return Ok(None);
        }
        let mut reader = Reader::default();
        let uplink = reader.scalar(&dir.join("uplink")).filter(|uplink| !uplink.is_empty());
        let mut addresses = Vec::new();
        let path = dir.join("address");
        for line in reader.list(&path) {
            match line.text.parse::<GuestAddress>() {
                Ok(address) if address.prefix.is_some() => addresses.push(address),
                _ => {
                    let message = format!("'{}' is no address with a prefix", line.text.escape_debug());
                    reader.error(&path, Some(line.number), message, "one like 10.5.0.1/24 a line");
                }
            }
        }
        let diagnostics: Vec<Diagnostic> =
            reader.findings.into_iter().filter(|one| one.severity == Severity::Error).collect();
        match diagnostics.is_empty() {
            true => Ok(Some(Self { name: name.to_owned(), uplink, addresses })),
            false => Err(Error::Invalid { diagnostics }),
        }
    }

    /// The names of all, sorted.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn names(confdir: &Path) -> Result<Vec<String>, Error> {
        let dir = confdir.join(DIR);
        if !dir.is_dir() {
            return Ok(Vec::new());
        }
        let mut names = Vec::new();
        for entry in fs::read_dir(&dir).map_err(Error::io("list", &dir))? {
            let entry = entry.map_err(Error::io("list", &dir))?;
            names.extend(entry.file_name().into_string().ok().filter(|name| is_name(name) && entry.path().is_dir()));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Writes it down; nothing is there until all of it is.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, confdir: &Path) -> Result<(), Error> {
        let (dir, new) = (self.dir(confdir), confdir.join(DIR).join(format!(".{}.new", self.name)));
        // Left by one who was killed.
        if new.exists() {
            fs::remove_dir_all(&new).map_err(Error::io("remove", &new))?;
        }
        fs::create_dir_all(&new).map_err(Error::io("make", &new))?;
        let put = |file: &str, text: String| {
            let path = new.join(file);
            fs::write(&path, text).map_err(Error::io("write", &path))
        };
        if let Some(uplink) = &self.uplink {
            put("uplink", format!("{uplink}\n"))?;
        }
        if !self.addresses.is_empty() {
            put("address", self.addresses.iter().map(|address| format!("{address}\n")).collect())?;
        }
        fs::rename(&new, &dir).map_err(Error::io("write", &dir))
    }

    /// Forgets it.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn forget(&self, confdir: &Path) -> Result<(), Error> {
        let dir = self.dir(confdir);
        fs::remove_dir_all(&dir).map_err(Error::io("remove", &dir))?;
        // Stays while there are others.
        let _ = fs::remove_dir(confdir.join(DIR));
        Ok(())
    }

    /// Where it is written down.
    pub fn dir(&self, confdir: &Path) -> PathBuf {
        confdir.join(DIR).join(&self.name)
    }

    /// The name of its bridge.
    pub fn bridge(&self) -> String {
        bridge_of(&self.name)
    }

    /// Only guests are on it.
    pub fn is_private(&self) -> bool {
        self.uplink.is_none() && self.addresses.is_empty()
    }

    /// What is on it besides guests, in one word.
    pub fn kind(&self) -> &'static str {
        match (&self.uplink, self.addresses.is_empty()) {
            (Some(_), _) => "public",
            (None, false) => "host",
            (None, true) => "private",
        }
    }
}

/// The name of the bridge of the switch `name`.
pub fn bridge_of(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// Whether a switch can be called so.
pub fn is_name(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let confdir = tempfile::tempdir().unwrap();
        let confdir = confdir.path();
        assert_eq!(Switch::names(confdir).unwrap(), [""; 0]);
        let address = "10.5.0.1/24".parse().unwrap();
        let lan = Switch { name: "lan".to_owned(), uplink: None, addresses: vec![address] };
        let dmz = Switch { name: "dmz".to_owned(), uplink: Some("eth1".to_owned()), addresses: Vec::new() };
        for one in [&lan, &dmz] {
            one.write(confdir).unwrap();
            assert_eq!(Switch::read(confdir, &one.name).unwrap().as_ref(), Some(one));
        }
        assert_eq!(Switch::names(confdir).unwrap(), ["dmz", "lan"]);
        assert_eq!((lan.kind(), dmz.kind(), dmz.bridge().as_str()), ("host", "public", "sw-dmz"));
        assert_eq!(Switch::read(confdir, "other").unwrap(), None);
        fs::write(lan.dir(confdir).join("address"), "10.5.0.1\nx\n").unwrap();
        let Err(Error::Invalid { diagnostics }) = Switch::read(confdir, "lan") else { panic!() };
        assert_eq!(diagnostics.len(), 2);
        lan.forget(confdir).unwrap();
        dmz.forget(confdir).unwrap();
        assert!(!confdir.join(DIR).exists());
    }

    #[test]
    fn names_of_switches() {
        assert!(["lan", "a", "dmz-1.b_c", "123456789012"].iter().all(|name| is_name(name)));
        assert!(["", "1234567890123", ".lan", "-lan", "a/b", "a b", "ä"].iter().all(|name| !is_name(name)));
    }
}
