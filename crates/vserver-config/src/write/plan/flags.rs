//! The lists of flags and capabilities, and the personality.

use vserver_types::{ContextCaps, ContextFlags, FlagEdit, FlagKind, NetCaps};

use super::super::editor::Editor;
use super::super::words::{Meaning, flags};
use super::super::{text, words};
use crate::model::GuestConfig;
use crate::read::{PERSONALITIES, net_flags};
use crate::reader::shell_read;

pub(super) fn plan(editor: &mut Editor<'_>, now: &GuestConfig, wanted: &GuestConfig) {
    if now.bcaps != wanted.bcaps {
        edit(editor, "bcapabilities", FlagKind::Bcap, wanted.bcaps);
    }
    if now.umask != wanted.umask {
        edit(editor, "umask", FlagKind::Space, wanted.umask);
    }
    if now.ccaps != wanted.ccaps {
        word(editor, "ccapabilities", FlagKind::Ccap, wanted.ccaps.0, |edit| edit.apply(ContextCaps::SECURE));
    }
    if now.ncaps != wanted.ncaps {
        word(editor, "ncapabilities", FlagKind::Ncap, wanted.ncaps.0, |edit| edit.apply(NetCaps::SECURE));
    }
    // How many addresses there are decides one of them.
    if now.nflags != wanted.nflags || now.interfaces != wanted.interfaces {
        word(editor, "nflags", FlagKind::Nflag, wanted.nflags.0, |edit| net_flags(edit, &wanted.interfaces));
    }
    cflags(editor, now, wanted);
    if now.personality != wanted.personality {
        personality(editor, wanted.personality);
    }
}

/// A list whose base is not ours to know.
fn edit(editor: &mut Editor<'_>, file: &str, kind: FlagKind, wanted: FlagEdit) {
    let exact = |edit: FlagEdit| Meaning { mask: edit.mask, value: edit.value & edit.mask };
    rewrite(editor, file, |old| flags(old, kind, &exact(wanted), exact, |_| false));
}

/// A list of changes to a known word.
fn word(editor: &mut Editor<'_>, file: &str, kind: FlagKind, wanted: u64, result: impl Fn(FlagEdit) -> u64) {
    let whole = |value| Meaning { mask: u64::MAX, value };
    rewrite(editor, file, |old| flags(old, kind, &whole(wanted), |edit| whole(result(edit)), |_| false));
}

fn rewrite(editor: &mut Editor<'_>, file: &str, change: impl Fn(&str) -> String) {
    let old = editor.text(file);
    let new = change(old.as_deref().unwrap_or_default());
    if old.is_some() || !new.is_empty() {
        editor.put(file, new);
    }
}

/// The lines `fakeinit` and `namespace` are no flags of the list.
fn cflags(editor: &mut Editor<'_>, now: &GuestConfig, wanted: &GuestConfig) {
    if now.cflags == wanted.cflags && now.init.fakeinit == wanted.init.fakeinit {
        return;
    }
    let file = if !editor.exists("cflags") && editor.exists("flags") { "flags" } else { "cflags" };
    let whole = |value| Meaning { mask: u64::MAX, value };
    let result = |edit: FlagEdit| whole(edit.apply(ContextFlags::START));
    let apart = |line: &str| matches!(line, "fakeinit" | "namespace");
    rewrite(editor, file, |old| {
        let text = words::flags(old, FlagKind::Cflag, &whole(wanted.cflags.0), result, apart);
        let items = text::list_pieces(&text).into_iter().filter_map(|piece| piece.item);
        let mut items: Vec<String> = items.filter(|item| wanted.init.fakeinit || item != "fakeinit").collect();
        if wanted.init.fakeinit && !items.iter().any(|item| item == "fakeinit") {
            items.push("fakeinit".to_owned());
        }
        text::list(&text, &items)
    });
}

/// The type on the first line, flags on the following ones.
fn personality(editor: &mut Editor<'_>, wanted: Option<u32>) {
    let Some(wanted) = wanted else { return editor.remove("personality") };
    let fits = |value: u32| value & 0xff == wanted & 0xff && value & !wanted == 0;
    let Some((name, value)) = PERSONALITIES.into_iter().find(|(_, value)| fits(*value)) else { return };
    let bits = u64::from(wanted & !value);
    let old = editor.text("personality").unwrap_or_default();
    let exact = |edit: FlagEdit| Meaning { mask: edit.mask, value: edit.value & edit.mask };
    let rest = shell_read(&old).1.unwrap_or_default();
    let wanted = Meaning { mask: bits, value: bits };
    let rest = flags(rest, FlagKind::Personality, &wanted, exact, |_| false);
    let first = text::scalar(&old, name);
    let first = &first[..first.len() - shell_read(&first).1.map_or(0, str::len)];
    let end = if first.ends_with('\n') { "" } else { "\n" };
    editor.put("personality", format!("{first}{end}{rest}"));
}
