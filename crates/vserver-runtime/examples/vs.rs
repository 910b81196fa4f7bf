//! scratch
use vserver_runtime::*;
fn main() {
    let a: Vec<String> = std::env::args().skip(1).collect();
    let a: Vec<String> = if a[0] == "--confdir" { unsafe_confdir(&a[1]); a[2..].to_vec() } else { a };
    let mut host = Host::new(None);
    host.supervisor = "/tmp/target-lead/x86_64-unknown-linux-gnu/debug/vserver-supervisor".into();
    host.vserver = std::env::current_exe().unwrap();
    let name = a[0].parse().unwrap();
    let show = |e: Error| -> ! { eprintln!("ERR {}", e.chain()); std::process::exit(1) };
    let t = std::time::Instant::now();
    match a[1].as_str() {
        "start" => println!("{:?}", start(&host, &name, &StartOptions::default()).unwrap_or_else(|e| show(e))),
        "stop" => println!("{:?}", stop(&host, &name, &StopOptions { kill: a.len() > 2 }).unwrap_or_else(|e| show(e))),
        "status" => println!("{:?}", status(&host, &name).unwrap_or_else(|e| show(e))),
        "after-exit" => { let r = after_exit(&host, &name, if a[2] == "reboot" { Ending::Reboot } else { Ending::Halt }); std::fs::write("/tmp/plan/exited.log", format!("{a:?} {r:?}")).unwrap(); return }
        "enter" => { let e = enter(&host, &name).unwrap_or_else(|e| show(e)); std::process::exit(e.code().into()) }
        "exec" => { let e = exec(&host, &name, &Command { argv: a[2..].to_vec(), env: std::env::vars().collect(), user: User::Root }).unwrap_or_else(|e| show(e)); std::process::exit(e.code().into()) }
        _ => panic!(),
    }
    eprintln!("{:?}", t.elapsed());
}
fn unsafe_confdir(_: &str) {}
