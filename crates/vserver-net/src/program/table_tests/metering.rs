//! What passes at which rate, and how it is counted.

use super::*;
use crate::meter::MeterTables;

fn metered(paid: u64, cost: u64, depth: u64, peak: [u64; 3]) -> Table {
    let zero = |map: i32, length: usize| [0_u32, 1].map(|key| (map, key.to_ne_bytes().to_vec(), vec![0; length]));
    let shape: Vec<u8> = [[paid, cost, depth], peak].concat().into_iter().flat_map(u64::to_ne_bytes).collect();
    let mut all = zero(COUNTS, 24).to_vec();
    all.extend([0_u32, 1].map(|key| (SHAPES, key.to_ne_bytes().to_vec(), shape.clone())));
    fresh(&all);
    Table { meter: Some(MeterTables { counts: COUNTS, shapes: SHAPES }), ..table(&["192.0.2.1"]) }
}

/// A packet of so many bytes on a device, as so many on the wire; the verdict.
fn packet(program: &[Insn], length: u32, segments: u32, device: u32) -> u64 {
    let mut context = vec![0; 192];
    put(&mut context, 0, &[length]);
    put(&mut context, 40, &[device]);
    put(&mut context, 164, &[segments]);
    run(program, &mut context, &[])
}

/// Bytes, packets, dropped.
fn counted(direction: meter::Direction) -> [u64; 3] {
    let key = (COUNTS as u64, (direction as u32).to_ne_bytes().to_vec());
    WORLD.with_borrow(|world| {
        let counts = &world.tables[&key];
        std::array::from_fn(|field| u64::from_ne_bytes(counts[8 * field..8 * field + 8].try_into().unwrap()))
    })
}

#[test]
fn packets_are_counted_as_on_the_wire() {
    let table = metered(0, 0, 0, [0; 3]);
    let (out, back) = (meter::only_egress(&table, FULL).unwrap(), meter::only_ingress(&table, FULL).unwrap());
    assert_eq!([packet(&out, 100, 0, 2), packet(&out, 64_000, 45, 2), packet(&back, 60, 0, 2)], [1; 3]);
    assert_eq!(packet(&out, 5000, 0, 1), 1, "the loopback device is left out");
    assert_eq!(counted(meter::Direction::Egress), [64_100, 46, 0]);
    assert_eq!(counted(meter::Direction::Ingress), [60, 1, 0]);
}

/// Offers `length` bytes each `pause` nanoseconds for `time`, and gives what passed, in bytes.
fn offered(program: &[Insn], length: u32, pause: u64, time: u64) -> u64 {
    let (start, mut passed) = (WORLD.with_borrow(|world| world.now), 0);
    while WORLD.with_borrow(|world| world.now) < start + time {
        passed += if packet(program, length, 0, 2) & 1 == 1 { u64::from(length) } else { 0 };
        WORLD.with_borrow_mut(|world| world.now += pause);
    }
    passed
}

const SECOND_OF: u64 = 1_000_000_000;

/// However little a bucket holds, all that flows into it may be taken out: the average and the burst, to within a packet.
#[test]
fn the_average_is_reached_with_any_burst() {
    // A byte takes a microsecond: 8 Mbit/s.
    for burst in [64 << 10, 100_000, 1_000_000] {
        for (length, pause) in [(1000_u32, 500_000), (1500, 333_333), (64_000, 1_000_000)] {
            let table = metered(0, 1_024_000, burst * 1000, [0; 3]);
            WORLD.with_borrow_mut(|world| world.now = 100 * SECOND_OF);
            for program in [meter::only_ingress(&table, FULL), meter::only_egress(&table, FULL)] {
                let (program, time) = (program.unwrap(), 2 * SECOND_OF);
                let passed = offered(&program, length, pause, time);
                let (most, slack) = (2_000_000 + burst, u64::from(length) + pause / 1000 + 1);
                assert!(
                    passed <= most + slack && passed + slack >= most,
                    "{passed} of {most}, {length} each {pause}"
                );
            }
        }
    }
}

/// Whoever waits as long as it takes to fill is let through whole, and the first that is too much is dropped and counted.
#[test]
fn a_bucket_fills_and_is_emptied() {
    let burst = 65_536;
    let table = metered(0, 1_024_000, burst * 1000, [0; 3]);
    WORLD.with_borrow_mut(|world| world.now = 100 * SECOND_OF);
    let program = meter::only_ingress(&table, FULL).unwrap();
    for round in 1..=3 {
        let verdicts: Vec<u64> = (0..66).map(|_| packet(&program, 1000, 0, 2)).collect();
        assert_eq!(verdicts.iter().sum::<u64>(), 65, "round {round}");
        assert_eq!(counted(meter::Direction::Ingress), [65_000 * round, 65 * round, round]);
        // Never more than full, however long it is left alone.
        WORLD.with_borrow_mut(|world| world.now += round * burst * 1000);
    }
}

/// TCP is told before it is dropped, and the peak bounds what the average would let through.
#[test]
fn a_sender_is_told_and_the_peak_holds() {
    let table = metered(0, 1_024_000, 100_000_000, [0; 3]);
    WORLD.with_borrow_mut(|world| world.now = 100 * SECOND_OF);
    let program = meter::only_egress(&table, FULL).unwrap();
    let verdicts: Vec<u64> = (0..102).map(|_| packet(&program, 1000, 0, 2)).collect();
    let told = verdicts.iter().position(|verdict| *verdict == 3).unwrap();
    assert!((74..=76).contains(&told) && verdicts[..told].iter().all(|verdict| *verdict == 1), "{verdicts:?}");
    assert!(verdicts[told..100].iter().all(|verdict| *verdict == 3));
    assert_eq!(verdicts[100..], [2, 2]);
    // Ten times the average at most, of which ten milliseconds may come at once.
    let table = metered(0, 1_024_000, 1_000_000_000, [0, 102_400, 10_000_000]);
    WORLD.with_borrow_mut(|world| world.now = 100 * SECOND_OF);
    let passed = offered(&meter::only_ingress(&table, FULL).unwrap(), 1000, 50_000, SECOND_OF / 20);
    assert!((599_000..=601_000).contains(&passed), "{passed}");
}
