//! What a guest mounts: its fstab, R9 of `config-tree.md` §5.5.

use std::path::Path;

use nix::libc;

use crate::error::{Diagnostic, Error, Severity};
use crate::reader::Reader;

/// One line of `fstab`, `fstab.local` or `fstab.remote` that is to be mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FstabEntry {
    /// Device, directory or word; on the host.
    pub source: String,
    /// Where, inside the guest; `/` is the guest's root itself, mounted on the host's side at `vdir`.
    pub target: String,
    /// File system type; `None` for `none`.
    pub fstype: Option<String>,
    /// Options as written, split at the commas.
    pub options: Vec<String>,
    /// The file that it stands in.
    pub file: std::path::PathBuf,
    /// Where it stands.
    pub line: u32,
    /// Its sixth field: when the file system is checked, 0 is never.
    pub pass: u32,
    /// It is mounted from inside the guest's network context (`fstab.remote`).
    pub remote: bool,
}

/// What the options of an entry mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// `MS_*` of mount(2), without propagation.
    pub flags: u64,
    /// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE` or `MS_UNBINDABLE`, perhaps with `MS_REC`, to be set afterwards.
    pub propagation: Option<u64>,
    /// The rest: data for the file system, or, unless `direct`, the whole text for `mount -o`.
    pub data: String,
    /// mount(2) is enough; otherwise the system's mount program has to do it.
    pub direct: bool,
    /// A bind mount whose further flags need a remount.
    pub remount: bool,
    /// No line in the guest's `/etc/mtab`.
    pub nomtab: bool,
}

/// Types that need no helper. Source: `config-tree.md` §5.5.
const DIRECT: [&str; 12] = [
    "tmpfs",
    "sysfs",
    "proc",
    "sockfs",
    "pipefs",
    "futexfs",
    "inotifyfs",
    "devpts",
    "ext3",
    "ext2",
    "ramfs",
    "hugetlbfs",
];
const DIRECT_TOO: [&str; 2] = ["usbfs", "binfmt_misc"];

/// Effect of a known word.
#[derive(Clone, Copy)]
enum Effect {
    Set(u64),
    Clear(u64),
    Propagation(u64),
    NoMtab,
    Nothing,
}

/// The words in the original's order: an option selects the first one that it is a leading part of, so `user` is
/// `users` and `no` is `noatime`.
const WORDS: [(&str, Effect); 34] = {
    use Effect::{Clear, NoMtab, Nothing, Propagation, Set};
    [
        ("defaults", Set(libc::MS_NODEV)),
        ("rbind", Set(libc::MS_BIND | libc::MS_REC)),
        ("bind", Set(libc::MS_BIND)),
        ("move", Set(libc::MS_MOVE)),
        ("async", Clear(libc::MS_SYNCHRONOUS)),
        ("sync", Set(libc::MS_SYNCHRONOUS)),
        ("atime", Clear(libc::MS_NOATIME)),
        ("noatime", Set(libc::MS_NOATIME)),
        ("dev", Clear(libc::MS_NODEV)),
        ("nodev", Set(libc::MS_NODEV)),
        ("exec", Clear(libc::MS_NOEXEC)),
        ("noexec", Set(libc::MS_NOEXEC)),
        ("suid", Clear(libc::MS_NOSUID)),
        ("nosuid", Set(libc::MS_NOSUID)),
        ("ro", Set(libc::MS_RDONLY)),
        ("rw", Clear(libc::MS_RDONLY)),
        ("remount", Set(libc::MS_REMOUNT)),
        ("users", Set(libc::MS_NOEXEC | libc::MS_NOSUID | libc::MS_NODEV)),
        ("mandlock", Set(libc::MS_MANDLOCK)),
        ("nodiratime", Set(libc::MS_NODIRATIME)),
        ("dirsync", Set(libc::MS_DIRSYNC)),
        ("_netdev", Nothing),
        ("auto", Nothing),
        ("noauto", Nothing),
        ("user", Nothing),
        ("nouser", Nothing),
        ("rec", Set(libc::MS_REC)),
        ("unbindable", Propagation(libc::MS_UNBINDABLE)),
        ("private", Propagation(libc::MS_PRIVATE)),
        ("slave", Propagation(libc::MS_SLAVE)),
        ("shared", Propagation(libc::MS_SHARED)),
        ("nomtab", NoMtab),
        // Not in the original, which handed them to the file system, which then refused them.
        ("relatime", Set(libc::MS_RELATIME)),
        ("nofail", Nothing),
    ]
};

fn word(option: &str) -> Option<(&'static str, Effect)> {
    WORDS.into_iter().find(|(word, _)| word.starts_with(option))
}

impl FstabEntry {
    /// It is of type `swap`, which no guest gets.
    pub(crate) fn is_swap(&self) -> bool {
        self.fstype.as_deref() == Some("swap")
    }

    /// A start leaves it out.
    pub(crate) fn is_noauto(&self) -> bool {
        self.options.iter().any(|option| word(option).is_some_and(|(word, _)| word == "noauto"))
    }

    /// A start mounts it.
    pub(crate) fn is_mounted(&self) -> bool {
        !self.is_swap() && !self.is_noauto()
    }

    /// What its options mean: `nodev` holds for everything but devpts unless `dev` is said, a known word changes a flag,
    /// the rest is data.
    pub fn mount_options(&self) -> MountOptions {
        let fstype = self.fstype.as_deref().unwrap_or_default();
        let mut out = MountOptions::default();
        let (mut data, mut device_word) = (Vec::new(), false);
        out.flags = if fstype == "devpts" { 0 } else { libc::MS_NODEV };
        for option in &self.options {
            let Some((word, effect)) = word(option) else {
                data.extend((!option.starts_with("x-")).then_some(option.as_str()));
                continue;
            };
            device_word |= matches!(word, "dev" | "nodev" | "users" | "defaults");
            match effect {
                Effect::Set(flags) => out.flags |= flags,
                Effect::Clear(flags) => out.flags &= !flags,
                Effect::Propagation(kind) => out.propagation = Some(kind),
                Effect::NoMtab => out.nomtab = true,
                Effect::Nothing => {}
            }
        }
        let bind = out.flags & libc::MS_BIND != 0;
        out.remount = bind && out.flags & !(libc::MS_BIND | libc::MS_REC | libc::MS_NODEV) != 0;
        out.propagation = out.propagation.map(|kind| kind | out.flags & libc::MS_REC);
        let special = bind || out.flags & libc::MS_MOVE != 0 || out.propagation.is_some();
        out.direct = special || DIRECT.contains(&fstype) || DIRECT_TOO.contains(&fstype);
        out.data = if out.direct { data.join(",") } else { self.helper_options(device_word) };
        out
    }

    /// Text for `mount -o`: as written, with `nodev` in front unless a word about devices was recognised.
    fn helper_options(&self, device_word: bool) -> String {
        let written = self.options.join(",");
        match (written.as_str(), device_word) {
            ("defaults", _) => "nodev".to_owned(),
            (_, true) => written,
            (_, false) => format!("nodev,{written}"),
        }
    }
}

/// What a guest mounts, whatever else is wrong with its configuration; lines with faults are left out.
pub fn mounts(confdir: &Path, name: &vserver_types::GuestName) -> Vec<FstabEntry> {
    read(&mut Reader::default(), &confdir.join(name.as_str()))
}

/// The lines of any fstab that are mounted: not those of type `swap`, nor those with `noauto`.
///
/// # Errors
/// [`Error::Invalid`] with every line that is no entry.
pub fn read_fstab(path: &Path) -> Result<Vec<FstabEntry>, Error> {
    let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
    let (mut entries, mut diagnostics) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(text.lines()) {
        match entry_of(line, path, number, false) {
            Ok(entry) => entries.extend(entry.filter(FstabEntry::is_mounted)),
            Err((message, hint)) => diagnostics.push(Diagnostic {
                severity: Severity::Error,
                path: path.to_owned(),
                line: Some(number),
                message,
                hint: Some(hint.to_owned()),
            }),
        }
    }
    if diagnostics.is_empty() { Ok(entries) } else { Err(Error::Invalid { diagnostics }) }
}

/// Reads the three files in the order in which they are mounted.
pub(crate) fn read(reader: &mut Reader, dir: &Path) -> Vec<FstabEntry> {
    let local = dir.join("fstab.local");
    if reader.has_file(&local) {
        reader.warn(&local, None, "it is an obsolete name of fstab", "move its lines there");
    }
    let mut entries = file(reader, &dir.join("fstab"), false);
    entries.extend(file(reader, &local, false));
    entries.extend(file(reader, &dir.join("fstab.remote"), true));
    entries
}

/// The lines that are mounted at start.
fn file(reader: &mut Reader, path: &Path, remote: bool) -> Vec<FstabEntry> {
    let mut entries = every_line(reader, path, remote);
    entries.retain(FstabEntry::is_mounted);
    entries
}

/// All lines, those too that a start leaves out.
pub(crate) fn every_line(reader: &mut Reader, path: &Path, remote: bool) -> Vec<FstabEntry> {
    let text = reader.text(path).unwrap_or_default();
    let mut entries = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        match entry_of(line, path, number, remote) {
            Ok(entry) => entries.extend(entry),
            Err((message, hint)) => reader.error(path, Some(number), message, hint),
        }
    }
    entries
}

/// What one line says, if it says anything; or what is wrong with it, and what to do.
pub(crate) fn entry_of(
    line: &str,
    path: &Path,
    number: u32,
    remote: bool,
) -> Result<Option<FstabEntry>, (String, &'static str)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    if fields.first().is_none_or(|first| first.starts_with('#')) {
        return Ok(None);
    }
    let &[source, target, fstype, options, ref rest @ ..] = fields.as_slice() else {
        let hint = "a line has source, target, type and options";
        return Err((format!("it has {} of four fields", fields.len()), hint));
    };
    if line.chars().any(|c| c.is_control() && c != '\t') {
        return Err(("the line has a control character".to_owned(), "remove it"));
    }
    let options: Vec<String> = options.split(',').map(str::to_owned).collect();
    let fstype = Some(fstype.to_owned()).filter(|fstype| fstype != "none");
    let (source, target) = (source.to_owned(), target.to_owned());
    let pass = rest.get(1).and_then(|pass| pass.parse().ok()).unwrap_or(0);
    Ok(Some(FstabEntry { source, target, fstype, options, file: path.to_owned(), line: number, pass, remote }))
}
