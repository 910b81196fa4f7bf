//! What sysinfo(2) answers to a guest's process, in the layout of 64-bit Linux. The guest's supervisor writes it to the caller.

use crate::memory::Share;

/// `struct sysinfo` in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sysinfo {
    /// Seconds.
    pub uptime: u64,
    /// Load averages, 16 bits behind the point.
    pub loads: [u64; 3],
    /// Memory, bytes.
    pub memory: Share,
    /// Memory of block devices, bytes.
    pub buffers: u64,
    /// Threads.
    pub tasks: u64,
}

impl Sysinfo {
    /// Bytes of `struct sysinfo`.
    pub const LENGTH: usize = 112;

    /// As a caller wants it.
    pub fn bytes(&self) -> Vec<u8> {
        let Self { uptime, loads: [one, five, fifteen], memory, buffers, tasks } = self;
        let Share { total, free, shared, swap_total, swap_free, .. } = memory;
        let mut bytes = Vec::with_capacity(Self::LENGTH);
        for number in [uptime, one, five, fifteen, total, free, shared, buffers, swap_total, swap_free] {
            bytes.extend(number.to_ne_bytes());
        }
        bytes.extend(u16::try_from(*tasks).unwrap_or(u16::MAX).to_ne_bytes());
        // Padding, and memory that only 32-bit kernels have apart: none.
        bytes.resize(bytes.len() + 6 + 16, 0);
        let unit: u32 = 1;
        bytes.extend(unit.to_ne_bytes());
        bytes.resize(Self::LENGTH, 0);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_where_the_kernel_has_them() {
        let memory = Share { total: 2, free: 3, shared: 4, swap_total: 6, swap_free: 7, ..Share::default() };
        let bytes = Sysinfo { uptime: 1, loads: [8, 9, 10], memory, buffers: 5, tasks: 11 }.bytes();
        let long = |index: usize| u64::from_ne_bytes(bytes[index * 8..][..8].try_into().unwrap());
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(long), [1, 8, 9, 10, 2, 3, 4, 5, 6, 7]);
        assert_eq!(bytes[80..82], 11_u16.to_ne_bytes());
        assert_eq!(bytes[104..108], 1_u32.to_ne_bytes());
        assert_eq!(bytes.len(), Sysinfo::LENGTH);
    }
}
