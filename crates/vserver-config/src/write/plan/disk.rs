//! `tag`, `dlimits/`, `disk/image`.

use super::super::editor::Editor;
use crate::model::{DiskLimit, GuestConfig};

pub(super) fn plan(editor: &mut Editor<'_>, now: &GuestConfig, wanted: &GuestConfig) {
    if now.tag != wanted.tag {
        editor.scalar("tag", wanted.tag.map(|tag| tag.to_string()).as_deref());
    }
    if now.dlimits != wanted.dlimits {
        limits(editor, &wanted.dlimits);
    }
    if now.image != wanted.image {
        let image = wanted.image.as_ref().map(|image| image.to_string_lossy().into_owned());
        editor.scalar("disk/image", image.as_deref());
    }
}

/// One that is switched off is none, and stays.
fn limits(editor: &mut Editor<'_>, wanted: &[DiskLimit]) {
    for name in editor.names("dlimits") {
        let entry = format!("dlimits/{name}");
        let counts = editor.is_dir(&entry) && !editor.exists(&format!("{entry}/disabled"));
        if counts && wanted.iter().all(|limit| limit.name != name) {
            editor.set_aside(&entry);
        }
    }
    for DiskLimit { name, directory, space, inodes, reserved } in wanted {
        let bound = |limit: &Option<u64>| limit.map_or_else(|| "-1".to_owned(), |limit| limit.to_string());
        for (file, value) in [
            ("directory", directory.to_string_lossy().into_owned()),
            ("space_total", bound(space)),
            ("inodes_total", bound(inodes)),
            ("reserved", reserved.to_string()),
        ] {
            editor.scalar(&format!("dlimits/{name}/{file}"), Some(&value));
        }
        editor.flag(&format!("dlimits/{name}/disabled"), false);
    }
}
