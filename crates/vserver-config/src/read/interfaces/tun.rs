//! `tun`, `tap` and what belongs to them: the device of an interface is made for the guest.

use std::path::Path;

use crate::model::Tun;
use crate::reader::Reader;

/// What says nothing without `tun` or `tap`.
const DETAILS: [&str; 5] = ["nocsum", "shared", "uid", "gid", "linktype"];

/// Of the interface's own directory; nothing of it is inherited.
pub(super) fn read(reader: &mut Reader, own: &Path) -> Option<Tun> {
    let (tun, tap) = (reader.has(&own.join("tun")), reader.has(&own.join("tap")));
    if tun && tap {
        reader.error(&own.join("tap"), None, "a device cannot be tun and tap", "remove one of the files tun and tap");
        return None;
    }
    if !tun && !tap {
        for path in DETAILS.map(|name| own.join(name)) {
            if !reader.has(&path) {
                continue;
            }
            let hint = "create 'tun' or 'tap' if the device is to be made, or remove it";
            reader.warn(&path, None, "it means nothing without 'tun' or 'tap'", hint);
        }
        return None;
    }
    let vlan = own.join("vlandev");
    if reader.has(&vlan) {
        let message = "the device is made by 'tun' or 'tap', so it is no VLAN, whatever its name";
        reader.warn(&vlan, None, message, "remove it, or remove 'tun' and 'tap'");
    }
    let id = "a number from 0 to 4294967294";
    let uid = reader.parsed(&own.join("uid"), id);
    let gid = reader.parsed(&own.join("gid"), id);
    let linktype = reader.parsed(&own.join("linktype"), "a number from 0 to 65535, as 1 for Ethernet");
    for (name, value) in [("uid", uid), ("gid", gid)] {
        if value == Some(u32::MAX) {
            reader.error(&own.join(name), Some(1), format!("{} is nobody", u32::MAX), id);
        }
    }
    let (nocsum, shared) = (reader.has(&own.join("nocsum")), reader.has(&own.join("shared")));
    Some(Tun { tap, nocsum, shared, uid, gid, linktype })
}
