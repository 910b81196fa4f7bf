//! Addresses of a guest.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};

use crate::ParseError;

/// One address of a guest, with the prefix length of its network if it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GuestAddress {
    /// The address.
    pub ip: IpAddr,
    /// Prefix length: 0–32 for IPv4, 0–128 for IPv6.
    pub prefix: Option<u8>,
}

impl GuestAddress {
    /// Address and prefix as a network; a missing prefix is a host route (32 or 128).
    pub fn network(self) -> IpNetwork {
        let longest = if self.ip.is_ipv4() { 32 } else { 128 };
        let prefix = self.prefix.unwrap_or(longest).min(longest);
        match IpNetwork::new(self.ip, prefix) {
            Ok(network) => network,
            Err(_) => IpNetwork::from(self.ip),
        }
    }
}

impl FromStr for GuestAddress {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let bad = |reason| ParseError::new("address", text, reason);
        let Some((ip, _)) = text.split_once('/') else {
            let ip = text.parse().map_err(|_| bad("it is neither IPv4 nor IPv6"))?;
            return Ok(Self { ip, prefix: None });
        };
        ip.parse::<IpAddr>().map_err(|_| bad("it is neither IPv4 nor IPv6"))?;
        let network: IpNetwork = text.parse().map_err(|_| bad("its prefix length or mask does not fit"))?;
        Ok(Self { ip: network.ip(), prefix: Some(network.prefix()) })
    }
}

impl fmt::Display for GuestAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix {
            Some(prefix) => write!(f, "{}/{prefix}", self.ip),
            None => write!(f, "{}", self.ip),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_and_mask_are_both_understood() {
        let plain: GuestAddress = "192.0.2.1".parse().unwrap();
        assert_eq!(plain.network().prefix(), 32);
        assert_eq!("192.0.2.1/24".parse::<GuestAddress>().unwrap().prefix, Some(24));
        assert_eq!("192.0.2.1/255.255.255.0".parse::<GuestAddress>().unwrap().prefix, Some(24));
        assert_eq!("2001:db8::1/64".parse::<GuestAddress>().unwrap().to_string(), "2001:db8::1/64");
        for bad in ["", "1.2.3", "1.2.3.4/33", "1.2.3.4/x", "host"] {
            assert!(bad.parse::<GuestAddress>().is_err(), "{bad}");
        }
    }
}
