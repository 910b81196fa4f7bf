//! `apps/vdevmap/`.

use super::super::editor::Editor;
use crate::model::{DeviceMap, GuestConfig};

pub(super) fn plan(editor: &mut Editor<'_>, now: &GuestConfig, wanted: &GuestConfig) {
    if now.devices == wanted.devices {
        return;
    }
    for name in editor.names("apps/vdevmap") {
        let entry = format!("apps/vdevmap/{name}");
        if editor.is_dir(&entry) && wanted.devices.iter().all(|map| map.name != name) {
            editor.set_aside(&entry);
        }
    }
    for DeviceMap { name, device, create, open, target } in &wanted.devices {
        let file = |file: &str| format!("apps/vdevmap/{name}/{file}");
        let target = target.as_ref().map(|target| target.to_string_lossy());
        editor.scalar(&file("device"), Some(&device.to_string_lossy()));
        editor.scalar(&file("target"), target.as_deref());
        editor.flag(&file("create"), *create);
        editor.flag(&file("open"), *open);
        editor.flag(&file("remap"), target.is_some());
        // What the number says, the files say.
        editor.scalar(&file("flags"), None);
    }
}
