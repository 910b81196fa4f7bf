//! Single files of a guest's directory are changed by hand, so to speak: `vserver NAME config --set`.

use std::fs;
use std::path::{Component, Path, PathBuf};

use vserver_types::{GuestName, ParseError};

use super::apply::apply;
use super::create::Draft;
use super::editor::Editor;
use super::shadow::{detach, shadow};
use super::text::{Piece, argument_pieces, escape, list_pieces, merge};
use super::{existing, hidden, lock, remove_tree};
use crate::catalog::{Kind, Tree, lookup};
use crate::error::{Diagnostic, Error, Severity};
use crate::mounts::entry_of;
use crate::read::survey_dir;

/// One file, by its path below the guest's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// It says this: a value, or all items of a list, one per line.
    Set(String, String),
    /// A list has this item, too.
    Add(String, String),
    /// A list has not this item.
    Drop(String, String),
    /// It is not there.
    Unset(String),
}

impl Edit {
    fn file(&self) -> &str {
        match self {
            Self::Set(file, _) | Self::Add(file, _) | Self::Drop(file, _) | Self::Unset(file) => file,
        }
    }
}

/// Changes files of a guest's directory, all or none, and gives those that changed. Comments, order, owner, mode, and
/// links stay, as in [`super::write`]. What is wrong with the guest besides does not matter.
///
/// # Errors
/// [`Error::Argument`] for a file that nothing reads or that holds no such thing; [`Error::Invalid`] with the faults that
/// the change would bring.
pub fn edit(confdir: &Path, name: &GuestName, edits: &[Edit]) -> Result<Vec<PathBuf>, Error> {
    let confdir = std::path::absolute(confdir).map_err(Error::io("find", confdir))?;
    let dir = existing(&confdir, name)?;
    let _lock = lock(&confdir)?;
    let draft = Draft(hidden(&confdir, "new", name));
    remove_tree(&draft.0)?;
    shadow(&dir, &draft.0)?;
    let before = survey_dir(&confdir, &draft.0, name).1;
    let mut changed = Vec::new();
    // One after the other: a later one sees what an earlier one did.
    for change in edits {
        let mut editor = Editor::new(&draft.0);
        plan(&mut editor, change)?;
        let changes = editor.changes().map_err(|error| error.moved(&draft.0, &dir))?;
        detach(&draft.0, &changes)?;
        apply(&draft.0, &changes, None, false).map_err(|error| error.moved(&draft.0, &dir))?;
        changed.push(changes);
    }
    let after = survey_dir(&confdir, &draft.0, name).1;
    judge(&before, after).map_err(|error| error.moved(&draft.0, &dir))?;
    let fence = fs::canonicalize(dir.join("vdir")).ok();
    let mut files = Vec::new();
    for changes in changed {
        apply(&dir, &changes, fence.as_deref(), true)?;
        files.extend(changes.keys().map(|file| dir.join(file)));
    }
    files.dedup();
    Ok(files)
}

/// Only what was not wrong before counts.
fn judge(before: &[Diagnostic], after: Vec<Diagnostic>) -> Result<(), Error> {
    // A line may have moved.
    let known = |one: &Diagnostic| before.iter().any(|old| old.path == one.path && old.message == one.message);
    let new: Vec<Diagnostic> = after.into_iter().filter(|one| !known(one)).collect();
    match new.iter().any(|finding| finding.severity == Severity::Error) {
        true => Err(Error::Invalid { diagnostics: new }),
        false => Ok(()),
    }
}

fn plan(editor: &mut Editor<'_>, change: &Edit) -> Result<(), Error> {
    let file = change.file();
    let bad = |reason| Error::Argument(ParseError::new("file of a guest", file, reason));
    let plain = Path::new(file).components().all(|part| matches!(part, Component::Normal(_)));
    let setting = lookup(Tree::Guest, file).filter(|_| plain && !file.is_empty());
    let kind = setting.ok_or_else(|| bad("nothing reads a file of this name; docs/config.md has all names"))?.kind;
    if editor.is_dir(file) {
        return Err(bad("it is a directory; name a file in it"));
    }
    if let Edit::Unset(_) = change {
        editor.remove(file);
        return Ok(());
    }
    let form = Form::of(file, kind)
        .ok_or_else(|| bad("it is a directory, a link or a program, which this does not make"))?;
    match (change, form.list()) {
        (Edit::Set(_, value), None) => form.set(editor, file, value).map_err(bad)?,
        (Edit::Set(_, value), Some(list)) => {
            let items = value.split('\n').filter(|item| !item.is_empty()).map(str::to_owned).collect::<Vec<_>>();
            list.write(editor, file, &items);
        }
        (Edit::Add(_, item), Some(list)) => {
            let mut items = list.read(editor, file);
            if !items.contains(item) {
                items.push(item.clone());
                list.write(editor, file, &items);
            }
        }
        (Edit::Drop(_, item), Some(list)) => {
            let items = list.read(editor, file);
            let left = list.without(&items, item);
            if left == items {
                return Err(bad("it has no such item"));
            }
            list.write(editor, file, &left);
        }
        (_, None) => return Err(bad("it is no list, but has one value; set it")),
        (Edit::Unset(_), _) => {}
    }
    Ok(())
}

/// How a file says what it says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Flag,
    Line,
    Whole,
    List(List),
}

/// How a file holds several things.
#[derive(Clone, Copy, PartialEq, Eq)]
enum List {
    /// Lines with comments.
    Items,
    /// The same, and a line may hold several words with commas.
    Words,
    /// Lines as they are.
    Arguments,
    /// Lines of fields.
    Mounts,
}

/// Lists whose lines may hold several words.
const WORDS: [&str; 7] = ["bcapabilities", "ccapabilities", "cflags", "flags", "ncapabilities", "nflags", "umask"];

impl Form {
    fn of(file: &str, kind: Kind) -> Option<Self> {
        Some(match kind {
            Kind::Data if matches!(file, "fstab" | "fstab.local" | "fstab.remote") => Self::List(List::Mounts),
            Kind::Lines if WORDS.contains(&file) => Self::List(List::Words),
            Kind::Lines => Self::List(List::Items),
            Kind::Arguments => Self::List(List::Arguments),
            Kind::Scalar | Kind::Limit | Kind::Integer => Self::Line,
            Kind::Text | Kind::Data => Self::Whole,
            Kind::Flag => Self::Flag,
            Kind::Link | Kind::Directory | Kind::Group | Kind::Program => return None,
        })
    }

    fn list(self) -> Option<List> {
        if let Self::List(list) = self { Some(list) } else { None }
    }

    fn set(self, editor: &mut Editor<'_>, file: &str, value: &str) -> Result<(), &'static str> {
        match self {
            Self::Flag if value.is_empty() => editor.flag(file, true),
            Self::Flag => return Err("it says something by being there; leave its value empty"),
            Self::Whole => editor.put(file, format!("{value}\n")),
            _ if value.contains('\n') => return Err("it holds one line"),
            _ => editor.scalar(file, Some(value)),
        }
        Ok(())
    }
}

impl List {
    fn pieces(self, text: &str) -> Vec<Piece<'_>> {
        match self {
            Self::Items | Self::Words => list_pieces(text),
            Self::Arguments => argument_pieces(text),
            Self::Mounts => {
                let mut pieces = argument_pieces(text);
                let says = |line: &str| matches!(entry_of(line, Path::new(""), 0, false), Ok(Some(_)));
                pieces.iter_mut().for_each(|piece| piece.item = piece.item.take().filter(|line| says(line)));
                pieces
            }
        }
    }

    fn read(self, editor: &Editor<'_>, file: &str) -> Vec<String> {
        let text = editor.text(file).unwrap_or_default();
        self.pieces(&text).into_iter().filter_map(|piece| piece.item).collect()
    }

    fn write(self, editor: &mut Editor<'_>, file: &str, items: &[String]) {
        let text = editor.text(file).unwrap_or_default();
        let escaped = matches!(self, Self::Items | Self::Words);
        let render = |item: &str| if escaped { escape(item) } else { item.to_owned() };
        editor.put(file, merge(&self.pieces(&text), items, render));
    }

    fn without(self, items: &[String], item: &str) -> Vec<String> {
        let rest = |own: &String| match self {
            Self::Words => own.split(',').filter(|word| *word != item).collect::<Vec<_>>().join(","),
            _ if own == item => String::new(),
            _ => own.clone(),
        };
        items.iter().map(rest).filter(|own| !own.is_empty()).collect()
    }
}
