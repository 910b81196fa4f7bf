//! The readers.

mod cgroup;
mod config;
mod flags;
mod passwd;
mod proc;
mod state;
mod tar;
mod words;

/// A reader and its oracle: a panic is a fault.
pub type Target = fn(&[u8]);

/// All of them by name.
pub const TARGETS: [(&str, Target); 9] = [
    ("config", config::tree),
    ("fstab", config::fstab),
    ("flags", flags::lists),
    ("words", words::words),
    ("cgroup", cgroup::files),
    ("passwd", passwd::users),
    ("proc", proc::texts),
    ("state", state::files),
    ("tar", tar::archive),
];

/// The text of bytes of which some are none.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// In memory where that is possible.
fn scratch() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}
