//! What the host's kernel has of AppArmor, by looking. Source: apparmor(7), Documentation/admin-guide/LSM/apparmor.rst.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// Whether the module is in force; decided when the kernel boots.
const ENABLED: &str = "/sys/module/apparmor/parameters/enabled";

/// Below it, a directory for each policy namespace (Linux 4.11).
pub const NAMESPACES: &str = "/sys/kernel/security/apparmor/policy/namespaces";

/// One loaded profile on each line, `NAME (MODE)`.
const PROFILES: &str = "/sys/kernel/security/apparmor/profiles";

/// Whether the kernel has it and uses it. Looked for once: on another host that is all that a start does about it.
pub fn is_enabled() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| fs::read(ENABLED).is_ok_and(|text| text.starts_with(b"Y")))
}

/// Whether namespaces can be made: its files are in sight.
pub fn has_files() -> bool {
    Path::new(NAMESPACES).is_dir()
}

/// Whether a profile of this name is loaded; `None` where nobody can say.
pub fn has_profile(name: &str) -> Option<bool> {
    let text = fs::read_to_string(PROFILES).ok()?;
    Some(names(&text).any(|loaded| loaded == name))
}

/// A name may have spaces and brackets of its own.
fn names(list: &str) -> impl Iterator<Item = &str> {
    list.lines().filter_map(|line| line.rsplit_once(" (")).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn names_of_loaded_profiles() {
        let list = "guests (enforce)\n/usr/bin/man (complain)\nman//filter (enforce)\na (b) c (unconfined)\n";
        assert_eq!(names(list).collect::<Vec<_>>(), ["guests", "/usr/bin/man", "man//filter", "a (b) c"]);
    }
}
