//! Lists of flags.

use vserver_types::{FlagEdit, FlagKind};

const KINDS: [FlagKind; 7] = [
    FlagKind::Bcap,
    FlagKind::Ccap,
    FlagKind::Cflag,
    FlagKind::Ncap,
    FlagKind::Nflag,
    FlagKind::Space,
    FlagKind::Personality,
];

/// No bit is set that no word names, a refused list changes nothing, and what is printed is read back.
pub fn lists(bytes: &[u8]) {
    let text = super::text(bytes);
    for kind in KINDS {
        let mut edit = FlagEdit { value: 1, mask: 1 };
        if edit.parse_into(kind, &text).is_err() {
            assert_eq!(edit, FlagEdit { value: 1, mask: 1 });
            continue;
        }
        assert_eq!(edit.value & !edit.mask, 0);
        let items: Vec<&str> = text.split(',').map(|item| item.trim_start_matches(['!', '~'])).collect();
        let wide = |item: &&str| item.starts_with(|c: char| c.is_ascii_digit() || "an-+^".contains(c));
        if !items.iter().any(wide) {
            let lower = |item: &str| item.to_ascii_lowercase();
            let named = |name: &str| items.iter().any(|item| lower(item).ends_with(name));
            let bits = kind.names().iter().filter(|(name, _)| named(name)).fold(1, |sum, (_, bits)| sum | bits);
            assert_eq!(edit.mask & !bits, 0, "{text:?} changes bits that it does not name");
        }
        let mut again = FlagEdit::default();
        again.parse_into(kind, &kind.print(edit.value)).expect("what is printed is a list");
        assert_eq!(again.value, edit.value);
    }
}
