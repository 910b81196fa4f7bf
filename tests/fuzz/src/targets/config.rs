//! A whole configuration root, and one guest's mounts.
//!
//! A root is written as text: a line `@PATH` begins a file, `@PATH -> TARGET` is a link, and what follows up to the next
//! such line is the file's content.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use vserver_config::{Boot, Defaults, Error, Flavour, Severity, describe, list, read, survey, write};
use vserver_runtime::Host;
use vserver_types::GuestName;

use super::scratch;

/// Everything that reads configurations.
///
/// What is understood can be described, and is what would be written; a refusal has a reason; and checking comes to an end.
pub fn tree(bytes: &[u8]) {
    let root = scratch();
    let confdir = root.path().join("etc");
    unpack(bytes, &confdir);
    let host = Host::new(Some(confdir.clone()));
    for name in list(&confdir).unwrap() {
        guest(&host, &name);
    }
    // A guest of the old kind is one file, which is told and not read.
    if confdir.join("i.conf").is_file() && !confdir.join("i").is_dir() {
        assert!(matches!(read(&confdir, &"i".parse().unwrap()), Err(Error::Invalid { .. })));
    }
    if let Ok(boot) = Boot::read(&confdir) {
        let _ = (vserver_config::order::circles(&boot.depends()), boot.marked("default").count());
    }
    let defaults = Defaults::new(&confdir);
    let _ =
        (defaults.build_options(), defaults.debootstrap_options(Some("bookworm")), defaults.shell(), defaults.hz());
    let _ = (defaults.fstab(), vserver_config::next_context(&confdir, &[]));
}

fn guest(host: &Host, name: &GuestName) {
    let confdir = &host.confdir;
    let (understood, findings) = survey(confdir, name).unwrap();
    let faulty = findings.iter().any(|finding| finding.severity == Severity::Error);
    match read(confdir, name) {
        Ok((config, warnings)) => {
            assert!(!faulty && config == understood);
            let _ = (config.limits(2, config.hz), config.process_limits(), describe(confdir, &config, &warnings));
            assert_eq!(write(confdir, &config).unwrap(), Vec::<PathBuf>::new(), "it says so already");
            assert!(read(confdir, name).unwrap().0 == config);
        }
        Err(Error::Invalid { diagnostics }) => {
            assert!(faulty);
            assert!(diagnostics.iter().all(|fault| !fault.message.is_empty()));
        }
        Err(error) => panic!("{error}"),
    }
    let _ = (vserver_runtime::inspect(host, name), vserver_runtime::appraise(host, name));
    let _ = (vserver_config::default_tty(confdir, name), vserver_config::helper(confdir, name, "restart"));
    for flavour in Flavour::ALL {
        let _ = vserver_config::scripts(confdir, name, flavour);
    }
}

/// One guest's `fstab`: no entry reaches mount(2) with anything but what stands in its line.
pub fn fstab(bytes: &[u8]) {
    let root = scratch();
    let name: GuestName = "g".parse().unwrap();
    fs::create_dir(root.path().join("g")).unwrap();
    fs::write(root.path().join("g/fstab"), bytes).unwrap();
    for entry in vserver_config::mounts(root.path(), &name) {
        let options = entry.mount_options();
        let fields = [&entry.source, &entry.target, &options.data];
        assert!(fields.iter().all(|field| !field.chars().any(|c| c.is_control() || c.is_ascii_whitespace())));
        assert!(options.flags & (1 << 63) == 0);
    }
}

/// Makes the root of a text. Whatever a path says, it lies below.
fn unpack(bytes: &[u8], confdir: &Path) {
    fs::create_dir(confdir).unwrap();
    let mut file: Option<(PathBuf, Vec<u8>)> = None;
    let mut files = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_prefix(b"@") {
            Some(head) if files < 200 => {
                files += 1;
                put(confdir, file.replace((PathBuf::new(), Vec::new())));
                let head = String::from_utf8_lossy(head);
                let (path, target) = head.trim_end().split_once(" -> ").unwrap_or((head.trim_end(), ""));
                let path = below(path);
                match target {
                    "" => file = Some((path, Vec::new())),
                    target => link(confdir, &path, target),
                }
            }
            _ => file.iter_mut().for_each(|(_, content)| content.extend_from_slice(line)),
        }
    }
    put(confdir, file);
}

fn below(path: &str) -> PathBuf {
    let part = |part: Component<'_>| match part {
        Component::Normal(name) if name.len() < 200 && !name.to_string_lossy().contains('\0') => {
            Some(name.to_owned())
        }
        _ => None,
    };
    Path::new(path).components().filter_map(part).take(5).collect()
}

fn put(confdir: &Path, file: Option<(PathBuf, Vec<u8>)>) {
    if let Some((path, content)) = file.filter(|(path, _)| !path.as_os_str().is_empty()) {
        let path = confdir.join(path);
        // One entry may stand where another would have its directory, or be a link: then it is left out.
        let real = path.parent().is_some_and(|dir| fs::create_dir_all(dir).is_ok() && inside(confdir, dir));
        if real && fs::symlink_metadata(&path).is_err() {
            fs::write(path, content).ok();
        }
    }
}

fn link(confdir: &Path, path: &Path, target: &str) {
    let path = confdir.join(path);
    if path.parent().is_some_and(|dir| fs::create_dir_all(dir).is_ok() && inside(confdir, dir)) {
        symlink(target.replace('\0', ""), path).ok();
    }
}

fn inside(confdir: &Path, dir: &Path) -> bool {
    let canonical = |path: &Path| fs::canonicalize(path).ok();
    canonical(dir).zip(canonical(confdir)).is_some_and(|(dir, confdir)| dir.starts_with(confdir))
}
