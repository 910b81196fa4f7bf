//! `install`: programs and data to where a distribution would put them.

mod boot;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::build::{PROGRAMS, cargo, release};
use crate::shell::{capture, repository, say};

/// Runs the verb.
pub fn run(words: &[&str]) -> Outcome {
    let (mut destdir, mut prefix) = (PathBuf::new(), PathBuf::from("/usr/local"));
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} wants a directory"))?;
        match *word {
            "--destdir" => destdir = PathBuf::from(value),
            "--prefix" if value.starts_with('/') => prefix = PathBuf::from(value),
            "--prefix" => return Err(format!("--prefix wants an absolute directory, not '{value}'")),
            _ => return Err(format!("`cargo xtask install` knows no '{word}'")),
        }
    }
    let bin = release(PROGRAMS)?;
    // `join` of an absolute path would forget the destination.
    let root = destdir.join(prefix.strip_prefix("/").unwrap_or(&prefix));
    let root = if destdir.as_os_str().is_empty() { prefix.clone() } else { root };
    let places = boot::Places { root: &root, prefix: &prefix, destdir: &destdir };
    lay(&bin, &root)
        .and_then(|()| boot::lay(&places))
        .map_err(|error| format!("could not install below {}: {error}", root.display()))?;
    manual(&root)?;
    boot::verify(&places)?;
    say(&format!("installed below {}", root.display()));
    Ok(())
}

/// Programs below `root`, those that people call in `sbin`.
pub fn programs(bin: &Path, root: &Path) -> std::io::Result<()> {
    let sbin = root.join("sbin");
    fs::create_dir_all(&sbin)?;
    place(&bin.join("vserver"), &sbin.join("vserver"), 0o755)?;
    place(&bin.join("vserverd"), &sbin.join("vserverd"), 0o755)?;
    let lib = root.join("lib/vserver");
    fs::create_dir_all(&lib)?;
    for program in ["vserver-supervisor", "vserver-view"] {
        place(&bin.join(program), &lib.join(program), 0o755)?;
    }
    Ok(())
}

fn lay(bin: &Path, root: &Path) -> std::io::Result<()> {
    programs(bin, root)?;
    for data in ["distributions", "etc-templates"] {
        let from = repository().join(data);
        if from.is_dir() {
            copy_dir(&from, &root.join("share/vserver").join(data))?;
        }
    }
    Ok(())
}

/// Man pages, completions and a link for each name of the one program, all from the definitions of its command lines:
/// those that people call in `sbin`, the others in `lib/util-vserver`.
fn manual(root: &Path) -> Outcome {
    let mut example = cargo();
    example.args(["run", "--release", "--locked", "--quiet", "-p", "vserver-cli", "--example", "manual", "--"]);
    let programs = capture(example.arg(root.join("share")))?;
    for line in programs.lines() {
        let (dir, target, name) = match line.split_once(' ') {
            Some(("people", name)) => ("sbin", "vserver", name),
            Some((_, name)) => ("lib/util-vserver", "../../sbin/vserver", name),
            None => continue,
        };
        let link = root.join(dir).join(name);
        let _ = fs::remove_file(&link);
        fs::create_dir_all(root.join(dir))
            .and_then(|()| symlink(target, &link))
            .map_err(|error| format!("could not make the link {}: {error}", link.display()))?;
    }
    Ok(())
}

/// Beside, then over: a running program keeps its file.
fn place(from: &Path, to: &Path, mode: u32) -> std::io::Result<()> {
    let beside = to.with_extension("new");
    fs::copy(from, &beside)?;
    fs::set_permissions(&beside, fs::Permissions::from_mode(mode))?;
    fs::rename(&beside, to)
}

fn copy_dir(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_dir(&path, &target)?;
        } else {
            place(&path, &target, fs::metadata(&path)?.permissions().mode() & 0o777)?;
        }
    }
    Ok(())
}
