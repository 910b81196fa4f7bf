//! The configuration files of a Debian guest's packages, from dpkg's own lists: the guest need not run for that.

use vserver_fs::GuestRoot;

use crate::Error;

const LISTS: &str = "var/lib/dpkg/info";
/// Longest list that is read; the longest known has some kilobytes.
const MAX: u64 = 1 << 20;

/// Absolute paths, of all packages. Source: dpkg, `deb-conffiles(5)`: a path, perhaps with a flag before it.
pub fn debian_configuration(root: &GuestRoot) -> Result<Vec<Vec<u8>>, Error> {
    let mut files = Vec::new();
    let names = match root.list(LISTS) {
        Err(error) if error.is_not_found() => return Ok(files),
        names => names?,
    };
    for name in names.iter().filter_map(|name| name.to_str()).filter(|name| name.ends_with(".conffiles")) {
        let list = root.read(format!("{LISTS}/{name}"), MAX)?;
        let lines = list.split(|byte| *byte == b'\n');
        let paths = lines.filter_map(|line| line.iter().position(|byte| *byte == b'/').map(|at| line[at..].to_vec()));
        files.extend(paths);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lists_with_and_without_flags() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("web1");
        std::fs::create_dir_all(path.join(LISTS)).unwrap();
        let root = GuestRoot::open(&path).unwrap();
        std::fs::write(path.join(LISTS).join("a.conffiles"), "/usr/lib/a.conf\n").unwrap();
        std::fs::write(path.join(LISTS).join("b.conffiles"), "remove-on-upgrade /etc/b\n/etc/c\n").unwrap();
        std::fs::write(path.join(LISTS).join("b.list"), "/usr/bin/b\n").unwrap();
        let wanted = ["/usr/lib/a.conf", "/etc/b", "/etc/c"].map(|path| path.as_bytes().to_vec());
        assert_eq!(debian_configuration(&root).unwrap(), wanted);
    }
}
