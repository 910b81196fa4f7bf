use std::fs;

use super::*;

fn with<T>(content: &[u8], read: impl FnOnce(&mut Reader, &Path) -> T) -> (T, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, content).unwrap();
    let mut reader = Reader::default();
    let value = read(&mut reader, &path);
    (value, reader.findings.iter().map(|finding| finding.message.clone()).collect())
}

#[test]
fn r1_takes_the_first_line_trimmed_and_unescaped() {
    let scalar = |content: &[u8]| with(content, |reader, path| reader.scalar(path));
    assert_eq!(scalar(b"  a b\t\nsecond\n"), (Some("a b".into()), vec![]));
    assert_eq!(scalar(b"a\\\nb\\\\c\\ \n"), (Some("ab\\c ".into()), vec![]));
    assert_eq!(scalar(b"\n"), (Some(String::new()), vec![]));
    assert_eq!(scalar(b"x"), (Some("x".into()), vec!["does not end on newline".into()]));
    assert_eq!(scalar(b""), (Some(String::new()), vec!["does not end on newline".into()]));
    assert_eq!(scalar(b"a\0b\n").0, None);
    assert_eq!(scalar(b"\xff\n"), (None, vec!["it is not UTF-8 text".into()]));
}

#[test]
fn r1_takes_only_the_first_existing_candidate() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("1"), dir.path().join("2"));
    fs::write(&second, "two\n").unwrap();
    assert_eq!(Reader::default().first_scalar(&[first.clone(), second.clone()]), Some("two".into()));
    fs::write(&first, "\n").unwrap();
    assert_eq!(Reader::default().first_scalar(&[first, second]), Some(String::new()));
}

#[test]
fn r2_skips_comments_keeps_line_numbers_and_expands_nothing() {
    let content = b"# c\n\n  NET_RAW \n $(touch /x) \nA\\\nB\nlast";
    let (lines, findings) = with(content, |reader, path| reader.list(path));
    let lines: Vec<_> = lines.iter().map(|line| (line.number, line.text.as_str())).collect();
    assert_eq!(lines, [(3, "NET_RAW"), (4, "$(touch /x)"), (5, "AB"), (7, "last")]);
    assert_eq!(findings, ["does not end on newline"]);
}

#[test]
fn r3_keeps_blanks_and_hashes() {
    let (lines, findings) = with(b"# a\n\n b \n*", |reader, path| reader.argv(path));
    assert_eq!(lines.unwrap(), ["# a", " b ", "*"]);
    assert!(findings.is_empty());
}

#[test]
fn r5_and_r6_refuse_what_is_too_much() {
    let integer = |content: &[u8]| with(content, |reader, path| reader.integer(path)).0;
    assert_eq!(integer(b"0x10\n"), Some(16));
    assert_eq!(integer(b"-5"), Some(-5));
    assert_eq!(integer(b"010\nrest\n"), Some(8));
    assert_eq!(integer(b"5K\n"), None);
    assert_eq!(integer(b"\n"), None);
    let string = |content: &[u8]| with(content, |reader, path| reader.string(path)).0;
    assert_eq!(string(b"host.example\n\n"), Some("host.example".into()));
    assert_eq!(string(&[b'x'; 64]).map(|text| text.len()), Some(64));
    assert_eq!(string(&[b'x'; 65]), None);
    assert_eq!(string(b"a\nb\n"), None);
}

#[test]
fn a_fifo_a_directory_and_a_huge_file_do_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let huge = dir.path().join("huge");
    fs::File::create(&huge).unwrap().set_len(file::MAX_FILE + 1).unwrap();
    let mut reader = Reader::default();
    assert_eq!(reader.text(&fifo), None);
    assert_eq!(reader.text(dir.path()), None);
    assert!(reader.findings.is_empty());
    assert_eq!(reader.text(&huge), None);
    assert_eq!(reader.findings[0].message, "it cannot be read: it is larger than 1 MiB");
}

#[test]
fn what_is_missing_is_known_from_the_directory_above() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("apps")).unwrap();
    fs::write(dir.path().join("apps/.hidden"), "x\n").unwrap();
    std::os::unix::fs::symlink("nowhere", dir.path().join("dangling")).unwrap();
    let mut reader = Reader::default();
    let has = |reader: &mut Reader, path: &str| reader.has(&dir.path().join(path));
    assert!(has(&mut reader, "apps") && !has(&mut reader, "interfaces/0/ip") && !has(&mut reader, "dangling"));
    assert!(
        has(&mut reader, "apps/.hidden") && !has(&mut reader, "apps/init") && !has(&mut reader, "apps/.hidden/x")
    );
    assert!(reader.has_dir(dir.path()) && !reader.has_file(&dir.path().join("apps")));
    assert_eq!(reader.names(&dir.path().join("apps")), Vec::<String>::new());
    assert!(reader.findings.is_empty());
}

#[test]
fn copies_are_known_by_their_names() {
    for name in ["a~", "a.~1~", "a.rpmsave", "b.cfsaved.2"] {
        assert!(is_backup(name), "{name}");
    }
    assert!(!is_backup("web1"));
}
