//! Every trick by its name, and what must become of it.

use super::{Head, Tar};

/// What becomes of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing of it is a guest.
    Refused,
    /// It is unpacked, and what it tried has no effect outside or above a guest's rights.
    Contained,
}
use Fate::{Contained, Refused};

/// One archive.
pub struct Trick {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    pub fate: Fate,
}

/// All of them; `canary` is a directory of the host with a file `file` that nothing may touch.
pub fn tricks(canary: &str) -> Vec<Trick> {
    let all = [ways_out(canary), links(canary), two_meanings(), cut_and_broken(), sparse(), without_end(), rights()];
    all.into_iter().flatten().map(|(name, fate, bytes)| Trick { name, bytes, fate }).collect()
}

type Named = (&'static str, Fate, Vec<u8>);

fn t() -> Tar {
    Tar::default()
}

fn ways_out(canary: &str) -> Vec<Named> {
    let long = |part: &str| [part.repeat(60).as_str(), "../../canary/x"].concat();
    vec![
        ("dot-dot at the beginning", Refused, t().file("../x", b"1").end()),
        ("dot-dot in the middle", Refused, t().file("a/../../x", b"1").end()),
        ("dot-dot at the end", Refused, t().dir("a/..").end()),
        ("dot-dot behind dots and slashes", Refused, t().file(".//./../x", b"1").end()),
        ("absolute name", Refused, t().file(&format!("{canary}/x"), b"1").end()),
        ("absolute name behind two slashes", Refused, t().file(&format!("//{canary}/x"), b"1").end()),
        ("dot-dot in a long GNU name", Refused, t().gnu_long(b'L', &long("a/")).file("harmless", b"1").end()),
        ("dot-dot in an extended header", Refused, t().pax(&[("path", b"../p")]).file("harmless", b"1").end()),
        ("dot-dot in the name of a sparse file", Refused, sparse_named("../s")),
        ("NUL in a name of an extended header", Refused, t().pax(&[("path", b"a\0../b")]).file("h", b"1").end()),
        ("the root itself as a file", Refused, t().file("./", b"").file(".", b"1").end()),
        ("the root itself as a link", Refused, t().symlink("./", canary).end()),
        ("the root itself with a mode", Contained, t().add(Head::new(b'5', "./").mode(0o4777)).end()),
    ]
}

fn links(canary: &str) -> Vec<Named> {
    let linked = |target: &str| t().symlink("d", target);
    let file = format!("{canary}/file");
    vec![
        ("write through an absolute link", Refused, linked(canary).file("d/x", b"1").end()),
        ("write through a relative link", Refused, linked("../canary").file("d/x", b"1").end()),
        ("write through a magic link", Refused, linked("/proc/self/cwd").file("d/x", b"1").end()),
        ("directory through a link", Refused, linked(canary).dir("d/e").end()),
        ("link through a link", Refused, linked(canary).symlink("d/l", "x").end()),
        ("chain of links", Refused, linked("e").symlink("e", canary).file("d/x", b"1").end()),
        ("link in the middle of a name", Refused, t().dir("e").symlink("e/f", canary).file("e/f/g/x", b"1").end()),
        ("mode and owner of a directory by a link", Refused, linked(canary).add(open_dir("d")).end()),
        ("file over a link writes through it", Contained, t().symlink("l", &file).file("l", b"guest").end()),
        ("device through a link", Refused, linked(canary).add(Head::new(b'3', "d/n").device(1, 3)).end()),
        ("hard link out by dot-dot", Refused, t().hard_link("h", "../canary/file").end()),
        ("hard link out by an absolute name", Refused, t().hard_link("h", &file).end()),
        ("hard link out through a link", Refused, linked(canary).hard_link("h", "d/file").end()),
        ("hard link out in an extended header", Refused, linked_by_pax()),
        ("hard link to a link, then write", Contained, hard_link_to_link(&file)),
        ("hard link to a directory", Refused, t().dir("d").hard_link("h", "d").end()),
        ("hard link to itself", Refused, t().file("h", b"1").hard_link("h", "h").end()),
        ("hard link to what is not there", Refused, t().hard_link("h", "none").end()),
        ("link with an empty target", Refused, t().symlink("l", "").end()),
        ("file over a directory with something in it", Refused, t().file("d/x", b"1").file("d", b"2").end()),
        ("directory over a link", Refused, linked(canary).dir("d").end()),
    ]
}

fn open_dir(name: &str) -> Head<'_> {
    Head::new(b'5', name).mode(0o777).owner(12_345)
}

fn linked_by_pax() -> Vec<u8> {
    t().pax(&[("linkpath", b"../canary/file")]).hard_link("h", "harmless").end()
}

fn hard_link_to_link(file: &str) -> Vec<u8> {
    t().symlink("l", file).hard_link("h", "l").file("h", b"guest").end()
}

fn two_meanings() -> Vec<Named> {
    let file = || t().add(Head::new(b'0', "f"));
    let inner = t().file("inner", b"x").bytes;
    let hidden = |size: &[u8]| t().pax(&[("size", size)]).raw(&Head::new(b'0', "outer"), 0, &inner).end();
    vec![
        ("archive hidden in a file by its size", Contained, hidden(inner.len().to_string().as_bytes())),
        ("size of an extended header beyond the archive", Refused, hidden(b"99999999")),
        ("negative size", Refused, file().patch(124, b"-0000000001\0").end()),
        ("binary size beyond 64 bits", Refused, file().patch(124, &[0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).end()),
        ("letters in the owner", Refused, file().patch(108, b"abcdefg\0").end()),
        ("directory with data", Refused, t().raw(&Head::new(b'5', "f"), 512, &[0; 512]).end()),
        ("hard link with data", Refused, t().raw(&Head::new(b'1', "f").link("g"), 3, b"abc").end()),
        ("unknown type", Refused, t().add(Head::new(b'Q', "f")).end()),
        ("two sizes", Refused, t().pax(&[("size", b"1"), ("size", b"2")]).file("f", b"ab").end()),
        ("two extended headers", Refused, t().pax(&[("path", b"a")]).pax(&[("path", b"b")]).file("f", b"").end()),
        ("two long names", Refused, t().gnu_long(b'L', "a").gnu_long(b'L', "b").file("f", b"").end()),
        ("name for all that follow", Refused, t().extended(b'g', &[("path", b"x")]).file("f", b"").end()),
        ("header that describes nothing", Refused, t().pax(&[("path", b"a")]).end()),
        ("extended header with a wrong length", Refused, t().raw(&Head::new(b'x', "p"), 9, b"99 path=a").end()),
        ("extended header of a gigabyte", Refused, t().raw(&Head::new(b'x', "p"), 1 << 30, b"").end()),
        ("second archive behind the end", Refused, [t().file("f", b"").end(), t().file("g", b"").end()].concat()),
        ("one name twice", Contained, t().file("f", b"first").file("f", b"second").end()),
        ("one name twice, a file and then a link", Contained, t().file("f", b"1").symlink("f", "/etc/shadow").end()),
    ]
}

fn cut_and_broken() -> Vec<Named> {
    let whole = t().file("first", &[7; 1000]).file("second", &[8; 1000]).end();
    let mut flipped = whole.clone();
    flipped[1536 + 150] ^= 1;
    let cut = |at: usize| whole[..at].to_vec();
    vec![
        ("cut in the data", Refused, cut(1000)),
        ("cut in a header", Refused, cut(1700)),
        ("cut between entries", Refused, cut(1536)),
        ("without an end mark", Refused, cut(3072)),
        ("cut in a long name", Refused, t().gnu_long(b'L', "a").bytes[..700].to_vec()),
        ("wrong checksum", Refused, flipped),
        ("nothing at all", Refused, Vec::new()),
        ("no archive", Refused, vec![b'x'; 4096]),
    ]
}

fn sparse_named(name: &str) -> Vec<u8> {
    let mut map = b"1\n0\n4\n".to_vec();
    map.resize(512, 0);
    map.extend(b"data");
    sparse_of(name, b"4", &map)
}

fn sparse_of(name: &str, size: &[u8], data: &[u8]) -> Vec<u8> {
    let keys: [(&str, &[u8]); 4] = [
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", name.as_bytes()),
        ("GNU.sparse.realsize", size),
    ];
    t().pax(&keys).file("GNUSparseFile.0/s", data).end()
}

fn sparse() -> Vec<Named> {
    let map = |text: &str, data: &[u8]| {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(512, 0);
        bytes.extend(data);
        bytes
    };
    let old = |at: &[u8], length: &[u8], size: &[u8]| {
        t().raw(&Head::new(b'S', "s"), 0, b"").patch(386, at).patch(398, length).patch(483, size).end()
    };
    vec![
        ("sparse file of exabytes", Refused, sparse_of("s", b"9223372036854775807", &map("1\n0\n1\n", b"x"))),
        ("sparse file beyond 64 bits", Refused, sparse_of("s", b"99999999999999999999", &map("1\n0\n1\n", b"x"))),
        ("map of holes that leads beyond the file", Refused, sparse_of("s", b"4", &map("1\n100\n1\n", b"x"))),
        ("map of holes that wraps", Refused, sparse_of("s", b"4", &map("1\n18446744073709551615\n1\n", b"x"))),
        ("map of holes with overlaps", Refused, sparse_of("s", b"9", &map("2\n0\n4\n2\n4\n", b"12345678"))),
        ("map of holes without end", Refused, sparse_of("s", b"9", &map("60000\n", b""))),
        ("map of holes with a count beyond reason", Refused, sparse_of("s", b"9", &map("99999999999\n", b""))),
        ("map of holes for more data than there is", Refused, sparse_of("s", b"9999", &map("1\n0\n9000\n", b"x"))),
        ("old sparse file of exabytes", Refused, old(b"0", b"0", &[0x80, 0, 0, 0, 0x7f, 0xff, 0, 0, 0, 0, 0, 0])),
        ("old sparse file with a wrong map", Refused, old(b"00000009999", b"00000000777", b"00000000007")),
        ("sparse directory", Refused, {
            t().pax(&[("GNU.sparse.map", b"0,0"), ("GNU.sparse.size", b"0")]).dir("d").end()
        }),
    ]
}

fn without_end() -> Vec<Named> {
    let deep = "d/".repeat(150);
    let longer = |name: &str| t().gnu_long(b'L', name).file("f", b"").end();
    vec![
        ("name of ten kilobytes", Refused, longer(&"n/".repeat(5000))),
        ("component of 300 bytes", Refused, longer(&"n".repeat(300))),
        ("300 directories deep", Refused, longer(&[&deep, deep.as_str(), "f"].concat())),
        ("long name without end", Refused, t().raw(&Head::new(b'L', "l"), 1 << 32, b"").end()),
        ("a thousand attributes", Refused, {
            let names: Vec<String> = (0..1000).map(|n| format!("SCHILY.xattr.user.n{n}")).collect();
            let records: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"v"[..])).collect();
            t().pax(&records).file("f", b"").end()
        }),
        ("compressed five times over", Refused, {
            (0..5).fold(t().file("f", b"").end(), |bytes, _| {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                std::io::Write::write_all(&mut encoder, &bytes).unwrap();
                encoder.finish().unwrap()
            })
        }),
    ]
}

fn rights() -> Vec<Named> {
    let root = Head::new(b'0', "su").mode(0o6755);
    let fscaps = b"\x01\0\0\x02\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\0\0\0";
    vec![
        ("disk of the host", Contained, t().add(Head::new(b'4', "sda").mode(0o666).device(8, 0)).end()),
        ("memory of the host", Contained, t().add(Head::new(b'3', "mem").mode(0o666).device(1, 1)).end()),
        ("set-user-id program of root", Contained, t().add(root).end()),
        ("capabilities of a file", Contained, {
            t().pax(&[("SCHILY.xattr.security.capability", fscaps)]).file("ping", b"x").end()
        }),
        ("internals of an overlay", Contained, {
            t().pax(&[("SCHILY.xattr.trusted.overlay.redirect", b"/")]).dir("d").end()
        }),
        ("label of another machine", Contained, {
            t().pax(&[("SCHILY.xattr.security.selinux", b"system_u:object_r:shadow_t:s0")]).file("f", b"").end()
        }),
        ("owner beyond all numbers", Refused, t().pax(&[("uid", b"4294967295")]).file("f", b"").end()),
        ("owner beyond 64 bits", Refused, t().pax(&[("uid", b"18446744073709551616")]).file("f", b"").end()),
    ]
}
