//! Lines of socket tables. proc_pid_net(5); `net/ipv4/tcp_ipv4.c`, `net/unix/af_unix.c`.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a line tells of a socket's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    /// As the host numbers it. 0 also of those that nobody holds any more.
    pub uid: Option<u32>,
    /// 0 if nobody holds it: it waits for the other end, or to be accepted.
    pub inode: u64,
    pub local: Option<IpAddr>,
}

/// What to do with each.
pub trait Judge {
    fn keeps(&mut self, socket: Socket) -> bool;
    /// How the guest knows this user.
    fn uid(&self, host: u32) -> u32;
    /// What the guest is shown in place of this address.
    fn address(&self, ip: IpAddr) -> IpAddr;
}

/// A table of sockets with addresses.
pub fn inet(table: &str, judge: &mut impl Judge) -> String {
    let mut lines = table.lines();
    let mut text = lines.next().map(|head| format!("{head}\n")).unwrap_or_default();
    let mut count = 0_usize;
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, local, remote, state, queues, timer, tries, uid, timeout, inode, references, _, rest @ ..] =
            words.as_slice()
        else {
            continue;
        };
        let (Some((here, here_port)), Some((there, there_port))) = (address(local), address(remote)) else {
            continue;
        };
        let (Ok(uid), Ok(inode)) = (uid.parse(), inode.parse()) else { continue };
        if !judge.keeps(Socket { uid: Some(uid), inode, local: Some(here) }) {
            continue;
        }
        let (here, there) = (written(judge.address(here), local), written(judge.address(there), remote));
        let user = judge.uid(uid);
        let start = text.len();
        // The number of the line counts the host's; the word before the rest is an address of the kernel's.
        write!(
            text,
            "{count:>4}: {here}:{here_port} {there}:{there_port} {state} {queues} {timer} {tries} {user:>5} {timeout:>8} \
             {inode} {references} {NOWHERE}"
        )
        .ok();
        for word in rest {
            write!(text, " {word}").ok();
        }
        let width = line.len().saturating_sub(text.len() - start);
        writeln!(text, "{:width$}", "").ok();
        count += 1;
    }
    text
}

/// A table of others: the first word is an address of the kernel's, the inode number in column `inode`.
pub fn local(table: &str, (inode, uid): (usize, Option<usize>), judge: &mut impl Judge) -> String {
    let mut lines = table.lines();
    let mut text = lines.next().map(|head| format!("{head}\n")).unwrap_or_default();
    for line in lines {
        let Some((pointer, mut rest)) = line.split_once(' ') else { continue };
        let number = |column: usize| line.split_whitespace().nth(column)?.parse::<u64>().ok();
        let Some(inode) = number(inode) else { continue };
        let user = uid.and_then(number).and_then(|user| u32::try_from(user).ok());
        if inode == 0 || !judge.keeps(Socket { uid: user, inode, local: None }) {
            continue;
        }
        let colon = if pointer.ends_with(':') { ":" } else { "" };
        write!(text, "{NOWHERE}{colon}").ok();
        if let (Some(user), Some(column)) = (user, uid)
            && let Some(at) = place(rest, column - 1)
        {
            let after = rest.get(at..).map_or("", |rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
            write!(text, " {}{}", rest.get(..at).unwrap_or_default(), judge.uid(user)).ok();
            rest = after;
            writeln!(text, "{rest}").ok();
        } else {
            writeln!(text, " {rest}").ok();
        }
    }
    text
}

/// What whoever may not know them sees of the kernel's addresses.
const NOWHERE: &str = "0000000000000000";

/// Where the word with this number begins.
fn place(line: &str, number: usize) -> Option<usize> {
    let word = line.split_whitespace().nth(number)?;
    Some(word.as_ptr() as usize - line.as_ptr() as usize)
}

/// `0100007F:0050`: words of 32 bits as the processor has them. The port stays as it is.
fn address(word: &str) -> Option<(IpAddr, &str)> {
    let (ip, port) = word.split_once(':')?;
    let part = |at: usize| u32::from_str_radix(ip.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(part(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (four, at) in bytes.chunks_exact_mut(4).zip((0..32).step_by(8)) {
                four.copy_from_slice(&part(at)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some((ip, port))
}

/// The inverse, as wide as `old`.
fn written(ip: IpAddr, old: &str) -> String {
    let wide = old.len() > 16;
    let bytes = match ip {
        IpAddr::V4(ip) if wide => ip.to_ipv6_mapped().octets().to_vec(),
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = bytes.chunks_exact(4).filter_map(|four| <[u8; 4]>::try_from(four).ok()).map(u32::from_ne_bytes);
    words.fold(String::new(), |mut text, word| {
        write!(text, "{word:08X}").ok();
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The guest has uids from 1000 on and 10.0.0.2; 127.1.0.1 is shown as 127.0.0.1.
    struct Guest;

    impl Judge for Guest {
        fn keeps(&mut self, socket: Socket) -> bool {
            socket.inode == 77 || socket.uid.is_some_and(|uid| uid >= 1000)
        }

        fn uid(&self, host: u32) -> u32 {
            host - 1000
        }

        fn address(&self, ip: IpAddr) -> IpAddr {
            let hidden = ip.to_canonical() == IpAddr::from([127, 1, 0, 1]);
            if hidden { Ipv4Addr::LOCALHOST.into() } else { ip }
        }
    }

    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     
   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1 00000000abcdef01 100 0 0 10 0                     
   1: 0100017F:1F90 0100017F:9C40 01 00000000:00000000 00:00000000 00000000  1033        0 13 1 00000000abcdef02 20 4 30 10 -1                    
   7: 0200000A:1F90 00000000:0000 06 00000000:00000000 03:0000146F 00000000  1000        0 0 3 00000000abcdef03
";

    #[test]
    #[cfg(target_endian = "little")]
    fn lines_of_others_are_left_out() {
        let text = inet(TCP, &mut Guest);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0], TCP.lines().next().unwrap());
        let own = "   0: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 00000000    33        0 13 1 0000000000000000 20 4 30 10 -1";
        assert_eq!(lines[1].trim_end(), own);
        assert_eq!(lines[1].len(), TCP.lines().nth(2).unwrap().len());
        assert!(lines[2].starts_with("   1: 0200000A:1F90 00000000:0000 06 "), "{text}");
        assert!(lines[2].contains(" 00000000     0        0 0 3 0000000000000000"), "{text}");
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn addresses_are_read_as_they_were_written() {
        for word in ["0100007F", "B80D0120000000000000000001000000", "0000000000000000FFFF00000100007F"] {
            let (ip, port) = address(&format!("{word}:0050")).map(|(ip, port)| (ip, port.to_owned())).unwrap();
            assert_eq!((written(ip, word), port.as_str()), (word.to_owned(), "0050"));
        }
        assert_eq!(
            address("B80D0120000000000000000001000000:0").unwrap().0,
            IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1])
        );
        assert_eq!(address("0100:0"), None);
        assert_eq!(address("é00007F:0"), None);
    }

    #[test]
    fn local_sockets_are_told_by_their_inode() {
        let unix = "Num       RefCount Protocol Flags    Type St Inode Path\n\
                    00000000deadbeef: 00000002 00000000 00010000 0001 01 12 /run/host\n\
                    00000000deadbeef: 00000002 00000000 00010000 0001 01 77 /run/a b\n\
                    00000000deadbeef: 00000002 00000000 00010000 0001 02 0 @x\n";
        let own = "0000000000000000: 00000002 00000000 00010000 0001 01 77 /run/a b";
        assert_eq!(local(unix, (6, None), &mut Guest).lines().nth(1), Some(own));
        assert_eq!(local(unix, (6, None), &mut Guest).lines().count(), 2);
        let packet = "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n\
                      00000000deadbeef 3      3    0003   2     1 0      1005   77\n";
        let own = "0000000000000000 3      3    0003   2     1 0      5   77";
        assert_eq!(local(packet, (8, Some(7)), &mut Guest).lines().nth(1), Some(own));
    }
}
