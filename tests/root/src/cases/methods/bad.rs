//! What keeps a guest from being built: one sentence, status 1, and nothing left of it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fixture::{Fixture, Ran};
use crate::needs::Need;
use crate::repositories::{self, FEDORA, SUSE, describe};
use crate::tree::{self, write};
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    let rpm = |name, body: fn()| {
        Trial::new(name, body)
            .needs(Need::Tool("rpmbuild"))
            .needs(Need::Tool("createrepo_c"))
            .needs(Need::Tool("dnf"))
    };
    vec![
        Trial::new("methods::bad::unknown_and_missing", unknown_and_missing),
        rpm("methods::bad::mirrors_that_do_not_answer_or_stop", mirrors_that_do_not_answer_or_stop),
        rpm("methods::bad::a_mirror_of_suse_that_stops", a_mirror_of_suse_that_stops)
            .needs(Need::Tool("zypper"))
            .within(600),
        Trial::new("methods::bad::a_mirror_of_debian_that_stops", a_mirror_of_debian_that_stops)
            .needs(Need::Tool("debootstrap"))
            .needs(Need::Tool("mmdebstrap"))
            .needs(Need::Tool("dpkg-scanpackages"))
            .needs(Need::Tool("gpg"))
            .within(600),
        Trial::new("methods::bad::an_alpine_package_that_stops", an_alpine_package_that_stops),
        rpm(
            "methods::bad::packages_that_are_not_signed_and_a_full_disk",
            packages_that_are_not_signed_and_a_full_disk,
        ),
        Trial::new("methods::bad::a_release_signed_by_another_key", a_release_signed_by_another_key)
            .needs(Need::Tool("debootstrap"))
            .needs(Need::Tool("mmdebstrap"))
            .needs(Need::Tool("dpkg-scanpackages"))
            .needs(Need::Tool("gpg")),
    ]
}

/// Builds, which must fail in one sentence with that in it.
pub fn refused(host: &Fixture, method: &[&str], says: &[&str]) {
    refused_with(host, &[], method, says);
}

fn refused_with(host: &Fixture, options: &[&str], method: &[&str], says: &[&str]) {
    let (name, xid) = host.fresh();
    let context = xid.to_string();
    let words = [&[name.as_str(), "build", "--context", &context], options, method].concat();
    told(&host.v(&words), says);
    nothing_of(host, &name);
}

fn told(ran: &Ran, says: &[&str]) {
    assert_eq!(ran.code, 1, "{ran:?}");
    for part in says {
        assert!(ran.err.contains(part), "{part}: {}", ran.err);
    }
    assert_eq!(ran.err.trim_end().lines().count(), 1, "one sentence: {}", ran.err);
}

fn nothing_of(host: &Fixture, name: &str) {
    assert!(!host.confdir().join(name).exists());
    let left: Vec<_> = fs::read_dir(host.trees()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(left.iter().all(|name| name == ".templates"), "{left:?}");
}

fn unknown_and_missing() {
    let host = Fixture::new();
    refused(&host, &["-m", "yum", "--", "-d", "fedroa-41"], &["distribution 'fedroa-41'", "known: fedora-41, "]);
    refused(&host, &["-m", "apk", "--", "-d", "apline"], &["distribution 'apline'", "known: alpine, "]);
    refused(&host, &["-m", "yum", "--", "-d", "alpine"], &["use '-m apk -- -d alpine'"]);
    refused(&host, &["-m", "debootstrap", "--", "-d", "rocky-9"], &["use '-m yum -- -d rocky-9'"]);
    refused(&host, &["-m", "rpm", "--", "-d", "fc6", "list"], &["distribution 'fc6'"]);
    refused(&host, &["-m", "rpm"], &["there is no list of package files"]);
    refused(
        &host,
        &["-m", "zypper", "--", "-d", "opensuse-leap", "--", "--no-gpg-checks"],
        &["'--no-gpg-checks' cannot be a package"],
    );
    refused(&host, &["-m", "rsync", "--", "-s", "/"], &["that is this host itself"]);
    refused(&host, &["-m", "rsync", "--", "-s", "/no/such/tree"], &["/no/such/tree"]);
    refused(
        &host,
        &["-m", "image", "--", "-s", "/etc/passwd"],
        &["'/etc/passwd' cannot be used", "neither a table of partitions"],
    );
    // A host without any of the tools.
    let tools = [
        ("debootstrap", "bookworm", "debootstrap"),
        ("mmdebstrap", "bookworm", "mmdebstrap"),
        ("yum", "fedora", "dnf"),
        ("fai", "/etc/fai", "fai-client"),
        ("zypper", "opensuse-leap", "zypper"),
        ("pacman", "arch", "pacman-package-manager"),
        ("apk", "alpine", "apk-tools-static"),
    ];
    for (method, distribution, package) in tools {
        let (name, _) = host.fresh();
        let mut command = host.command("vserver");
        command.args([&name, "build", "-m", method, "--", "-d", distribution]).env("PATH", "/nonexistent");
        told(&Ran::from(command.output().unwrap()), &["is not installed on this host", package]);
        nothing_of(&host, &name);
    }
}

/// Serves the files below a directory; what has `broken` in its name stops in the middle of it.
fn mirror(dir: PathBuf, broken: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer(&dir, broken, &stream).unwrap_or_default();
        }
    });
    url
}

fn answer(dir: &Path, broken: &str, mut stream: &std::net::TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let path = first.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
    let Ok(content) = fs::read(dir.join(&path)) else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let count = if path.contains(broken) { content.len() / 2 } else { content.len() };
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", content.len())?;
    stream.write_all(&content[..count])
}

fn mirrors_that_do_not_answer_or_stop() {
    let host = Fixture::new();
    let made = host.scratch("rpm");
    repositories::rpm(&made, &FEDORA, "page\n");
    describe(&host, "fedora", "pkgs/01-base", "web\n");
    let from = |url: &str| {
        let repo = format!("[own]\nname=own\nbaseurl={url}\ngpgcheck=0\nretries=1\n");
        describe(&host, "fedora", "yum.repos.d/own.repo", &repo);
    };
    let method = ["-m", "yum", "--", "-d", "fedora"];
    let says = ["dnf could not fetch all that 'fedora' needs", "see whether the network and the mirror work"];
    // No route leads there; nobody listens; the index stops; a package stops.
    from("http://192.0.2.1/fedora");
    refused(&host, &method, &says);
    from("http://127.0.0.1:9/fedora");
    refused(&host, &method, &says);
    from(&mirror(made.join("repo"), "primary.xml.gz"));
    refused(&host, &method, &says);
    from(&mirror(made.join("repo"), ".rpm"));
    refused(&host, &method, &says);
    // The same mirror, whole: what was fetched in part before is not used.
    from(&mirror(made.join("repo"), "nothing"));
    let (name, _) = host.fresh();
    host.v(&[&[name.as_str(), "build"], &method[..]].concat()).ok();
    host.v(&["--silent", &name, "delete"]).ok();
    let method = ["-m", "debootstrap", "--", "-d", "bookworm", "-m", "http://192.0.2.1/debian"];
    refused(&host, &method, &["debootstrap could not fetch all that 'bookworm' needs"]);
}

fn a_mirror_of_suse_that_stops() {
    let host = Fixture::new();
    let made = host.scratch("rpm");
    repositories::rpm(&made, &SUSE, "page\n");
    describe(&host, "opensuse-leap", "pkgs/01-base", "web\n");
    let from = |url: &str| {
        let repo = format!("[own]\nname=own\nbaseurl={url}\ngpgcheck=0\nenabled=1\n");
        describe(&host, "opensuse-leap", "zypp.repos.d/own.repo", &repo);
    };
    let method = ["-m", "zypper", "--", "-d", "opensuse-leap"];
    let says =
        ["zypper could not fetch all that 'opensuse-leap' needs", "see whether the network and the mirror work"];
    from(&mirror(made.join("repo"), "primary.xml.gz"));
    // zypper asks four times, half a minute apart.
    refused(&host, &method, &says);
    from(&mirror(made.join("repo"), "nothing"));
    let (name, _) = host.fresh();
    host.v(&[&[name.as_str(), "build"], &method[..]].concat()).ok();
    host.v(&["--silent", &name, "delete"]).ok();
}

fn a_mirror_of_debian_that_stops() {
    let host = Fixture::new();
    archive(&host);
    let key = format!("--keyring={}/one.gpg", host.scratch("keys").display());
    let more =
        [&key, "--variant=extract", "--include=small", "--architectures=amd64", "--aptopt=Acquire::Retries \"0\""];
    for (broken, is_refused) in [("Packages", true), (".deb", true), ("nothing", false)] {
        let url = mirror(host.scratch("archive"), broken);
        let method = [&["-m", "mmdebstrap", "--", "-d", "bookworm", "-m", &url, "--"], &more[..]].concat();
        if is_refused {
            refused(&host, &method, &["mmdebstrap could not fetch all that 'bookworm' needs"]);
        } else {
            let (name, _) = host.fresh();
            host.v(&[&[name.as_str(), "build"], &method[..]].concat()).ok();
            host.v(&["--silent", &name, "delete"]).ok();
        }
    }
    // It asks ten times for each file, longer and longer apart: one package is enough.
    let url = mirror(host.scratch("archive"), "apt_1.0");
    let method = ["-m", "debootstrap", "--", "-d", "bookworm", "-m", &url, "--", &key, "--variant=minbase"];
    refused(&host, &method, &["debootstrap could not fetch all that 'bookworm' needs"]);
}

/// The stand-in for apk reads files; what it finds is half of one.
fn an_alpine_package_that_stops() {
    let host = Fixture::new();
    let made = host.scratch("apk");
    repositories::apk(&made, "page\n");
    describe(&host, "alpine", "apk/repositories", &format!("{}/repo\n", made.display()));
    describe(&host, "alpine", "pkgs/01-base", "alpine-base\n");
    describe(&host, "alpine", "pubkeys/own.rsa.pub", "the key\n");
    std::os::unix::fs::symlink(made.join("exec"), host.confdir().join(".distributions/alpine/execdir")).unwrap();
    let package = made.join("repo/x86_64/alpine-base-1-r0.apk");
    let file = fs::File::options().write(true).open(&package).unwrap();
    file.set_len(package.metadata().unwrap().len() / 2).unwrap();
    refused(&host, &["-m", "apk", "--", "-d", "alpine-3.20"], &["apk could not fetch all that 'alpine-3.20' needs"]);
}

fn packages_that_are_not_signed_and_a_full_disk() {
    let host = Fixture::new();
    let made = host.scratch("rpm");
    repositories::rpm(&made, &FEDORA, "page\n");
    let repo = |check: u32| {
        let text = format!("[own]\nname=own\nbaseurl=file://{}/repo\ngpgcheck={check}\n", made.display());
        describe(&host, "fedora", "yum.repos.d/own.repo", &text);
    };
    describe(&host, "fedora", "pkgs/01-base", "filesystem\n");
    repo(1);
    let method = ["-m", "yum", "--", "-d", "fedora"];
    refused(&host, &method, &["repository 'own'", "no key is known"]);
    let home = host.scratch("keys");
    let script = "chmod 700 .; gpg --batch --quiet --passphrase '' --quick-gen-key one@example.org rsa2048 sign never; \
                  gpg --batch --quiet --armor --export >key; gpgconf --kill all";
    let made = Command::new("sh").args(["-ec", script]).env("GNUPGHOME", &home).current_dir(&home).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    describe(&host, "fedora", "pubkeys/own", &fs::read_to_string(home.join("key")).unwrap());
    refused(
        &host,
        &method,
        &["dnf refuses what it fetched for 'fedora'", "is missing or not by a key of the distribution"],
    );
    repo(0);
    describe(&host, "fedora", "pkgs/01-base", "big\n");
    refused_with(&host, &["--disk", "40M"], &method, &["the guest does not fit its disk of 40 MiB"]);
}

/// An archive of Debian's form with a package, and those that debootstrap asks for; signed by one of two keys,
/// each in a keyring. Its address.
fn archive(host: &Fixture) -> String {
    let (home, archive) = (host.scratch("keys"), host.scratch("archive"));
    tree::busybox(&archive.join("small"));
    write(&archive, "small/DEBIAN/control", CONTROL, 0o644);
    for name in ["apt", "usr-is-merged"] {
        let control = CONTROL.replace("Package: small", &format!("Package: {name}\nPriority: required"));
        write(&archive, &format!("{name}/DEBIAN/control"), &control, 0o644);
    }
    let made = Command::new("sh")
        .args(["-ec", ARCHIVE, "sh"])
        .arg(&archive)
        .env("GNUPGHOME", &home)
        .current_dir(&home)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    format!("file://{}", archive.display())
}

const CONTROL: &str =
    "Package: small\nVersion: 1.0\nArchitecture: amd64\nMaintainer: nobody <nobody@example.org>\nDescription: all\n";
const ARCHIVE: &str = "chmod 700 .; for user in one other; do
  gpg --batch --quiet --passphrase '' --quick-gen-key $user@example.org ed25519 sign never
  gpg --batch --quiet --export $user@example.org >$user.gpg; done
cd $1; index=dists/bookworm/main/binary-amd64; mkdir -p pool $index
for name in small apt usr-is-merged; do dpkg-deb --root-owner-group -Zgzip -b $name pool >/dev/null; rm -r $name; done
dpkg-scanpackages pool >$index/Packages 2>/dev/null; gzip -k $index/Packages
{ printf 'Origin: test\nSuite: bookworm\nCodename: bookworm\nDate: %s\n' \"$(LC_ALL=C date -u -R)\"
  printf 'Architectures: amd64\nComponents: main\nSHA256:\n'
  for file in Packages Packages.gz; do
    echo \" $(sha256sum $index/$file | cut -d' ' -f1) $(stat -c %s $index/$file) main/binary-amd64/$file\"; done; } >dists/bookworm/Release
gpg --batch --quiet -u one@example.org --clearsign -o dists/bookworm/InRelease dists/bookworm/Release
gpgconf --kill all";

fn a_release_signed_by_another_key() {
    let host = Fixture::new();
    let mirror = archive(&host);
    let keyring = |user: &str| format!("--keyring={}/{user}.gpg", host.scratch("keys").display());
    for tool in ["debootstrap", "mmdebstrap"] {
        let (key, refuses) = (keyring("other"), format!("{tool} refuses what it fetched for 'bookworm'"));
        let method = ["-m", tool, "--", "-d", "bookworm", "-m", &mirror, "--", &key];
        refused(&host, &method, &[&refuses, "not by a key of the distribution"]);
    }
    let (name, key) = (host.fresh().0, keyring("one"));
    // apt unpacks from inside.
    let mirror = mirror.replace("file:", "copy:");
    let method = ["-m", "mmdebstrap", "--", "-d", "bookworm", "-m", &mirror, "--", &key];
    let more = ["--variant=extract", "--include=small", "--architectures=amd64"];
    host.v(&[&[name.as_str(), "build", "--hostname", "small.example.org"], &method[..], &more].concat()).ok();
    let root = host.trees().join(&name);
    assert!(root.join("bin/busybox").exists());
    assert_eq!(host.tool("vserver-template", &["list", "--json"]).ok().out.trim(), "[]");
    assert_eq!(fs::read_to_string(root.join("etc/hostname")).unwrap(), "small.example.org\n");
    host.v(&[&name, "start"]).ok();
    host.v(&[&name, "exec", "hostname"]).ok().says("small.example.org");
    host.v(&[&name, "stop"]).ok();
    host.v(&["--silent", &name, "delete"]).ok();
}
