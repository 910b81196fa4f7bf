//! Namespaces that a guest names or shares.

use serde_json::{Value, json};

use super::Subject;
use crate::reader::Reader;

/// `spaces/`: an empty file is a new namespace and `0` none, otherwise it is the guest whose namespace is shared.
pub(super) fn spaces(subject: &Subject<'_>) -> Value {
    let text = |file: &str| {
        let path = subject.own("spaces").join(file);
        path.is_file().then(|| Reader::default().scalar(&path).unwrap_or_default())
    };
    // Without a newline at its end, such a file counts as empty.
    let ended =
        |file: &str| Reader::default().text(&subject.own("spaces").join(file)).is_some_and(|t| t.contains('\n'));
    let space = |file: &str| match text(file).map(|with| if ended(file) { with } else { String::new() })?.as_str() {
        "" => Some("new".to_owned()),
        "0" => None,
        with => Some(with.to_owned()),
    };
    json!({"pid": space("pid"), "net": space("net"), "mask": text("mask")})
}

/// `netns/`: the guest's directory hides the host's as a whole; `nonetns` denies both.
pub(super) fn netns(subject: &Subject<'_>) -> Value {
    let Some(dir) = subject.inherited("netns").filter(|_| !subject.own("nonetns").exists()) else {
        return Value::Null;
    };
    let own = dir.starts_with(&subject.config.dir);
    let text = |path: std::path::PathBuf| Reader::default().scalar(&path).filter(|text| !text.is_empty());
    let name = text(dir.join("name")).unwrap_or_else(|| subject.config.name.to_string());
    let shared = dir.join("shared").exists();
    let (mut links, mut start, mut stop, mut unnamed) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for entry in Reader::default().names(&dir.join("interfaces")) {
        let at = dir.join("interfaces").join(&entry);
        let Some(host) = text(at.join("host")) else { continue };
        let guest = text(at.join("guest")).unwrap_or_else(|| {
            unnamed += 1;
            format!("geth{}", unnamed - 1)
        });
        let kind = text(at.join("type")).unwrap_or_else(|| "veth".to_owned());
        start.push(format!("ip link add name {host} type {kind} peer name {guest}"));
        start.push(format!("ip link set {guest} netns {name}"));
        stop.push(format!("ip link del {host}"));
        links.push(json!({"dir": entry, "host": host, "guest": guest, "type": kind}));
    }
    start.insert(0, format!("ip netns add {name}"));
    stop.push(format!("ip netns del {name}"));
    if shared {
        start.clear();
        stop.clear();
    }
    json!({
        "name": name,
        "shared": shared,
        "source": if own { "guest directory (hides .defaults/netns completely)" } else { ".defaults/netns" },
        "links": links,
        "host_commands_start": start,
        "host_commands_stop": stop,
    })
}
