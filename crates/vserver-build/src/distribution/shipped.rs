//! What is shipped of distributions: the directory `distributions/` of the sources, compiled in.

/// One distribution.
pub(super) struct Shipped {
    pub name: &'static str,
    /// Its files by their names in its directory.
    pub files: &'static [(&'static str, &'static str)],
}

macro_rules! shipped {
    ($($name:literal: $($file:literal)*;)*) => {
        &[$(Shipped {
            name: $name,
            files: &[$(($file, include_str!(concat!("../../../../distributions/", $name, "/", $file)))),*],
        }),*]
    };
}

/// All, in alphabetical order.
pub(super) const ALL: &[Shipped] = shipped! {
    "alma": "method" "pkgs/01-base" "pkgs/02-tools" "releases" "yum.repos.d/alma.repo";
    "alpine": "apk/repositories" "method" "pkgs/01-base" "releases";
    "arch": "method" "pacman/pacman.conf" "pkgs/01-base" "releases";
    "centos-stream": "method" "pkgs/01-base" "pkgs/02-tools" "releases" "yum.repos.d/centos-stream.repo";
    "debian": "method" "releases";
    "devuan": "debootstrap.mirror" "method" "releases";
    "fedora": "method" "pkgs/01-base" "pkgs/02-tools" "releases" "rpm/macros" "yum.repos.d/fedora.repo";
    "kali": "debootstrap.mirror" "method" "releases";
    "opensuse-leap": "method" "pkgs/01-base" "pkgs/02-tools" "releases" "rpm/macros" "zypp.repos.d/oss.repo";
    "opensuse-tumbleweed": "method" "pkgs/01-base" "pkgs/02-tools" "releases" "rpm/macros" "zypp.repos.d/oss.repo";
    "rocky": "method" "pkgs/01-base" "pkgs/02-tools" "releases" "yum.repos.d/rocky.repo";
    "ubuntu": "debootstrap.mirror" "method" "releases";
};

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn all_of_the_directory_is_compiled_in() {
        fn walk(dir: &Path, below: &Path, found: &mut Vec<String>) {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => walk(&path, below, found),
                    false => found.push(path.strip_prefix(below).unwrap().display().to_string()),
                }
            }
        }
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../distributions");
        let mut found = Vec::new();
        walk(&place, &place, &mut found);
        found.retain(|file| file.contains('/') && !file.starts_with("defaults/"));
        found.sort();
        let mut known: Vec<String> =
            ALL.iter().flat_map(|one| one.files.iter().map(|(file, _)| format!("{}/{file}", one.name))).collect();
        known.sort();
        assert_eq!(known, found);
        assert!(ALL.is_sorted_by_key(|one| one.name));
    }
}
