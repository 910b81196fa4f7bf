//! How the administrator gets in: a password of root, or an ssh key. passwd(5), shadow(5), crypt(5).

use std::time::{SystemTime, UNIX_EPOCH};

use sha_crypt::{PasswordHasher, ShaCrypt};
use vserver_fs::{GuestRoot, Owner};

use super::system::text;
use crate::Error;

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// A password, or its hash if it begins with `$`.
    pub root_password: Option<String>,
    /// A line of authorized_keys.
    pub ssh_key: Option<String>,
}

/// Sets both, where they were asked for.
pub(crate) fn give(root: &GuestRoot, access: &Access) -> Result<(), Error> {
    if let Some(password) = &access.root_password {
        set_password(root, &hash(password)?)?;
    }
    if let Some(key) = &access.ssh_key {
        authorize(root, key)?;
    }
    Ok(())
}

fn hash(password: &str) -> Result<String, Error> {
    if password.starts_with('$') {
        return Ok(password.to_owned());
    }
    let hash = ShaCrypt::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string())
        .map_err(|error| Error::Wish { reason: format!("root's password is not used: {error}") })
}

fn set_password(root: &GuestRoot, hash: &str) -> Result<(), Error> {
    let shadow = text(root, "etc/shadow")?;
    let (path, old, mode) = match shadow {
        Some(old) => ("etc/shadow", old, root.metadata("etc/shadow")?),
        None => match text(root, "etc/passwd")? {
            Some(old) => ("etc/passwd", old, root.metadata("etc/passwd")?),
            None => {
                let reason =
                    "the tree has no list of users, so root can have no password; leave --root-password-file out";
                return Err(Error::Wish { reason: reason.to_owned() });
            }
        },
    };
    let new = with_password(&old, hash, path == "etc/shadow");
    let owner = Owner { uid: mode.st_uid, gid: mode.st_gid };
    Ok(root.write_atomic(path, new.as_bytes(), mode.st_mode & 0o7777, Some(owner))?)
}

fn with_password(old: &str, hash: &str, shadow: bool) -> String {
    let today = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400).to_string();
    let mut found = false;
    let mut line = |line: &str| {
        let mut fields: Vec<&str> = line.split(':').collect();
        if fields.first() == Some(&"root") && fields.len() > 2 {
            found = true;
            fields[1] = hash;
            if shadow {
                fields[2] = &today;
            }
        }
        fields.join(":") + "\n"
    };
    let text: String = old.lines().map(&mut line).collect();
    if found || !shadow { text } else { format!("root:{hash}:{today}:0:99999:7:::\n{text}") }
}

fn authorize(root: &GuestRoot, key: &str) -> Result<(), Error> {
    let home = text(root, "etc/passwd")?.and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("root:"))?.to_owned();
        line.split(':').nth(5).map(|home| home.trim_matches('/').to_owned())
    });
    let home = home.filter(|home| !home.is_empty()).unwrap_or_else(|| "root".to_owned());
    let (dir, file) = (format!("{home}/.ssh"), format!("{home}/.ssh/authorized_keys"));
    if !root.exists(&home)? {
        root.create_dir_all(&home, 0o700)?;
    }
    root.create_dir_all(&dir, 0o700)?;
    let mut content = text(root, &file)?.unwrap_or_default();
    let key = key.trim();
    if content.lines().any(|line| line == key) {
        return Ok(());
    }
    if !content.is_empty() && !content.ends_with('\n') {
        content.push('\n');
    }
    content.push_str(&format!("{key}\n"));
    Ok(root.write_atomic(&file, content.as_bytes(), 0o600, Some(Owner::ROOT))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_line_and_no_other() {
        let new = with_password("daemon:*:1:::::\nroot:!:1:0:99999:7:::\n", "$6$x", true);
        let lines: Vec<&str> = new.lines().collect();
        assert_eq!(lines[0], "daemon:*:1:::::");
        assert!(lines[1].starts_with("root:$6$x:") && lines[1].ends_with(":0:99999:7:::"), "{new}");
        assert!(with_password("a:*:1:::::\n", "$6$x", true).starts_with("root:$6$x:"));
        assert_eq!(with_password("root:x:0:0:r:/root:/bin/sh\n", "$6$x", false), "root:$6$x:0:0:r:/root:/bin/sh\n");
        assert!(hash("secret").unwrap().starts_with("$6$"));
        assert_ne!(hash("secret").unwrap(), hash("secret").unwrap());
        assert_eq!(hash("$6$x$y").unwrap(), "$6$x$y");
    }
}
