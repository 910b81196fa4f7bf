//! Transports besides TCP and UDP. What names addresses that no program is asked about is not given out, whether the host's
//! kernel has it or not: a module can come at any time.

use std::fs;
use std::process::Command;

use crate::fixture::{Fixture, program};
use crate::needs::Need;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![Trial::new("transports::only_those_that_are_held", only_those_that_are_held).needs(Need::Probe)]
}

/// Type and protocol; SCTP in both of its styles, DCCP, SMC.
const REFUSED: [(&str, &str, &str); 4] =
    [("SCTP", "1", "132"), ("SCTP, one to many", "5", "132"), ("DCCP", "6", "33"), ("SMC", "1", "256")];

/// A guest and a daemon of `chbind` get none of them. UDP-Lite is not for guests; a daemon's is held to its first address.
fn only_those_that_are_held() {
    let host = Fixture::new();
    let probe = program("vserver-probe");
    let guest = host.guest();
    fs::copy(&probe, guest.root.join("probe")).unwrap();
    guest.address(0, "127.9.41.1", 8).start();
    let outside = |words: &[&str]| {
        let output = Command::new(&probe).args(words).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let probe = probe.to_str().unwrap();
    let bound = |words: &[&str]| {
        let line = [&["--silent", "--ip", "127.9.41.2", "--", probe], words].concat();
        host.tool("chbind", &line).out.trim().to_owned()
    };
    for (name, kind, protocol) in REFUSED {
        for family in ["2", "10"] {
            let words = ["socket", family, kind, protocol];
            let there = outside(&words);
            // Where the kernel has it the refusal is ours; where it has not, the type alone may be unknown to it.
            let known =
                if there == "OK" { &["EPROTONOSUPPORT"][..] } else { &["EPROTONOSUPPORT", "ESOCKTNOSUPPORT"] };
            println!("note: {name}, family {family}: outside {there}");
            let inside = guest.exec(&[&["/probe"], &words[..]].concat()).out.trim().to_owned();
            assert!(known.contains(&inside.as_str()), "{name}, family {family}, in a guest: {inside}");
            let daemon = bound(&words);
            assert!(known.contains(&daemon.as_str()), "{name}, family {family}, under chbind: {daemon}");
        }
    }
    let lite = ["socket", "2", "2", "136"];
    assert_eq!(guest.exec(&[&["/probe"], &lite[..]].concat()).out.trim(), "EPROTONOSUPPORT");
    if outside(&lite) == "OK" {
        assert_eq!(bound(&["bind_udplite", "0.0.0.0", "8412"]), "OK 127.9.41.2:8412");
        assert_eq!(bound(&["bind_udplite", "127.9.41.1", "8412"]), "EADDRNOTAVAIL");
    } else {
        println!("note: this kernel has no UDP-Lite");
        assert_eq!(bound(&lite), outside(&lite));
    }
}
