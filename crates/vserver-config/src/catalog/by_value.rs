//! What of a setting does not hold because of what it says.

use std::path::Path;

use vserver_types::Unenforced;

use super::how;
use crate::reader::Reader;

/// Namespaces that are to be shared or left out.
pub(crate) fn lost(reader: &mut Reader, dir: &Path) -> Vec<Unenforced> {
    space(reader, dir, "spaces/pid", |word| !word.is_empty()).into_iter().collect()
}

/// An empty file, or one without a newline at its end, asks for a namespace of its own, `0` for none; any other word is a
/// guest whose namespace is to be shared. Source: `config-tree.md` §5.7.
fn space(reader: &mut Reader, dir: &Path, file: &'static str, is_lost: impl Fn(&str) -> bool) -> Option<Unenforced> {
    let text = reader.text(&dir.join(file))?;
    let word = if text.contains('\n') { reader.scalar(&dir.join(file))? } else { String::new() };
    is_lost(&word).then(|| Unenforced::none(file, how(file)))
}
