//! Control files as configured, and the kernel's table of mounts.

use vserver_cgroup::{DevicePolicy, Layout};

/// Each line is a device rule, `allow` or `deny` by turns; the whole is a table of mounts.
pub fn files(bytes: &[u8]) {
    let text = super::text(bytes);
    let names = ["devices.allow", "devices.deny"];
    let lines = text.lines().zip(names.into_iter().cycle());
    let rules: Vec<(String, String)> = lines.map(|(line, name)| (name.to_owned(), line.to_owned())).collect();
    let _ = DevicePolicy::default().with_raw(&rules);
    let _ = Layout::from_mountinfo(&text);
}
