//! Where package tools of the host work on a tree, and with them the scripts of the packages: a root of their own with the
//! host's programs, read-only, the tree, and nothing else of the host; no device nodes but the harmless ones; processes of
//! their own; and of root's rights only those over files and users. What a script does that leaves the tree by chroot(2), it
//! does there. The network is the host's: packages are fetched through it. Sources: mount_namespaces(7), capabilities(7),
//! pivot_root(2).

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;

const SCRIPT: &str = include_str!("confine.sh");
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Variables of the caller that a tool needs to reach its mirror.
const KEPT: [&str; 7] =
    ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];

/// The tree there.
pub(crate) const TREE: &str = "/guest";
/// The directory of the build there; also the tool's home.
pub(crate) const WORK: &str = "/work";

/// What is in such a root.
#[derive(Clone, Debug, Default)]
pub(crate) struct Room {
    /// The tree, at [`TREE`].
    pub tree: PathBuf,
    /// A directory of the build that the tool may write to, at [`WORK`].
    pub work: PathBuf,
    /// A directory that outlives the build, and where in the tree the tool finds it.
    pub cache: Option<(PathBuf, &'static str)>,
    /// Directories and files of the host, read-only at the same place.
    pub lent: Vec<PathBuf>,
    /// A directory of the host whose programs and libraries come first.
    pub exec: Option<PathBuf>,
}

impl Room {
    /// A program that runs there. Its own root is made with it, and gone with it.
    pub(crate) fn command(&self, words: &[OsString]) -> Result<Command, Error> {
        let new = self.work.with_extension("new");
        fs::create_dir_all(&new).map_err(Error::io("make the directory", &new))?;
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--"])
            .args(["sh", "-c", SCRIPT, "sh"])
            .args([&new, &self.tree, &self.work]);
        match &self.cache {
            Some((dir, place)) => command.arg(dir).arg(place),
            None => command.args(["", ""]),
        };
        command.args(self.lent.iter().chain(&self.exec)).arg("--").args(words);
        command.env_clear().env("HOME", WORK).env("LC_ALL", "C.UTF-8");
        command.envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        match &self.exec {
            Some(dir) => command.env("PATH", format!("{}:{PATH}", dir.display())).env("LD_LIBRARY_PATH", dir),
            None => command.env("PATH", PATH),
        };
        Ok(command)
    }

    /// Whether the program is on the host, or lent.
    pub(crate) fn has(program: &str, exec: Option<&Path>) -> bool {
        crate::child::installed(program) || exec.is_some_and(|dir| dir.join(program).is_file())
    }
}

/// A command in a mount and a PID namespace of its own, with a `/proc` of its own, for tools that mount file systems themselves:
/// nothing that they mount or start stays. Its words follow.
pub(crate) fn apart() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
    command
}

/// The directories of the host that settings of repositories name: they are lent, or the tool would not find them.
pub(crate) fn named(text: &str) -> Vec<PathBuf> {
    let starts = ["file://", "file:"];
    let mut found: Vec<PathBuf> = Vec::new();
    for word in text.split(|c: char| c.is_whitespace() || c == '=' || c == ',') {
        let path = starts.iter().find_map(|start| word.strip_prefix(start)).unwrap_or(word);
        if !path.starts_with('/') {
            continue;
        }
        // Variables of the tools' own begin with a dollar: what is above them is lent.
        let fixed = path.split('$').next().unwrap_or_default();
        let place = if fixed == path { Path::new(path) } else { Path::new(&fixed[..fixed.rfind('/').unwrap_or(0)]) };
        let dir = if place.is_file() { place.parent() } else { Some(place) };
        found.extend(dir.filter(|dir| dir.is_dir() && is_lent(dir)).map(Path::to_owned));
    }
    found.sort();
    found.dedup();
    found
}

/// Programs are there anyway, and no name of the root may be covered; `/srv` can be lent, `/` cannot.
fn is_lent(dir: &Path) -> bool {
    let covered = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/dev", "/proc", "/sys", "/etc", "/guest", "/work"];
    dir.components().count() > 1
        && !covered.iter().any(|top| dir.starts_with(top))
        && !dir.components().any(|part| part == std::path::Component::ParentDir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_and_no_part_of_the_system_is_lent() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().display();
        fs::create_dir_all(dir.path().join("x86_64")).unwrap();
        fs::write(dir.path().join("key"), "").unwrap();
        let text = format!(
            "baseurl=file://{at}/x86_64\ngpgkey=file://{at}/key\nmirror = {at}/$basearch/os http://m/srv file:/// /etc /usr/share"
        );
        assert_eq!(named(&text), [dir.path().to_owned(), dir.path().join("x86_64")]);
        assert!(named("file:///../ /dev /work").is_empty());
    }
}
