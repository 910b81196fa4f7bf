use std::io::*; use std::os::fd::*;
use vserver_sandbox::{blueprint::*, spawn::spawn}; use vserver_sys::process::*; use vserver_types::*;
fn main() {
    let tok = SingleThreaded::prove().unwrap();
    let tree: OwnedFd = std::fs::File::open(std::env::args().nth(1).unwrap()).unwrap().into();
    let base = std::env::args().nth(2).map(|b| b.parse().unwrap());
    let argv: Vec<String> = std::env::args().skip(3).collect();
    let bp = Blueprint { tree, base, doors: Doors::default(), hostname: Some("hello".into()), domainname: None, virt_uptime: true, cgroupfs: base.is_some(), mounts: vec![],
      confinement: Confinement { userns: base.is_some(), caps: if std::env::var("SYSD").is_ok() { CapSet::SECURE.with(Capability::SYS_ADMIN).with(Capability::SETPCAP) } else { CapSet::SECURE }, filters: vec![], ulimits: vec![], nice: None, personality: None },
      entry: Entry { argv, env: vec!["PATH=/bin:/sbin:/usr/bin:/usr/sbin".into(), "container=vserver".into()], image: None, report: None } };
    let t = std::time::Instant::now();
    let s = spawn(tok, &bp, |_| Ok(()));
    eprintln!("{:?} {:?}", t.elapsed(), s);
    let s = match s { Ok(s) => s, Err(e) => { eprintln!("{e} {:?}", std::error::Error::source(&e)); return } };
    let _k = vserver_sys::tty::open_slave(s.master.as_fd()).unwrap(); let mut m = std::fs::File::from(s.master); let mut b=[0;4096];
    loop { match m.read(&mut b) { Ok(n) if n>0 => { std::io::stdout().write_all(&b[..n]).unwrap(); } e => { eprintln!("{e:?}"); break } } }
    eprintln!("{:?}", nix::sys::wait::wait());
}
