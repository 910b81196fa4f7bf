//! A run that is killed, whenever that is, leaves every file with all that it had. `VSERVER_KILLS` says how often
//! (`cargo xtask kills`).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use crate::fixture::Fixture;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![Trial::new("unify::killed_at_any_moment", killed_at_any_moment).within(3600)]
}

const KILLS: u32 = 15;
const FILES: u32 = 400;

/// Content, mode, owner, seconds of the last change.
type Facts = (Vec<u8>, u32, u32, i64);

fn killed_at_any_moment() {
    let host = Fixture::new();
    let kills = std::env::var("VSERVER_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(KILLS);
    let home = host.trees();
    let pristine = home.join("pristine");
    plant(&pristine);
    let wanted = facts(&pristine);
    let list = host.scratch("lists").join("none");
    fs::write(&list, "").unwrap();
    let unify = || {
        let mut command = host.command("vhashify");
        command.args(["--manually", "--destination"]).arg(home.join(".hash"));
        for tree in ["a", "b", "c"] {
            command.arg(home.join(tree)).arg(&list);
        }
        command
    };
    // As long as a whole run takes, a kill may hit it.
    renew(&home);
    let begun = Instant::now();
    assert!(unify().status().unwrap().success());
    let whole = begun.elapsed();
    let mut random = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos();
    let mut hit = 0;
    for _ in 0..kills {
        renew(&home);
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let wait = whole.mul_f64(f64::from(random >> 8) / f64::from(1 << 24));
        let mut child = unify().spawn().unwrap();
        std::thread::sleep(wait);
        child.kill().unwrap();
        hit += u32::from(!child.wait().unwrap().success());
        for tree in ["a", "b", "c"] {
            let mut found = facts(&home.join(tree));
            found.retain(|name, _| !name.to_string_lossy().contains(".vserver-unify-"));
            assert!(found == wanted, "{tree} after {wait:?} of {whole:?}, seed {random}");
        }
        assert!(unify().status().unwrap().success());
        for tree in ["a", "b", "c"] {
            assert!(facts(&home.join(tree)) == wanted, "{tree}, repeated after {wait:?} of {whole:?}, seed {random}");
        }
        let one = home.join("a/dir1/file1").metadata().unwrap().ino();
        assert_eq!(one, home.join("c/dir1/file1").metadata().unwrap().ino());
    }
    assert!(hit > 0, "no run was killed");
}

/// Files of which some are equal, in all that may be lost.
fn plant(tree: &Path) {
    for number in 0..FILES {
        let path = tree.join(format!("dir{}/file{number}", number % 20));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("content {}\n", number % 150).repeat(40 + (number % 150) as usize)).unwrap();
        chown(&path, Some(number % 3), Some(number % 2)).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(if number % 7 == 0 { 0o4755 } else { 0o644 })).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + u64::from(number % 150));
        File::open(&path).unwrap().set_modified(time).unwrap();
    }
}

/// Three guests that share nothing, and no store.
fn renew(home: &Path) {
    for tree in ["a", "b", "c", ".hash"] {
        let _ = fs::remove_dir_all(home.join(tree));
    }
    for tree in ["a", "b", "c"] {
        let copy = Command::new("cp").arg("-a").arg(home.join("pristine")).arg(home.join(tree)).status();
        assert!(copy.unwrap().success());
    }
}

fn facts(tree: &Path) -> BTreeMap<PathBuf, Facts> {
    let mut all = BTreeMap::new();
    for directory in fs::read_dir(tree).unwrap() {
        for file in fs::read_dir(directory.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let found = path.symlink_metadata().unwrap();
            let facts = (fs::read(&path).unwrap(), found.mode(), found.uid(), found.mtime());
            all.insert(path.strip_prefix(tree).unwrap().to_owned(), facts);
        }
    }
    all
}
