//! What of a setting does not hold because of what it says.

use std::path::Path;

use vserver_types::Unenforced;

use super::how;
use crate::model::Interface;
use crate::reader::Reader;

/// VLAN devices that are wanted, and namespaces that are to be shared or left out.
pub(crate) fn lost(dir: &Path, interfaces: &[Interface]) -> Vec<Unenforced> {
    let mut all: Vec<Unenforced> = Vec::new();
    for (interface, vlan) in interfaces.iter().filter_map(|one| Some((one, one.vlan.as_ref()?))) {
        let own = format!("interfaces/{}/vlandev", interface.dir);
        let here = [own.as_str(), "interfaces/vlandev"].into_iter().find(|path| dir.join(path).exists());
        let setting = here.unwrap_or(".defaults/interfaces/vlandev");
        if !all.iter().any(|known| known.setting == setting) {
            let device = interface.dev.as_deref().unwrap_or_default();
            let reason = format!(
                "{}: ip link add link {} name {device} type vlan id {}",
                how("interfaces/vlandev"),
                vlan.parent,
                vlan.id
            );
            all.push(Unenforced::none(setting, reason));
        }
    }
    all.extend(space(dir, "spaces/pid", |word| !word.is_empty()));
    all.extend(space(dir, "spaces/net", |word| word != "0"));
    all
}

/// An empty file, or one without a newline at its end, asks for a namespace of its own, `0` for none; any other word is a
/// guest whose namespace is to be shared. Source: `config-tree.md` §5.7.
fn space(dir: &Path, file: &'static str, is_lost: impl Fn(&str) -> bool) -> Option<Unenforced> {
    let mut reader = Reader::default();
    let text = reader.text(&dir.join(file))?;
    let word = if text.contains('\n') { reader.scalar(&dir.join(file))? } else { String::new() };
    is_lost(&word).then(|| Unenforced::none(file, how(file)))
}
