//! `--interface [<name>=][<dev>|nodev:]<ip>[/<mask>|/<prefix>]`

use std::net::Ipv4Addr;
use std::str::FromStr;

use vserver_types::{GuestAddress, ParseError};

use crate::read::prefix_of;

/// One address of a new guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewInterface {
    /// Suffix of the label, `interfaces/<i>/name`.
    pub name: Option<String>,
    /// Device; without one here and for all, the interface gets `nodev`.
    pub dev: Option<String>,
    /// `nodev:` was written.
    pub nodev: bool,
    /// Address, with its prefix length if one was written.
    pub address: GuestAddress,
    /// The length was written as this mask and goes to `mask`, not `prefix`.
    pub mask: Option<Ipv4Addr>,
}

impl FromStr for NewInterface {
    type Err = ParseError;

    /// The first `=` ends the name and the first `:` the device, so that an IPv6 address needs `dev:` or `nodev:` in
    /// front, unless everything after the name is an address by itself.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let bad = |reason| ParseError::new("interface", text, reason);
        let (name, rest) = text.split_once('=').map_or((None, text), |(name, rest)| (Some(name), rest));
        let whole = rest.contains("::").then(|| rest.parse::<GuestAddress>().ok()).flatten();
        let (dev, address) = match rest.split_once(':') {
            Some((dev, address)) if whole.is_none() => (Some(dev), address),
            _ => (None, rest),
        };
        let unusable = |word: &str| word.is_empty() || word.contains(|c: char| c.is_whitespace() || c.is_control());
        if name.is_some_and(unusable) {
            return Err(bad("the name before '=' is empty or has a blank"));
        }
        if dev.is_some_and(|dev| unusable(dev) || dev.len() > 15 || dev.contains('/')) {
            return Err(bad("the device before ':' is empty, too long, or has a blank or a '/'"));
        }
        let mask = address.split_once('/').filter(|(_, length)| length.contains('.'));
        let mask = mask.map(|(_, mask)| mask.parse::<Ipv4Addr>().map_err(|_| bad("its mask is not one")));
        let mask = mask.transpose()?;
        if mask.is_some_and(|mask| mask.to_bits().leading_ones() + mask.to_bits().trailing_zeros() < 32) {
            return Err(bad("its mask has a gap"));
        }
        let parsed = match (address.split_once('/'), mask) {
            (Some((ip, _)), Some(mask)) => GuestAddress { prefix: Some(prefix_of(mask)), ..ip.parse()? },
            _ => address.parse()?,
        };
        if mask.is_some() && parsed.ip.is_ipv6() {
            return Err(bad("an IPv6 address has a prefix length, not a mask"));
        }
        let nodev = dev == Some("nodev");
        let dev = dev.filter(|_| !nodev).map(str::to_owned);
        Ok(Self { name: name.map(str::to_owned), dev, nodev, address: parsed, mask })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> NewInterface {
        text.parse().unwrap()
    }

    #[test]
    fn every_form_of_the_manual() {
        let full = parse("web=eth0:192.0.2.12/24");
        assert_eq!((full.name.as_deref(), full.dev.as_deref(), full.nodev), (Some("web"), Some("eth0"), false));
        assert_eq!((full.address.to_string().as_str(), full.mask), ("192.0.2.12/24", None));
        let masked = parse("eth0:10.0.0.1/255.255.0.0");
        assert_eq!((masked.address.prefix, masked.mask), (Some(16), Some(Ipv4Addr::new(255, 255, 0, 0))));
        assert!(parse("nodev:127.0.0.5").nodev);
        assert_eq!(parse("127.0.0.5").dev, None);
        assert_eq!(parse("eth0:2001:db8::1/64").address.to_string(), "2001:db8::1/64");
        assert_eq!(parse("2001:db8::1/64").dev, None);
    }

    #[test]
    fn what_cannot_be_an_interface_is_refused() {
        for bad in [
            "",
            "eth0:",
            ":1.2.3.4",
            "=1.2.3.4",
            "1.2.3",
            "eth0:1.2.3.4/33",
            "a/b:1.2.3.4",
            "1.2.3.4/255.0",
            "abcdefghijklmnop:1.2.3.4",
            "eth0:fe80::1/255.0.0.0",
            "e h:1.2.3.4",
            "a\n=1.2.3.4",
        ] {
            assert!(bad.parse::<NewInterface>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_panic(text in "[a-z0-9=:./ ]{0,40}|.*") {
            let _ = text.parse::<NewInterface>();
        }
    }
}
