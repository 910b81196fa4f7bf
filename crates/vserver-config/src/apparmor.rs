//! Which of the host's AppArmor profiles a guest is held by: our own file `apparmor`, of the guest or of `.defaults/`.

use std::path::Path;

use crate::reader::Reader;

/// What AppArmor does with a guest, on a host that has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AppArmor {
    /// The guest has a policy namespace of its own: no profile of the host attaches to a program in it.
    #[default]
    Own,
    /// It has none: profiles of the host attach to its programs by their paths.
    Off,
    /// A namespace of its own, and all of it is held by this profile of the host, too.
    Profile(String),
}

impl AppArmor {
    /// What the file says; the empty line hides the host's.
    pub fn as_line(&self) -> &str {
        match self {
            Self::Own => "",
            Self::Off => UNCONFINED,
            Self::Profile(profile) => profile,
        }
    }

    /// Understands that line.
    ///
    /// # Errors
    /// Why it cannot be the name of a profile.
    pub fn of_line(line: &str) -> Result<Self, &'static str> {
        match line {
            "" => Ok(Self::Own),
            UNCONFINED => Ok(Self::Off),
            _ if line.len() > LONGEST => Err("is too long for the name of a profile"),
            _ if line.starts_with([':', '&']) => Err("names a namespace, not a profile of the host"),
            _ if line.contains("//&") => Err("names several profiles, where one can be had"),
            _ if line.chars().any(char::is_control) => Err("has a character that no profile's name has"),
            _ => Ok(Self::Profile(line.to_owned())),
        }
    }
}

/// AppArmor's own word. Source: apparmor(7).
const UNCONFINED: &str = "unconfined";

/// A label is written to the kernel in one page at most, with the guest's namespace behind it.
const LONGEST: usize = 1024;

pub(crate) fn read(reader: &mut Reader, dir: &Path, defaults: &Path) -> AppArmor {
    let files = [dir.join("apparmor"), defaults.join("apparmor")];
    let Some(line) = reader.first_scalar(&files) else { return AppArmor::Own };
    AppArmor::of_line(&line).unwrap_or_else(|why| {
        let file = files.iter().find(|file| file.exists()).unwrap_or(&files[0]);
        let hint = "write the name of a profile that is loaded on the host, or 'unconfined', or remove the file";
        reader.error(file, Some(1), format!("'{}' {why}", line.escape_debug()), hint);
        AppArmor::Own
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_profile_or_one_of_two_words() {
        assert_eq!(AppArmor::of_line(""), Ok(AppArmor::Own));
        assert_eq!(AppArmor::of_line("unconfined"), Ok(AppArmor::Off));
        for name in ["guests", "/usr/bin/man", "man//filter", "a profile", "unconfined_guests"] {
            assert_eq!(AppArmor::of_line(name), Ok(AppArmor::Profile(name.to_owned())));
        }
    }

    #[test]
    fn what_no_profile_is_called_is_refused() {
        for line in [":other:guests", "&guests", "guests//&more", "a\u{7}b", &"x".repeat(2000)] {
            assert!(AppArmor::of_line(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for line in ["", "unconfined", "guests"] {
            assert_eq!(AppArmor::of_line(line).map(|read| read.as_line().to_owned()), Ok(line.to_owned()));
        }
    }
}
