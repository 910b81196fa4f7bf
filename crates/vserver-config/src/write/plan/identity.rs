//! Names, numbers, links, and the flags that stand beside them.

use super::super::editor::Editor;
use crate::model::{GuestConfig, Userns, Uts};
use crate::read::RUN_DIR;

pub(super) fn plan(editor: &mut Editor<'_>, now: &GuestConfig, wanted: &GuestConfig) {
    if now.display_name != wanted.display_name {
        editor.scalar("name", Some(&wanted.display_name));
    }
    links(editor, now, wanted);
    if now.context != wanted.context {
        editor.scalar("context", wanted.context.map(|xid| xid.to_string()).as_deref());
    }
    let implied = wanted.context.map(|xid| vserver_types::Nid(xid.0));
    if now.ncontext != wanted.ncontext || now.context != wanted.context {
        let own = wanted.ncontext.filter(|nid| Some(*nid) != implied || editor.exists("ncontext"));
        editor.scalar("ncontext", own.map(|nid| nid.to_string()).as_deref());
    }
    for (file, is, shall) in [
        ("noncontext", now.no_ncontext, wanted.no_ncontext),
        ("disabled", now.disabled, wanted.disabled),
        ("keepfds", now.keepfds, wanted.keepfds),
        ("noisy", now.noisy, wanted.noisy),
    ] {
        if is != shall {
            editor.flag(file, shall);
        }
    }
    if now.shell != wanted.shell {
        // An empty line hides the host's.
        editor.scalar("shell", Some(wanted.shell.as_deref().unwrap_or_default()));
    }
    if now.userns != wanted.userns {
        editor.scalar("userns", Some(if wanted.userns == Userns::Off { "off" } else { "auto" }));
    }
    if now.apparmor != wanted.apparmor {
        // An empty line hides the host's.
        editor.scalar("apparmor", Some(wanted.apparmor.as_line()));
    }
    if now.badness != wanted.badness {
        editor.scalar("badness", wanted.badness.map(|bias| bias.to_string()).as_deref());
    }
    uts(editor, &now.uts, &wanted.uts);
}

fn links(editor: &mut Editor<'_>, now: &GuestConfig, wanted: &GuestConfig) {
    if now.vdir != wanted.vdir || !editor.exists("vdir") && now.vdir == now.dir.join("vdir") {
        match wanted.vdir == wanted.dir.join("vdir") {
            true => editor.directory("vdir"),
            false => editor.link("vdir", &wanted.vdir),
        }
    }
    let usual = std::path::Path::new(RUN_DIR).join(wanted.name.as_str());
    if now.run_target != wanted.run_target {
        match wanted.run_target == usual {
            true => editor.remove("run"),
            false => editor.link("run", &wanted.run_target),
        }
    }
    if now.cache != wanted.cache {
        match &wanted.cache {
            Some(target) => editor.link("cache", target),
            None => editor.remove("cache"),
        }
    }
}

fn uts(editor: &mut Editor<'_>, now: &Uts, wanted: &Uts) {
    let Uts { sysname, nodename, release, version, machine, domainname } = wanted;
    for (file, is, shall) in [
        ("uts/sysname", &now.sysname, sysname),
        ("uts/nodename", &now.nodename, nodename),
        ("uts/release", &now.release, release),
        ("uts/version", &now.version, version),
        ("uts/machine", &now.machine, machine),
        ("uts/domainname", &now.domainname, domainname),
    ] {
        match shall {
            _ if is == shall => {}
            // R6 is the whole file: it has no room for anything else.
            Some(value) => editor.put(file, format!("{value}\n")),
            None => editor.remove(file),
        }
    }
}
