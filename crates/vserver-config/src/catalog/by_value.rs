//! What of a setting does not hold because of what it says.

use std::path::Path;

use vserver_types::Unenforced;

use super::how;
use crate::network_space::NetworkSpace;
use crate::reader::Reader;

/// Namespaces that are to be shared or left out, and what needs one of the guest's own, which `network` is or is not.
pub(crate) fn lost(reader: &mut Reader, dir: &Path, network: &NetworkSpace) -> Vec<Unenforced> {
    let mut all: Vec<_> = space(reader, dir, "spaces/pid", |word| !word.is_empty()).into_iter().collect();
    all.extend(sctp(dir, network));
    all
}

/// SCTP where it cannot be held to addresses. That of `.defaults/`, which `nonetns` denies with all that is there, is nothing
/// lost.
fn sctp(dir: &Path, network: &NetworkSpace) -> Option<Unenforced> {
    let denied = || Reader::exists(&dir.join("nonetns")) && Reader::exists(&dir.join("netns/sctp"));
    let remedy = match network {
        _ if network.wants_sctp() && !network.is_own() => "remove netns/shared",
        NetworkSpace::Named(_) => return None,
        _ if denied() => "remove nonetns",
        _ => return None,
    };
    let reason = format!(
        "SCTP binds and takes further addresses in ways that no program of a cgroup is asked about, so it is only for a \
         network stack of the guest's own: {remedy}"
    );
    Some(Unenforced::none("netns/sctp", reason))
}

/// An empty file, or one without a newline at its end, asks for a namespace of its own, `0` for none; any other word is a
/// guest whose namespace is to be shared. Source: `config-tree.md` §5.7.
fn space(reader: &mut Reader, dir: &Path, file: &'static str, is_lost: impl Fn(&str) -> bool) -> Option<Unenforced> {
    let text = reader.text(&dir.join(file))?;
    let word = if text.contains('\n') { reader.scalar(&dir.join(file))? } else { String::new() };
    is_lost(&word).then(|| Unenforced::none(file, how(file)))
}
