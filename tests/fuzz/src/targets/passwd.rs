//! A guest's own `/etc/passwd` and `/etc/group`, in this order with an empty line between.

use vserver_sandbox::confine::Identity;
use vserver_sandbox::passwd::identity;

/// Nobody is root whose line does not say `0`, in digits.
pub fn users(bytes: &[u8]) {
    let text = super::text(bytes);
    let (passwd, group) = text.split_once("\n\n").unwrap_or((&text, ""));
    for user in ["web", "0", "1000", "root", "4294967295", "", "x:y"] {
        let Ok(found) = identity(user, Some(passwd), Some(group)) else { continue };
        let Identity::User { uid, groups, .. } = found else { panic!("{user} became the namespace's root") };
        assert!(uid != u32::MAX && groups.len() <= 1024);
        let zero =
            |line: &str| line.split(':').nth(2).is_some_and(|uid| !uid.is_empty() && uid.bytes().all(|b| b == b'0'));
        assert!(uid != 0 || user == "0" || passwd.lines().any(zero), "{user} became root");
    }
}
