//! Translation of a guest's private addresses: one nftables table of its own for each guest, which nothing of the host's is
//! in and which goes as a whole. nft(8); the kernel translates in tables of the family inet since 5.2.

use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use vserver_config::{LinkKind, NetLink, PortForward, Transport, Uplink};
use vserver_types::{GuestAddress, GuestName};

/// Where it is looked for besides `PATH`, which may be a user's.
const USUAL: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin"];

/// One link's part.
#[derive(Debug)]
pub struct Translated<'a> {
    /// The link.
    pub link: &'a NetLink,
    /// The guest's addresses on it.
    pub addresses: Vec<GuestAddress>,
}

/// Whether it asks for any.
pub fn is_asked(link: &NetLink) -> bool {
    link.masquerade || !link.forwards.is_empty()
}

/// The table's name.
pub fn table(guest: &GuestName) -> String {
    // Of the letters of guests' names nft does not know this one; no guest's name has the other.
    format!("vserver-{}", guest.as_str().replace('+', "/"))
}

/// The host's program.
pub fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let given = std::env::split_paths(&path).filter(|dir| dir.is_absolute());
    let mut all = given.chain(USUAL.iter().map(PathBuf::from)).map(|dir| dir.join("nft"));
    all.find(|file| is_program(file))
}

/// Gives it a script: all of it is done or nothing. With `check` the kernel is asked whether it would be.
///
/// # Errors
/// One sentence: there is no such program, or what it said.
pub fn run(script: &str, check: bool) -> Result<(), String> {
    let program = program().ok_or_else(|| MISSING.to_owned())?;
    let failed = |error: std::io::Error| format!("{} cannot be run: {error}", program.display());
    let mut command = Command::new(&program);
    command.args(if check { &["-c", "-f", "-"][..] } else { &["-f", "-"] });
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    // It says itself what is wrong if it ends before it has read everything.
    let _ = child.stdin.take().map(|mut input| input.write_all(script.as_bytes()));
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let first = said.lines().next().unwrap_or("it said nothing").trim();
    Err(format!(
        "nft refuses the guest's table: {first}; its kernel modules are nf_tables, nft_chain_nat, nft_masq, nft_fib_inet"
    ))
}

/// What is said of a host without the program.
pub const MISSING: &str = "the host has no program nft, which NAT needs; install the package nftables";

/// What takes a table away, whether it is there or not.
pub fn removal(table: &str) -> String {
    format!("table inet {table}\ndelete table inet {table}\n")
}

/// The table of a guest. One that an accident left is replaced.
pub fn script(guest: &GuestName, parts: &[Translated<'_>]) -> String {
    let (mut source, mut target) = (Vec::new(), Vec::new());
    for part in parts {
        source.extend(masquerades(part));
        for forward in &part.link.forwards {
            target.extend(forwarded(forward, &part.addresses));
        }
    }
    let (source, target) = (lines(&source), lines(&target));
    let name = table(guest);
    format!(
        "{}table inet {name} {{\n\
         \tchain ports {{\n{target}\t}}\n\
         \tchain arriving {{\n\t\ttype nat hook prerouting priority -100; policy accept;\n\t\tjump ports\n\t}}\n\
         \tchain own {{\n\t\ttype nat hook output priority -100; policy accept;\n\t\tjump ports\n\t}}\n\
         \tchain leaving {{\n\t\ttype nat hook postrouting priority 100; policy accept;\n{source}\t}}\n\
         }}\n",
        removal(&name)
    )
}

/// What leaves the host gets the host's address; so does what a neighbour of the guest's sends to its port on the host, or the
/// answer would find the neighbour directly.
fn masquerades(part: &Translated<'_>) -> Vec<String> {
    let device = towards(part.link);
    let mut rules = Vec::new();
    for address in &part.addresses {
        let (family, ip) = (family(address.ip), address.ip);
        if part.link.masquerade {
            rules.push(format!("{family} saddr {ip} oifname != \"{device}\" masquerade"));
        }
        if !part.link.forwards.is_empty() {
            let network = address.network();
            let network = format!("{}/{}", network.network(), network.prefix());
            rules.push(format!("{family} daddr {ip} {family} saddr {network} ct status dnat masquerade"));
        }
    }
    rules
}

/// To the first of the guest's addresses of the family. Not from the host's loopback, which the kernel lets nothing leave.
fn forwarded(forward: &PortForward, addresses: &[GuestAddress]) -> Vec<String> {
    let word = match forward.transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
        Transport::Sctp => "sctp",
    };
    let mut rules = Vec::new();
    for four in [true, false] {
        let Some(to) = addresses.iter().map(|address| address.ip).find(|ip| ip.is_ipv4() == four) else { continue };
        let whose = match forward.host {
            Some(host) if host.is_ipv4() != four => continue,
            Some(host) => format!("{} daddr {host}", family(host)),
            None if four => "ip daddr != 127.0.0.0/8 fib daddr type local".to_owned(),
            None => "ip6 daddr != ::1 fib daddr type local".to_owned(),
        };
        let target =
            if four { format!("ip to {to}:{}", forward.to) } else { format!("ip6 to [{to}]:{}", forward.to) };
        rules.push(format!("{whose} {word} dport {} dnat {target}", forward.port));
    }
    rules
}

fn lines(rules: &[String]) -> String {
    rules.iter().map(|rule| format!("\t\t{rule}\n")).collect()
}

fn family(ip: IpAddr) -> &'static str {
    if ip.is_ipv4() { "ip" } else { "ip6" }
}

/// The host's device on the way to the guest.
fn towards(link: &NetLink) -> String {
    match &link.kind {
        LinkKind::Veth { uplink: Uplink::Bridge(bridge), .. } => bridge.clone(),
        LinkKind::Veth { uplink: Uplink::Switch { name, .. }, .. } => vserver_config::bridge_of(name),
        LinkKind::Veth { host, .. } => host.clone(),
        other => other.parent().unwrap_or_default().to_owned(),
    }
}

fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(forwards: Vec<PortForward>) -> NetLink {
        NetLink {
            dir: "0".to_owned(),
            kind: LinkKind::Veth { host: "v-web1".to_owned(), uplink: Uplink::Bridge("br0".to_owned()) },
            guest: "eth0".to_owned(),
            mtu: None,
            mac: None,
            gateways: Vec::new(),
            antispoof: None,
            masquerade: true,
            forwards,
            trunk: Vec::new(),
        }
    }

    fn forward(host: Option<&str>) -> PortForward {
        let host = host.map(|text| text.parse().unwrap());
        PortForward { transport: Transport::Tcp, host, port: 8080, to: 80 }
    }

    fn rules(link: &NetLink) -> String {
        let addresses = ["10.5.0.2/24", "fd05::2/64"].map(|text| text.parse().unwrap()).to_vec();
        script(&"web1".parse().unwrap(), &[Translated { link, addresses }])
    }

    #[test]
    fn a_table_of_its_own_replaces_one_that_was_left() {
        let text = rules(&link(Vec::new()));
        assert!(
            text.starts_with("table inet vserver-web1\ndelete table inet vserver-web1\ntable inet vserver-web1 {\n")
        );
        assert!(text.contains("\t\tip saddr 10.5.0.2 oifname != \"br0\" masquerade\n"), "{text}");
        assert!(text.contains("\t\tip6 saddr fd05::2 oifname != \"br0\" masquerade\n"), "{text}");
        assert!(!text.contains("dnat"), "{text}");
    }

    #[test]
    fn a_port_leads_to_the_guest_from_each_family_that_both_have() {
        let text = rules(&link(vec![forward(None)]));
        assert!(text.contains("fib daddr type local tcp dport 8080 dnat ip to 10.5.0.2:80\n"), "{text}");
        assert!(text.contains("fib daddr type local tcp dport 8080 dnat ip6 to [fd05::2]:80\n"), "{text}");
        assert!(text.contains("ip daddr 10.5.0.2 ip saddr 10.5.0.0/24 ct status dnat masquerade\n"), "{text}");
        let text = rules(&link(vec![forward(Some("192.0.2.1"))]));
        assert!(text.contains("\t\tip daddr 192.0.2.1 tcp dport 8080 dnat ip to 10.5.0.2:80\n"), "{text}");
        assert!(!text.contains("dnat ip6"), "{text}");
    }
}
