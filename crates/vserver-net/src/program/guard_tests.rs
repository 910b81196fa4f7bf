//! The program in a virtual machine of user space: each frame of `frames.txt`, and each of them cut short.

use std::cell::RefCell;
use std::io::IoSlice;

use nix::sys::uio::{RemoteIoVec, process_vm_writev};
use nix::unistd::Pid;
use rbpf::EbpfVmRaw;

use super::*;
use crate::guard::Identity;

const FRAMES: &str = include_str!("../../tests/data/frames.txt");
const MAC: [u8; 6] = [2, 0, 0, 0, 0x77, 2];

thread_local! {
    static LYING_AROUND: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// `bpf_skb_load_bytes`. The kernel writes to its own memory; this process does the same by its own number.
fn load_bytes(_: u64, offset: u64, to: u64, length: u64, _: u64) -> u64 {
    LYING_AROUND.with_borrow(|frame| {
        let Some(bytes) = frame.get(offset as usize..(offset + length) as usize) else {
            return u64::MAX;
        };
        let there = RemoteIoVec { base: to as usize, len: bytes.len() };
        let written = process_vm_writev(Pid::this(), &[IoSlice::new(bytes)], &[there]).unwrap();
        assert_eq!(written, bytes.len());
        0
    })
}

fn table(addresses: Option<&[&str]>) -> Table {
    let addresses = addresses.map(|all| all.iter().map(|text| text.parse().unwrap()).collect());
    Table::new(&Identity { mac: MAC, addresses })
}

/// `tag`: one that the kernel has taken out.
fn passes(table: &Table, frame: &[u8], tag: bool) -> bool {
    let code: Vec<u8> = frames(table).unwrap().into_iter().flat_map(Insn::to_bytes).collect();
    let mut vm = EbpfVmRaw::new(Some(&code)).unwrap();
    vm.register_helper(26, load_bytes).unwrap();
    LYING_AROUND.set(frame.to_vec());
    let mut context = [0; 80];
    context[20] = u8::from(tag);
    match vm.execute_program(&mut context).unwrap() as i32 {
        PASS => true,
        DROP => false,
        other => panic!("{other} is no verdict"),
    }
}

thread_local! {
    static SENT_TO: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// `bpf_redirect`
fn redirect(device: u64, flags: u64, _: u64, _: u64, _: u64) -> u64 {
    assert_eq!(flags, 0, "it is sent there, not received");
    SENT_TO.set(device);
    REDIRECTED
}

/// `TC_ACT_REDIRECT`
const REDIRECTED: u64 = 7;

fn verdict_and_way(code: &[Insn], frame: &[u8]) -> (u64, u64) {
    let code: Vec<u8> = code.iter().flat_map(|insn| insn.to_bytes()).collect();
    let mut vm = EbpfVmRaw::new(Some(&code)).unwrap();
    vm.register_helper(26, load_bytes).unwrap();
    vm.register_helper(23, redirect).unwrap();
    LYING_AROUND.set(frame.to_vec());
    SENT_TO.set(0);
    (vm.execute_program(&mut [0; 80]).unwrap(), SENT_TO.get())
}

fn all() -> impl Iterator<Item = (&'static str, &'static str, Vec<u8>)> {
    FRAMES.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let [verdict, name, frame] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let digits = frame.as_bytes().chunks(2).map(|two| std::str::from_utf8(two).unwrap());
        (verdict, name, digits.map(|two| u8::from_str_radix(two, 16).unwrap()).collect())
    })
}

#[test]
fn every_frame_gets_its_verdict() {
    let (held, free) = (table(Some(&["10.77.0.2", "fd77::2"])), table(None));
    for (verdict, name, frame) in all() {
        assert_eq!(passes(&held, &frame, false), verdict == "pass", "{name}");
        assert_eq!(passes(&free, &frame, false), verdict != "drop", "{name}, with any address");
    }
    assert!(all().count() > 60);
}

/// At the end of a wire: what passes goes to the other device, what does not goes nowhere.
#[test]
fn what_passes_goes_on() {
    let held = Table { onward: Some(12), ..table(Some(&["10.77.0.2", "fd77::2"])) };
    let program = frames(&held).unwrap();
    for (verdict, name, frame) in all() {
        let expected = if verdict == "pass" { (REDIRECTED, 12) } else { (DROP as u64, 0) };
        assert_eq!(verdict_and_way(&program, &frame), expected, "{name}");
        assert_eq!(verdict_and_way(&onward(13).unwrap(), &frame), (REDIRECTED, 13), "{name}");
        assert_eq!(verdict_and_way(&nothing().unwrap(), &frame), (DROP as u64, 0), "{name}");
    }
}

#[test]
fn whoever_has_no_address_may_ask_for_one() {
    let none = table(Some(&[]));
    let passed: Vec<_> = all().filter(|(_, _, frame)| passes(&none, frame, false)).map(|(_, name, _)| name).collect();
    assert!(passed.contains(&"DHCP, the request of a client") && passed.contains(&"looking for a router"));
    assert!(
        !passed.contains(&"IPv4 from its own address") && !passed.contains(&"ARP, a question from its own address")
    );
    assert!(!passed.contains(&"IPv6 from its own address"), "{passed:?}");
}

#[test]
fn a_tag_behind_the_one_that_the_kernel_took_out_is_one_too_many() {
    let held = table(Some(&["10.77.0.2", "fd77::2"]));
    for (verdict, name, frame) in all() {
        let passes = passes(&held, &frame, true);
        assert_eq!(passes, verdict == "pass" && !name.starts_with("tagged"), "{name}");
    }
}

/// What is refused whole is refused in part.
#[test]
fn no_frame_gains_by_being_cut() {
    let (held, free) = (table(Some(&["10.77.0.2", "fd77::2"])), table(None));
    for (_, name, frame) in all().filter(|(verdict, ..)| *verdict == "drop") {
        for length in 0..frame.len() {
            assert!(!passes(&free, &frame[..length], false), "{name}, {length} bytes");
        }
    }
    for (_, name, frame) in all().filter(|(verdict, ..)| *verdict == "addr") {
        assert!((0..frame.len()).all(|length| !passes(&held, &frame[..length], false)), "{name}");
    }
}
