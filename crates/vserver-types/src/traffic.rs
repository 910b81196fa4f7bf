//! How fast a guest may send and receive.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Bounds of one direction: a bucket that fills at the average rate, and the speed at which it may be emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Bits per second in the long run, IP headers included; 8000 to 10^12.
    pub average: u64,
    /// Bits per second at any time, not below the average; `None`: as fast as the bucket has something.
    pub peak: Option<u64>,
    /// Depth of the bucket in bytes, 64 KiB to 1 GiB: what may be sent at once after a rest.
    pub burst: u64,
}

/// Both directions; `None` is without bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// What the guest sends.
    pub egress: Option<Shape>,
    /// What it receives.
    pub ingress: Option<Shape>,
}

/// What has passed: bytes of IP packets, packets, and packets that were dropped because they came too fast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Counts {
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_dropped: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_dropped: u64,
}

impl std::ops::Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            rx_bytes: self.rx_bytes.saturating_add(other.rx_bytes),
            rx_packets: self.rx_packets.saturating_add(other.rx_packets),
            rx_dropped: self.rx_dropped.saturating_add(other.rx_dropped),
            tx_bytes: self.tx_bytes.saturating_add(other.tx_bytes),
            tx_packets: self.tx_packets.saturating_add(other.tx_packets),
            tx_dropped: self.tx_dropped.saturating_add(other.tx_dropped),
        }
    }
}

impl Shape {
    /// The smallest depth: a packet may be that large before a device cuts it.
    pub const LEAST_BURST: u64 = 64 << 10;
    const MOST_BURST: u64 = 1 << 30;
    const RATES: std::ops::RangeInclusive<u64> = 8_000..=1_000_000_000_000;
    const SUFFIXES: [(&'static str, u64); 4] =
        [("gbit", 1_000_000_000), ("mbit", 1_000_000), ("kbit", 1_000), ("bit", 1)];
    const SIZES: [(&'static str, u64); 3] = [("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)];
}

impl Shape {
    /// Bits per second that one TCP connection comes to, if that is less than the average: what is sent too fast is dropped, at
    /// worst with all that would make the sender try again at once, and then it waits for `TCP_RTO_MIN`, a fifth of a second
    /// (`include/net/tcp.h`), after which the burst is all that it finds. `None` also if no burst can be larger.
    pub fn least_for_tcp(&self) -> Option<u64> {
        const TRIES_IN_A_SECOND: u64 = 5;
        let least = self.burst.saturating_mul(8 * TRIES_IN_A_SECOND);
        (least < self.average && self.burst < Self::MOST_BURST).then_some(least)
    }
}

/// Why a text is no shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeError(String);

impl FromStr for Shape {
    type Err = ShapeError;

    /// `AVERAGE [PEAK [BURST]]`: rates as tc(8) writes them (`10mbit`), a burst in bytes or with K, M, G; `-` is no peak. A
    /// burst that is not given is half a second at the average rate, and at least 64 KiB:
    /// a TCP sender whose packets are dropped tries again after a fifth of a second.
    fn from_str(text: &str) -> Result<Self, ShapeError> {
        let wrong = |what: &str| ShapeError(format!("'{text}' {what}"));
        let words: Vec<&str> = text.split_whitespace().collect();
        let ([average] | [average, _] | [average, _, _]) = words[..] else {
            return Err(wrong("is not AVERAGE [PEAK [BURST]], such as '10mbit 20mbit 1M'"));
        };
        let rate = |word: &str| {
            let value = scaled(word, &Self::SUFFIXES).filter(|rate| Self::RATES.contains(rate));
            value.ok_or_else(|| wrong(&format!("has the rate '{word}'; it is 8kbit to 1000gbit")))
        };
        let average = rate(average)?;
        let peak = words.get(1).filter(|word| **word != "-").map(|word| rate(word)).transpose()?;
        if peak.is_some_and(|peak| peak < average) {
            return Err(wrong("has a peak below its average"));
        }
        let burst = match words.get(2) {
            None => (average / 16).clamp(Self::LEAST_BURST, Self::MOST_BURST),
            Some(word) => scaled(word, &Self::SIZES)
                .filter(|size| (Self::LEAST_BURST..=Self::MOST_BURST).contains(size))
                .ok_or_else(|| wrong(&format!("has the burst '{word}'; it is 64K to 1G")))?,
        };
        Ok(Self { average, peak, burst })
    }
}

fn scaled(word: &str, suffixes: &[(&str, u64)]) -> Option<u64> {
    let found = suffixes.iter().find_map(|(suffix, factor)| Some((word.strip_suffix(suffix)?, *factor)));
    let (digits, factor) = found.unwrap_or((word, 1));
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

fn unscaled(value: u64, suffixes: &[(&str, u64)]) -> String {
    let found = suffixes.iter().find(|(_, factor)| value.is_multiple_of(*factor));
    found.map_or(value.to_string(), |(suffix, factor)| format!("{}{suffix}", value / factor))
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peak = self.peak.map_or("-".to_owned(), |peak| unscaled(peak, &Self::SUFFIXES));
        write!(f, "{} {peak} {}", unscaled(self.average, &Self::SUFFIXES), unscaled(self.burst, &Self::SIZES))
    }
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ShapeError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_burst_costs_tcp_its_rate() {
        let least = |text: &str| text.parse::<Shape>().unwrap().least_for_tcp();
        assert_eq!(least("8mbit - 64K"), Some(2_621_440));
        assert_eq!(least("80mbit - 640K"), Some(26_214_400));
        for enough in ["8mbit", "8mbit - 200K", "100gbit", "8kbit"] {
            assert_eq!(least(enough), None, "{enough}");
        }
    }

    #[test]
    fn shapes_are_read_and_shown() {
        for (text, average, peak, burst, shown) in [
            ("10mbit", 10_000_000, None, 625_000, "10mbit - 625000"),
            ("8kbit", 8_000, None, 64 << 10, "8kbit - 64K"),
            (" 1gbit  2gbit 3M ", 1_000_000_000, Some(2_000_000_000), 3 << 20, "1gbit 2gbit 3M"),
            ("1500kbit - 1G", 1_500_000, None, 1 << 30, "1500kbit - 1G"),
            ("64000", 64_000, None, 64 << 10, "64kbit - 64K"),
        ] {
            let shape: Shape = text.parse().unwrap();
            assert_eq!(shape, Shape { average, peak, burst }, "{text}");
            assert_eq!(shape.to_string(), shown);
            assert_eq!(shown.parse(), Ok(shape));
        }
    }

    #[test]
    fn what_is_no_shape_is_told() {
        for text in [
            "",
            "fast",
            "7999bit",
            "1001gbit",
            "10mbit 9mbit",
            "10mbit 10mbit 1K",
            "10mbit - 2G",
            "1 2 3 4",
            "+9mbit",
        ] {
            assert!(text.parse::<Shape>().is_err(), "{text}");
        }
    }
}
