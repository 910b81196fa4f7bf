//! How the guest is called, inside.

use std::net::IpAddr;

use vserver_fs::GuestRoot;

use super::change::Change;
use super::system::text;
use crate::Error;

/// The host name that a tree has, if it says one.
pub(crate) fn of_tree(root: &GuestRoot) -> Result<Option<String>, Error> {
    let usual = text(root, "etc/hostname")?.or(text(root, "etc/HOSTNAME")?);
    let line = usual
        .as_deref()
        .and_then(|text| text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')));
    let red_hat = text(root, "etc/sysconfig/network")?;
    let red_hat =
        red_hat.as_deref().and_then(|text| text.lines().find_map(|line| line.trim().strip_prefix("HOSTNAME=")));
    let name = line.or(red_hat).map(|name| name.trim_matches(['"', '\'']).to_owned());
    let plain = |name: &String| {
        !name.is_empty() && name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
    };
    Ok(name.filter(plain))
}

/// The name, wherever distributions write it, and the lines of `/etc/hosts` for it.
pub(crate) fn changes(root: &GuestRoot, name: &str, address: Option<IpAddr>) -> Result<Vec<Change>, Error> {
    let mut changes = vec![Change::write("etc/hostname", format!("{name}\n"), format!("it is called {name}"))];
    if let Some(old) = text(root, "etc/sysconfig/network")?.filter(|old| old.contains("HOSTNAME=")) {
        let line = |line: &str| {
            if line.starts_with("HOSTNAME=") { format!("HOSTNAME={name}\n") } else { format!("{line}\n") }
        };
        let new: String = old.lines().map(line).collect();
        changes.push(Change::write("etc/sysconfig/network", new, format!("it is called {name}")));
    }
    for path in ["etc/HOSTNAME", "etc/conf.d/hostname"] {
        if root.kind(path)? == Some(vserver_fs::Kind::File) {
            let text =
                if path.ends_with("hostname") { format!("hostname=\"{name}\"\n") } else { format!("{name}\n") };
            changes.push(Change::write(path, text, format!("it is called {name}")));
        }
    }
    if let Some(old) = text(root, "etc/hosts")? {
        let was = of_tree(root)?;
        changes.push(Change::write(
            "etc/hosts",
            hosts(&old, name, was.as_deref(), address),
            "its own name and address",
        ));
    }
    Ok(changes)
}

/// The old lines without those for the machine's own old name, and one for the new name and address.
fn hosts(old: &str, name: &str, was: Option<&str>, address: Option<IpAddr>) -> String {
    let short = |name: &str| name.split('.').next().unwrap_or(name).to_owned();
    let own = |word: &str| word == name || was.is_some_and(|was| word == was || word == short(was));
    let about_itself = |line: &str| {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let address = words.next().unwrap_or_default();
        let mut words = words.peekable();
        words.peek().is_some() && address != "127.0.0.1" && address != "::1" && words.any(own)
    };
    let mut text: String = old.lines().filter(|line| !about_itself(line)).map(|line| format!("{line}\n")).collect();
    let names = if short(name) == name { name.to_owned() } else { format!("{name} {}", short(name)) };
    let address = address.map_or_else(|| "127.0.1.1".to_owned(), |address| address.to_string());
    text.push_str(&format!("{address}\t{names}\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_machine_is_replaced_and_its_neighbours_stay() {
        let old = "127.0.0.1 localhost old\n10.0.0.5\told.example.org old\n10.0.0.6 db\n# comment\n";
        let new = hosts(old, "web.example.org", Some("old.example.org"), Some([192, 0, 2, 1].into()));
        assert_eq!(new, "127.0.0.1 localhost old\n10.0.0.6 db\n# comment\n192.0.2.1\tweb.example.org web\n");
        let again = hosts(&new, "web.example.org", Some("web.example.org"), Some([192, 0, 2, 1].into()));
        assert_eq!(again, new, "the second time changes nothing");
    }
}
