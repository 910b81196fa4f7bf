//! Whether an address of the host can be used. An IPv6 address that was put on a device a moment ago is tentative until the
//! kernel has asked the neighbours for it (RFC 4862 §5.4); until then nobody can bind it.

use std::net::IpAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};

use super::{messages, network_of};
use crate::Error;

/// How an address of the host stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is on no device.
    Absent,
    /// It can be bound.
    Usable,
    /// The neighbours are being asked.
    Tentative,
    /// A neighbour has it.
    Duplicate,
}

/// Waits as long as the address is tentative, `patience` at most, and says how it stands then.
///
/// # Errors
/// [`Error::Netlink`].
pub fn settle(ip: IpAddr, patience: Duration) -> Result<Standing, Error> {
    const PAUSE: Duration = Duration::from_millis(20);
    let start = Instant::now();
    loop {
        match standing(ip)? {
            Standing::Tentative if start.elapsed() < patience => sleep(PAUSE),
            found => return Ok(found),
        }
    }
}

fn standing(ip: IpAddr) -> Result<Standing, Error> {
    let failed = |source| Error::Netlink { request: format!("looking at the address {ip}"), source };
    let all = messages(None).map_err(failed)?;
    let own = all.iter().find(|message| network_of(message).is_some_and(|network| network.ip() == ip));
    Ok(own.map_or(Standing::Absent, |message| of_flags(flags_of(message))))
}

fn of_flags(flags: AddressFlags) -> Standing {
    if flags.contains(AddressFlags::Dadfailed) {
        Standing::Duplicate
    } else if flags.contains(AddressFlags::Tentative) && !flags.contains(AddressFlags::Optimistic) {
        Standing::Tentative
    } else {
        Standing::Usable
    }
}

/// The header has room for the first eight only.
fn flags_of(message: &AddressMessage) -> AddressFlags {
    let long = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Flags(flags) => Some(*flags),
        _ => None,
    });
    long.unwrap_or_else(|| AddressFlags::from_bits_retain(u32::from(message.header.flags.bits())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_say_whether_it_can_be_used() {
        use AddressFlags as F;
        for (flags, standing) in [
            (F::empty(), Standing::Usable),
            (F::Permanent, Standing::Usable),
            (F::Tentative, Standing::Tentative),
            (F::Tentative | F::Optimistic, Standing::Usable),
            (F::Tentative | F::Dadfailed, Standing::Duplicate),
        ] {
            assert_eq!(of_flags(flags), standing, "{flags:?}");
        }
    }

    #[test]
    fn an_address_of_nobody_is_absent_and_the_loopback_usable() {
        let settled = |text: &str| settle(text.parse().unwrap(), Duration::ZERO).unwrap();
        assert_eq!([settled("192.0.2.77"), settled("127.0.0.1")], [Standing::Absent, Standing::Usable]);
    }
}
