use proptest::prelude::*;

use super::*;

const KINDS: [FlagKind; 7] = [
    FlagKind::Bcap,
    FlagKind::Ccap,
    FlagKind::Cflag,
    FlagKind::Ncap,
    FlagKind::Nflag,
    FlagKind::Space,
    FlagKind::Personality,
];

fn edit(kind: FlagKind, list: &str) -> Result<FlagEdit, FlagListError> {
    let mut edit = FlagEdit::default();
    edit.parse_into(kind, list).map(|()| edit)
}

fn on(kind: FlagKind, base: u64, list: &str) -> u64 {
    edit(kind, list).unwrap().apply(base)
}

#[test]
fn names_take_any_case_and_an_optional_prefix() {
    for text in ["CAP_SYS_ADMIN", "sys_admin", "Cap_Sys_Admin", "^21", "^0x15", "0x200000", "2097152", "010000000"] {
        assert_eq!(edit(FlagKind::Bcap, text), Ok(FlagEdit { value: 1 << 21, mask: 1 << 21 }), "{text}");
    }
    assert_eq!(on(FlagKind::Nflag, 0, "NXF_HIDE_NETIF"), 0x200_0000);
    assert_eq!(on(FlagKind::Bcap, 0, "perfmon"), 1 << 38);
}

#[test]
fn all_and_none_may_be_cut_short() {
    for text in ["all", "any", "a", "al", "an", "-1"] {
        assert_eq!(on(FlagKind::Cflag, 0, text), u64::MAX, "{text}");
    }
    for text in ["none", "n", "no", "non", "~none", ""] {
        assert_eq!(edit(FlagKind::Cflag, text), Ok(FlagEdit::default()), "{text}");
    }
    assert_eq!(on(FlagKind::Bcap, u64::MAX, "~all,CAP_CHOWN"), 1);
}

#[test]
fn negation_is_per_item_and_cancels_in_pairs() {
    assert_eq!(on(FlagKind::Cflag, 0x2_0000, "~virt_uptime,hide_mount"), 0x100_0000);
    assert_eq!(on(FlagKind::Cflag, 0, "~!virt_uptime"), 0x2_0000);
    assert_eq!(on(FlagKind::Cflag, 0, "virt_uptime,~virt_uptime"), 0);
}

#[test]
fn a_bad_item_is_named_with_its_kind() {
    let message = |kind, text| edit(kind, text).unwrap_err().to_string();
    assert_eq!(message(FlagKind::Bcap, "FOO # bar"), "Unknown bcap 'FOO # bar'");
    assert_eq!(message(FlagKind::Nflag, "x,lock"), "Unknown flag 'x'");
    assert_eq!(message(FlagKind::Space, "newnet,,fs"), "Unknown namespace ''");
    for text in [",", ",lock", "lock,,", " lock", "^64", "^-1", "08", "0x", "+-1", "~", "^^1"] {
        assert!(edit(FlagKind::Cflag, text).is_err(), "{text}");
    }
    assert!(edit(FlagKind::Cflag, "lock,").is_ok());
    assert!(edit(FlagKind::Personality, "~uname26").is_err());
    assert!(edit(FlagKind::Personality, "all").is_err());
}

#[test]
fn printing_has_the_quirks_of_the_original() {
    assert_eq!(FlagKind::Cflag.print((1 << 36) | 0x2_0000), "default");
    assert_eq!(FlagKind::Cflag.print((1 << 36) | 0x2_0010), "fakeinit,default");
    assert_eq!(ContextFlags(ContextFlags::START).to_string(), "fakeinit,virt_uptime,hide_netif,sc_helper");
    assert_eq!(FlagKind::Ncap.print(0x1100), "raw_icmp,^12");
    assert_eq!(FlagKind::Cflag.print(0x2 | 0x10), "^1,^4", "the first bit without a name ends the naming");
    assert_eq!(FlagKind::Bcap.print(3), "CHOWN,DAC_OVERRIDE");
    assert_eq!(FlagKind::Ccap.print(0), "");
}

#[test]
fn the_capability_table_agrees_with_the_vocabulary() {
    for (name, bits) in FlagKind::Bcap.names() {
        let cap = crate::Capability::from_name(name).unwrap();
        assert_eq!(1u64 << cap.0, *bits, "{name}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_a_panic(text in ".*", kind in prop::sample::select(&KINDS[..])) {
        if let Ok(edit) = edit(kind, &text) {
            prop_assert_eq!(edit.value & !edit.mask, 0);
        }
    }

    #[test]
    fn no_bit_is_set_that_was_not_named(
        kind in prop::sample::select(&KINDS[..6]),
        base: u64,
        picks in prop::collection::vec((any::<prop::sample::Index>(), 0usize..3), 1..8),
    ) {
        let items: Vec<_> = picks.iter().map(|(pick, signs)| (*pick.get(kind.names()), *signs)).collect();
        let list: Vec<_> = items.iter().map(|((name, _), signs)| "~".repeat(*signs) + name).collect();
        let named = items.iter().filter(|(_, signs)| signs % 2 == 0).fold(0, |sum, ((_, bits), _)| sum | bits);
        let touched = items.iter().fold(0, |sum, ((_, bits), _)| sum | bits);
        let word = on(kind, base, &list.join(","));
        prop_assert_eq!(word & !base & !named, 0, "more was set than named");
        prop_assert_eq!((word ^ base) & !touched, 0, "a bit changed that no item names");
    }

    #[test]
    fn what_is_printed_reads_back(kind in prop::sample::select(&KINDS[..6]), word: u64) {
        prop_assert_eq!(on(kind, 0, &kind.print(word)), word);
    }
}
