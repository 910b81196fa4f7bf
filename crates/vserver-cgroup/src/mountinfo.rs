//! The cgroup mounts among the lines of `/proc/self/mountinfo`. See proc_pid_mountinfo(5).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// One mount of a hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CgroupMount {
    /// `major:minor` of the super block: one per hierarchy, however often it is mounted.
    pub device: String,
    /// Which directory of the hierarchy is mounted.
    pub root: String,
    /// Where.
    pub path: PathBuf,
    /// Whether it is `cgroup2`.
    pub v2: bool,
    /// Whether it can be written.
    pub writable: bool,
    /// Options of the super block: on v1 they name the controllers.
    pub options: Vec<String>,
}

/// One mount for each hierarchy, in the order of their appearance. Where a hierarchy is mounted more than once, a
/// writable mount is better than another and one of its root better than one of a part.
pub(crate) fn hierarchies(mountinfo: &str) -> Vec<CgroupMount> {
    let mut visible: Vec<(PathBuf, Option<CgroupMount>)> = Vec::new();
    for (path, mount) in mountinfo.lines().filter_map(parse) {
        // A later mount on the same directory hides the earlier one, whatever it is.
        visible.retain(|(earlier, _)| *earlier != path);
        visible.push((path, mount));
    }
    let merit = |mount: &CgroupMount| (mount.writable, mount.root == "/");
    let mut best: Vec<CgroupMount> = Vec::new();
    for mount in visible.into_iter().filter_map(|(_, mount)| mount) {
        match best.iter_mut().find(|known| known.device == mount.device) {
            Some(known) if merit(&mount) > merit(known) => *known = mount,
            Some(_) => {}
            None => best.push(mount),
        }
    }
    best
}

/// The mount point of a line, and the mount if it is one of cgroups.
fn parse(line: &str) -> Option<(PathBuf, Option<CgroupMount>)> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(2);
    let (device, root, path, flags) = (left.next()?, left.next()?, unescape(left.next()?), left.next()?);
    let mut right = right.split(' ');
    let (kind, options) = (right.next()?, right.nth(1)?);
    let options: Vec<String> = options.split(',').map(str::to_owned).collect();
    let mount = matches!(kind, "cgroup" | "cgroup2").then(|| CgroupMount {
        device: device.to_owned(),
        root: root.to_owned(),
        path: path.clone(),
        v2: kind == "cgroup2",
        writable: flags.split(',').all(|flag| flag != "ro") && options.iter().all(|option| option != "ro"),
        options,
    });
    Some((path, mount))
}

/// Space, tab, newline and backslash are written as three octal digits.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|digits| first == b'\\' && digits.iter().all(|d| (b'0'..b'8').contains(d)));
        match octal {
            Some(digits) => {
                bytes.push(digits.iter().fold(0_u8, |sum, digit| sum.wrapping_mul(8).wrapping_add(digit - b'0')));
                rest = &tail[3..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_unescaped_and_optional_fields_are_skipped() {
        let text = "36 31 0:33 / /mnt/a\\040b rw,nosuid shared:10 master:2 - cgroup cgroup rw,cpu,cpuacct\n";
        let found = hierarchies(text);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, PathBuf::from("/mnt/a b"));
        assert_eq!(found[0].options, ["rw", "cpu", "cpuacct"]);
        assert!(found[0].writable && !found[0].v2);
    }

    #[test]
    fn the_writable_mount_of_the_root_is_preferred() {
        let text = "1 0 0:9 /part /a rw - cgroup2 cgroup2 rw\n2 0 0:9 / /b ro - cgroup2 cgroup2 rw\n\
                    3 0 0:9 / /c rw - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(hierarchies(text)[0].path, PathBuf::from("/c"));
    }

    #[test]
    fn a_mount_that_is_covered_does_not_count() {
        let text = "1 0 0:9 / /a rw - cgroup2 cgroup2 rw\n2 0 0:10 / /a rw - tmpfs none rw\n";
        assert!(hierarchies(text).is_empty());
    }

    #[test]
    fn nonsense_is_skipped() {
        assert!(hierarchies("\n - \n1 2 3 - x\nfoo - cgroup2 a b").is_empty());
    }
}
