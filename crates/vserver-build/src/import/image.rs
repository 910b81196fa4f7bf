//! The image of a disk. It is unpacked by qemu-img(1), which finds nothing of the host but the image's own files (an image
//! can name any file as its content); its table of partitions is read by sfdisk(8), there, too; and the partition with the
//! root is copied out and mounted, read-only, where nobody sees it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use vserver_disk::image::{Access, Kind, detached};
use vserver_fs::GuestRoot;

use crate::confine::{Room, WORK};
use crate::request::Progress;
use crate::signals::Signals;
use crate::stage::Stage;
use crate::{Error, child};

/// Formats by their first bytes: place, bytes, qemu's name. Sources: qcow2.txt, the VMDK, VHDX and VDI specifications.
const FORMATS: [(u64, &[u8], &str); 6] = [
    (0, b"QFI\xfb", "qcow2"),
    (0, b"KDMV", "vmdk"),
    (0, b"COWD", "vmdk"),
    (0, b"# Disk DescriptorFile", "vmdk"),
    (0, b"vhdxfile", "vhdx"),
    (64, &[0x7f, 0x10, 0xda, 0xbe], "vdi"),
];
/// The end of a first sector that has a table of partitions.
const TABLE: (u64, &[u8]) = (510, &[0x55, 0xaa]);
const PIECE: usize = 1 << 20;

/// Whether the file is the image of a disk, by its first bytes.
pub fn is_image(file: &Path) -> bool {
    let Ok(opened) = File::open(file) else { return false };
    let is_file = opened.metadata().is_ok_and(|found| found.is_file());
    is_file && (format(&opened).is_some() || has(&opened, TABLE.0, TABLE.1) || Kind::find(file).is_ok())
}

fn has(file: &File, place: u64, bytes: &[u8]) -> bool {
    let mut found = vec![0; bytes.len()];
    file.read_exact_at(&mut found, place).is_ok() && found == bytes
}

fn format(file: &File) -> Option<&'static str> {
    FORMATS.iter().find(|(place, bytes, _)| has(file, *place, bytes)).map(|(_, _, name)| *name)
}

/// A mounted root. It is gone when this is.
pub(super) struct Mounted {
    root: OwnedFd,
    _copy: Option<Removed>,
}

impl Mounted {
    /// Where it can be opened; by its name alone it would be a link.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/.", self.root.as_raw_fd()))
    }
}

/// A file of ours that is gone when it is not needed any more.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        // The stage takes along what is left.
        fs::remove_file(&self.0).ok();
    }
}

/// A part of a disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    number: u32,
    start: u64,
    length: u64,
}

/// Finds the root of the system in the image and mounts it.
pub(super) fn open(
    image: &Path,
    wanted: Option<u32>,
    stage: &Stage,
    signals: &Signals,
    progress: &mut dyn Progress,
) -> Result<Mounted, Error> {
    let tools = Tools { stage, room: room(image, stage)?, shown: image.to_owned() };
    let disk = tools.raw(image, signals, progress)?;
    let raw = disk.as_ref().map_or(image, |disk| &disk.0);
    let parts = tools.parts(raw, signals, progress)?;
    let file = File::open(raw).map_err(Error::io("open the image", raw))?;
    let mut known: Vec<Part> = parts.iter().copied().filter(|part| Kind::at(&file, part.start).is_some()).collect();
    known.retain(|part| wanted.is_none_or(|wanted| wanted == part.number));
    // The root is seldom the smallest; each is copied only to be looked at.
    known.sort_by_key(|part| std::cmp::Reverse(part.length));
    for part in &known {
        signals.check()?;
        let copy = Removed(stage.dir().join(format!("partition-{}.img", part.number)));
        cut(&file, *part, &copy.0, signals)?;
        let (root, _) = detached(&copy.0, Access::Read)?;
        let mounted = Mounted { root, _copy: Some(copy) };
        if wanted.is_some() || known.len() == 1 || is_system(&mounted, image)? {
            return Ok(mounted);
        }
    }
    Err(tools.refused(&match (wanted, parts.len()) {
        (Some(wanted), _) => format!("it has no partition {wanted} with ext4, xfs or btrfs"),
        (None, count) => format!(
            "none of its {count} partitions has the root of a system on ext4, xfs or btrfs; if it is in a volume group or encrypted, \
             open it on this host, mount it, and import the directory"
        ),
    }))
}

fn is_system(mounted: &Mounted, image: &Path) -> Result<bool, Error> {
    let root = mounted.root.try_clone().map_err(Error::io("look into", image))?;
    let root = GuestRoot::of(root, image)?;
    Ok(root.exists("etc")? && (root.exists("usr")? || root.exists("bin")?))
}

fn room(image: &Path, stage: &Stage) -> Result<Room, Error> {
    let place = image.canonicalize().map_err(Error::io("find the image", image))?;
    let work = stage.dir().join("tool");
    fs::create_dir_all(&work).map_err(Error::io("make the directory", &work))?;
    Ok(Room { tree: stage.root().to_owned(), work, lent: files(&place)?, ..Room::default() })
}

/// The image and the files beside it that are of it by their names: `web.vmdk` has its content in `web-flat.vmdk`. Others it may
/// name, but not get: what it says of its content is the word of whoever made it.
fn files(image: &Path) -> Result<Vec<PathBuf>, Error> {
    let (Some(dir), Some(stem)) = (image.parent(), image.file_stem()) else { return Ok(vec![image.to_owned()]) };
    let start = [stem.as_bytes(), b"-"].concat();
    let mut found = vec![image.to_owned()];
    for entry in dir.read_dir().map_err(Error::io("read the directory of the image", dir))? {
        let entry = entry.map_err(Error::io("read the directory of the image", dir))?;
        if entry.file_name().as_bytes().starts_with(&start) && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

struct Tools<'a> {
    stage: &'a Stage,
    room: Room,
    shown: PathBuf,
}

impl Tools<'_> {
    /// The content of an image that is not raw.
    fn raw(&self, image: &Path, signals: &Signals, progress: &mut dyn Progress) -> Result<Option<Removed>, Error> {
        let file = File::open(image).map_err(Error::io("open the image", image))?;
        let Some(format) = format(&file) else { return Ok(None) };
        if !child::installed("qemu-img") {
            return Err(Error::Missing { program: "qemu-img", package: "qemu-utils" });
        }
        progress.stage(&format!("unpacking {}", self.shown.display()));
        let place = image.canonicalize().map_err(Error::io("find the image", image))?;
        let mut words: Vec<OsString> =
            ["qemu-img", "convert", "-f", format, "-O", "raw", "--"].map(OsString::from).to_vec();
        words.extend([place.into_os_string(), format!("{WORK}/disk.raw").into()]);
        let log = self.stage.log("qemu-img.log");
        child::run("qemu-img", &mut self.room.command(&words)?, &log, signals, progress)?;
        Ok(Some(Removed(self.room.work.join("disk.raw"))))
    }

    /// The partitions of a raw disk; the whole if it has none.
    fn parts(&self, raw: &Path, signals: &Signals, progress: &mut dyn Progress) -> Result<Vec<Part>, Error> {
        let file = File::open(raw).map_err(Error::io("open the image", raw))?;
        let length = file.metadata().map_err(Error::io("look at", raw))?.len();
        let whole = Part { number: 0, start: 0, length };
        if Kind::at(&file, 0).is_some() {
            return Ok(vec![whole]);
        }
        if !has(&file, TABLE.0, TABLE.1) {
            return Err(self.refused("it has neither a table of partitions nor one of ext4, xfs and btrfs"));
        }
        if !child::installed("sfdisk") {
            return Err(Error::Missing { program: "sfdisk", package: "fdisk" });
        }
        let place = raw.canonicalize().map_err(Error::io("find the image", raw))?;
        let inside = if place.starts_with(&self.room.work) { PathBuf::from(WORK).join("disk.raw") } else { place };
        let words = [OsString::from("sfdisk"), "--json".into(), "--".into(), inside.into_os_string()];
        let log = self.stage.log("sfdisk.log");
        child::run("sfdisk", &mut self.room.command(&words)?, &log, signals, progress)?;
        let text = fs::read_to_string(&log).map_err(Error::io("read", &log))?;
        parts(&text, length).ok_or_else(|| self.refused("its table of partitions cannot be understood"))
    }

    fn refused(&self, why: &str) -> Error {
        Error::Wish { reason: format!("the image '{}' cannot be used: {why}", self.shown.display()) }
    }
}

/// What sfdisk(8) says, after its warnings; parts that are not within the disk are left out.
fn parts(text: &str, length: u64) -> Option<Vec<Part>> {
    let json: Value = serde_json::from_str(text.get(text.find('{')?..=text.rfind('}')?)?).ok()?;
    let table = json.get("partitiontable")?;
    let sector = table.get("sectorsize").and_then(Value::as_u64).unwrap_or(512);
    let part = |(index, value): (usize, &Value)| {
        let number = |key: &str| value.get(key)?.as_u64()?.checked_mul(sector);
        let name: String = value.get("node")?.as_str()?.chars().rev().take_while(char::is_ascii_digit).collect();
        let name: String = name.chars().rev().collect();
        let (start, size) = (number("start")?, number("size")?);
        let within = start.checked_add(size).is_some_and(|end| end <= length);
        let number = name.parse().unwrap_or(u32::try_from(index + 1).ok()?);
        within.then_some(Part { number, start, length: size })
    };
    Some(table.get("partitions")?.as_array()?.iter().enumerate().filter_map(part).collect())
}

/// Copies a part into a file of its own; what is a hole stays one.
fn cut(disk: &File, part: Part, to: &Path, signals: &Signals) -> Result<(), Error> {
    let failed = || Error::io("copy a partition to", to);
    let file = File::create_new(to).map_err(failed())?;
    file.set_len(part.length).map_err(failed())?;
    let mut disk = disk.try_clone().map_err(failed())?;
    let (end, mut buffer) = (part.start + part.length, vec![0; PIECE]);
    let mut place = part.start;
    while place < end {
        signals.check()?;
        place = match next_data(&mut disk, place) {
            Some(data) if data < end => data,
            _ => break,
        };
        let wanted = usize::try_from(end - place).map_or(PIECE, |left| left.min(PIECE));
        let count = disk.read_at(&mut buffer[..wanted], place).map_err(failed())?;
        if count == 0 {
            break;
        }
        if buffer[..count].iter().any(|byte| *byte != 0) {
            file.write_all_at(&buffer[..count], place - part.start).map_err(failed())?;
        }
        place += count as u64;
    }
    Ok(())
}

/// lseek(2) with `SEEK_DATA`; where a file system has no holes, everything is data.
fn next_data(disk: &mut File, place: u64) -> Option<u64> {
    use nix::unistd::{Whence, lseek};
    let from = i64::try_from(place).ok()?;
    match lseek(&*disk, from, Whence::SeekData) {
        Ok(found) => u64::try_from(found).ok(),
        Err(nix::errno::Errno::ENXIO) => None,
        Err(_) => disk.seek(SeekFrom::Start(place)).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_and_what_lies_is_left_out() {
        let text = "a warning\n{\"partitiontable\": {\"label\":\"gpt\", \"sectorsize\":512, \"partitions\": [\
                    {\"node\":\"disk.raw1\", \"start\":2048, \"size\":8}, {\"node\":\"disk.raw15\", \"start\":4096, \"size\":1},\
                    {\"node\":\"disk.raw3\", \"start\":9, \"size\":36028797018963968}]}}";
        let found = parts(text, 4097 * 512).unwrap();
        assert_eq!(
            found,
            [
                Part { number: 1, start: 2048 * 512, length: 4096 },
                Part { number: 15, start: 4096 * 512, length: 512 },
            ]
        );
        assert!(parts("nothing", 1).is_none());
    }

    #[test]
    fn formats_by_their_first_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("disk");
        for (content, is) in [(&b"QFI\xfb\0\0"[..], true), (b"KDMV", true), (b"text", false), (b"", false)] {
            fs::write(&file, content).unwrap();
            assert_eq!(is_image(&file), is, "{content:?}");
        }
        assert!(!is_image(dir.path()));
    }
}
