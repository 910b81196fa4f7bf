//! How much a guest sends and receives, and how fast it may.
//!
//! The filters of its packets add to a table and look into another for its rates. Both belong to the programs in the guest's
//! cgroup and are found through them, whichever process made them. Bytes are those of IP packets; what a guest says to
//! itself does not count.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use vserver_sys::bpf::{
    AttachType, MapType, map_by_id, map_create, map_name, map_read, map_write, prog_by_id, prog_info, prog_query,
};
use vserver_types::{Counts, Shape, Traffic};

use crate::program::meter::{COUNTS_LENGTH, Direction, SCALE, SHAPES_LENGTH};

const COUNTS: &str = "vs_counts";
const SHAPES: &str = "vs_shapes";
/// A peak is measured over so many nanoseconds, as no bucket can be without depth.
const PEAK_DEPTH: u64 = 10_000_000;
const SECOND: u64 = 1_000_000_000;

/// The two tables of a guest.
#[derive(Debug)]
pub struct Meter {
    counts: OwnedFd,
    shapes: OwnedFd,
}

/// Their numbers, as a program names them when it is loaded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MeterTables {
    pub counts: i32,
    pub shapes: i32,
}

impl Meter {
    /// Of a guest that is about to be.
    pub(crate) fn make() -> io::Result<Self> {
        let counts = map_create(MapType::PercpuArray, 4, COUNTS_LENGTH, 2, COUNTS)?;
        Ok(Self { counts, shapes: map_create(MapType::Array, 4, SHAPES_LENGTH, 2, SHAPES)? })
    }

    /// Of the guest whose cgroup directory in the v2 hierarchy this is; `None` if it has none. Needs CAP_SYS_ADMIN.
    ///
    /// # Errors
    /// `EBADF` if it is no such directory, `EPERM`.
    pub fn of(cgroup_v2: BorrowedFd<'_>) -> io::Result<Option<Self>> {
        for program in prog_query(cgroup_v2, AttachType::InetEgress)? {
            let program = prog_by_id(program)?;
            let (mut counts, mut shapes) = (None, None);
            for id in prog_info(program.as_fd())?.maps {
                let map = map_by_id(id)?;
                match map_name(map.as_fd())?.as_str() {
                    COUNTS => counts = Some(map),
                    SHAPES => shapes = Some(map),
                    _ => {}
                }
            }
            if let (Some(counts), Some(shapes)) = (counts, shapes) {
                return Ok(Some(Self { counts, shapes }));
            }
        }
        Ok(None)
    }

    pub(crate) fn tables(&self) -> MeterTables {
        MeterTables { counts: self.counts.as_raw_fd(), shapes: self.shapes.as_raw_fd() }
    }

    /// What has passed since the guest's start.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn counts(&self) -> io::Result<Counts> {
        let sum = |direction: Direction| {
            let all = map_read(self.counts.as_fd(), &(direction as u32).to_ne_bytes(), COUNTS_LENGTH, true)?;
            let words: Vec<u64> = words(&all).collect();
            let each = |field: usize| words.iter().skip(field).step_by(COUNTS_LENGTH as usize / 8).sum::<u64>();
            Ok::<_, io::Error>([each(0), each(1), each(2)])
        };
        let ([rx_bytes, rx_packets, rx_dropped], [tx_bytes, tx_packets, tx_dropped]) =
            (sum(Direction::Ingress)?, sum(Direction::Egress)?);
        Ok(Counts { rx_bytes, rx_packets, rx_dropped, tx_bytes, tx_packets, tx_dropped })
    }

    /// Holds the guest to these rates from the next packet on, with full buckets.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn shape(&self, traffic: &Traffic) -> io::Result<()> {
        for (direction, shape) in [(Direction::Ingress, traffic.ingress), (Direction::Egress, traffic.egress)] {
            let value: Vec<u8> = buckets(shape).into_iter().flatten().flat_map(u64::to_ne_bytes).collect();
            map_write(self.shapes.as_fd(), &(direction as u32).to_ne_bytes(), &value)?;
        }
        Ok(())
    }
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    bytes.chunks_exact(8).filter_map(|word| word.try_into().ok().map(u64::from_ne_bytes))
}

/// Average and peak as the program reads them: paid until 0, cost of 2^SCALE bytes, depth.
fn buckets(shape: Option<Shape>) -> [[u64; 3]; 2] {
    let cost = |rate: u64| ((8 * SECOND) << SCALE).div_ceil(rate.max(1));
    let depth = |bytes: u64, rate: u64| ((u128::from(bytes) * u128::from(cost(rate))) >> SCALE) as u64;
    let Some(Shape { average, peak, burst }) = shape else { return Default::default() };
    let peak = peak.map_or([0; 3], |rate| [0, cost(rate), PEAK_DEPTH.max(depth(Shape::LEAST_BURST, rate))]);
    [[0, cost(average), depth(burst, average)], peak]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_what_was_asked() {
        let shape = "8mbit 80mbit 1M".parse().unwrap();
        // A byte takes a microsecond, or a tenth of it.
        assert_eq!(buckets(Some(shape)), [[0, 1_024_000, 1_048_576_000], [0, 102_400, 10_000_000]]);
        assert_eq!(buckets(None), [[0; 3]; 2]);
        let slow = "8kbit - 1G".parse().unwrap();
        assert_eq!(buckets(Some(slow))[0], [0, 1_024_000_000, (1 << 30) * 1_000_000]);
        let fast = "1000gbit".parse().unwrap();
        assert_eq!(buckets(Some(fast))[0][1], 9);
    }
}
