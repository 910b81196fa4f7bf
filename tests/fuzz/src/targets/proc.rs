//! What the kernel shows of processes and mounts: parts of it were named by guests.

use std::os::unix::ffi::OsStrExt;

use vserver_fs::mount_points;
use vserver_runtime::start_time_in;

/// A process's own name, 15 bytes of anything, hides nothing of what follows it; and a mount point's name is undone.
pub fn texts(bytes: &[u8]) {
    let _ = (start_time_in(bytes), mount_points(bytes).count());
    let _ = vserver_monitor::owner_in(&super::text(bytes), &[vserver_types::CgroupBase::default()]);
    let name: Vec<u8> = bytes.iter().copied().filter(|byte| !b"\n\0\\".contains(byte)).take(15).collect();
    let stat = [b"7 (", name.as_slice(), b") S 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 4711 0\n"].concat();
    assert_eq!(start_time_in(&stat), Some(4711));
    let point: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).take(100).collect();
    let escape =
        |byte: &u8| if b" \t\n\\".contains(byte) { format!("\\{byte:03o}").into_bytes() } else { vec![*byte] };
    let escaped: Vec<u8> = point.iter().flat_map(escape).collect();
    let table = [b"22 1 0:5 / /", escaped.as_slice(), b" rw - tmpfs tmpfs rw\n"].concat();
    let found: Vec<_> = mount_points(&table).collect();
    assert_eq!(
        found.iter().map(|path| path.as_os_str().as_bytes()).collect::<Vec<_>>(),
        [[b"/", point.as_slice()].concat()]
    );
}
