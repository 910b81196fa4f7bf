//! A group's number, from `/etc/group` alone: a static program cannot load the modules that nsswitch.conf names.

/// The number of group `name` in the text of an `/etc/group`.
pub fn number(text: &str, name: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_name_and_never_by_part_of_it() {
        let text = "root:x:0:\nvserver-admins:x:7:\nbad\nvserver-admin:x:998:ada,bob\n";
        assert_eq!(number(text, "vserver-admin"), Some(998));
        assert_eq!(number(text, "vserver"), None);
        assert_eq!(number(text, "bad"), None);
    }
}
