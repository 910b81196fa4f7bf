//! Users and groups by the guest's own files, read after confinement, inside the guest, with bounds: both files are the
//! guest's and may hold anything. No name service is asked.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;

use crate::confine::Identity;
use crate::error::{Error, Result, Step};

/// Largest file that is read.
const MAX_BYTES: u64 = 1 << 20;
/// Most lines that are looked at.
const MAX_LINES: usize = 65_536;

/// [`identity`] by the files of the root that this process sees.
pub fn look_up(user: &str) -> Result<Identity> {
    let number = !user.is_empty() && user.bytes().all(|b| b.is_ascii_digit());
    let passwd = match read("/etc/passwd") {
        Ok(text) => Some(text),
        Err(_) if number => None,
        Err(Error::Step { step, source }) => {
            let user = user.escape_debug();
            let why = source.to_string();
            let why = why.split(" (os error").next().unwrap_or_default();
            return Err(refuse(format!("user '{user}' cannot be found (give a number): cannot {step}: {why}")));
        }
        Err(error) => return Err(error),
    };
    identity(user, passwd.as_deref(), read("/etc/group").ok().as_deref())
}

/// `user` as these two files know it: digits are a number (with the groups of a user of that number, if there is one), all
/// else a name. Never root unless asked for.
pub fn identity(user: &str, passwd: Option<&str>, group: Option<&str>) -> Result<Identity> {
    let number: Option<u32> = if user.bytes().all(|b| b.is_ascii_digit()) && !user.is_empty() {
        // The largest number of 32 bits would change nothing, and leave root.
        Some(
            decimal(user)
                .ok_or_else(|| refuse(format!("user number {user} is too large; the last one is 4294967294")))?,
        )
    } else {
        None
    };
    match (passwd.and_then(|text| find_user(text, user, number)), number) {
        (Some((name, uid, gid)), _) => {
            let groups = group.map(|text| groups_of(text, &name)).unwrap_or_default();
            Ok(Identity::User { uid, gid, groups })
        }
        (None, Some(uid)) => Ok(Identity::User { uid, gid: uid, groups: Vec::new() }),
        (None, None) => Err(refuse(format!("user '{}' is not in the guest's /etc/passwd", user.escape_debug()))),
    }
}

fn refuse(report: String) -> Error {
    Error::Child { report }
}

fn read(path: &str) -> Result<String> {
    // Non-blocking, so that a FIFO in its place cannot hold us; then regular files only.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path);
    let file = file.step(|| format!("open the guest's {path}"))?;
    let meta = file.metadata().step(|| format!("look at the guest's {path}"))?;
    let bad = |why: &str| Error::Step {
        step: format!("read the guest's {path}"),
        source: io::Error::new(io::ErrorKind::InvalidData, why.to_owned()),
    };
    if !meta.is_file() {
        return Err(bad("it is not a regular file"));
    }
    if meta.len() > MAX_BYTES {
        return Err(bad("it is larger than 1 MiB"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes).step(|| format!("read the guest's {path}"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn find_user(text: &str, user: &str, number: Option<u32>) -> Option<(String, u32, u32)> {
    text.lines().take(MAX_LINES).find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, uid, gid) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let (uid, gid) = (decimal(uid)?, decimal(gid)?);
        let found = number.map_or(name == user && !name.is_empty(), |number| number == uid);
        found.then(|| (name.to_owned(), uid, gid))
    })
}

fn groups_of(text: &str, user: &str) -> Vec<u32> {
    let member = |line: &str| {
        let mut fields = line.split(':');
        let gid = decimal(fields.nth(2)?)?;
        fields.next()?.split(',').any(|name| name == user).then_some(gid)
    };
    text.lines().take(MAX_LINES).filter_map(member).take(1024).collect()
}

/// Decimal digits only: `0x0`, `-1`, ` 0` and `4294967296` are nobody, not root. The last number means "no change".
fn decimal(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|id| *id != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbad:x:0x:0::/:\nneg:x:-1:0::/:\nbig:x:4294967296:0::/:\n\
                          empty:x::0::/:\n0:x:1000:1000::/:\nweb:x:33:33::/var/www:\n:x:0:0::/:\n";

    #[test]
    fn odd_numbers_are_nobody_and_never_root() {
        for name in ["bad", "neg", "big", "empty", "", "nobody-here"] {
            assert_eq!(find_user(PASSWD, name, None), None, "{name}");
        }
        assert_eq!(find_user(PASSWD, "web", None), Some(("web".to_owned(), 33, 33)));
        assert_eq!(find_user(PASSWD, "0", Some(0)).map(|u| u.0), Some("root".to_owned()));
    }

    #[test]
    fn the_number_that_changes_nothing_is_nobody() {
        assert!(identity("4294967295", Some(PASSWD), None).is_err() && identity("4294967296", None, None).is_err());
        let last = identity("4294967294", Some(PASSWD), None).unwrap();
        assert_eq!(last, Identity::User { uid: 4_294_967_294, gid: 4_294_967_294, groups: Vec::new() });
    }

    #[test]
    fn groups_are_those_that_list_the_user() {
        assert_eq!(groups_of("a:x:1:web\nb:x:2:other,web\nc:x:zz:web\nd:x:4:webby\n", "web"), vec![1, 2]);
    }
}
