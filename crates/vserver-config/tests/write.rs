//! A new guest's directory is complete or not there, and says what was asked for.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;
use vserver_config::{
    Defaults, Error, NewCpuSet, NewGuest, Style, Userns, create, list, next_context, read, remove, set_aside,
};
use vserver_types::{GuestName, Xid};

fn root() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join(".defaults")).unwrap();
    symlink("/srv/guests", root.path().join(".defaults/vdirbase")).unwrap();
    root
}

fn name(text: &str) -> GuestName {
    text.parse().unwrap()
}

fn text(dir: &Path, file: &str) -> String {
    fs::read_to_string(dir.join(file)).unwrap()
}

/// Everything in the root but `.defaults`.
fn entries(root: &TempDir) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != ".defaults");
    names.sort();
    names
}

#[test]
fn the_directory_has_the_files_that_the_original_writes() {
    let root = root();
    let guest = NewGuest {
        context: Some(Xid(40012)),
        hostname: Some("web1.example.org".into()),
        interfaces: ["web=eth0:192.0.2.12/24", "10.0.0.1/255.0.0.0", "nodev:127.0.0.9"]
            .map(|i| i.parse().unwrap())
            .into(),
        flags: vec!["virt_mem,virt_load".into(), "^22".into()],
        init_style: Some(Style::Plain),
        cpuset: Some(NewCpuSet { name: "web1".into(), cpus: Some(("0".into(), Some(true))), ..NewCpuSet::default() }),
        userns: Some(Userns::Off),
        files: vec![(PathBuf::from("rlimits/rss.hard"), b"1000\n".to_vec())],
        ..NewGuest::new(name("web1"))
    };
    let created = create(root.path(), &guest).unwrap();
    let dir = root.path().join("web1");
    assert_eq!(created.dir, dir);
    assert_eq!(fs::read_link(dir.join("vdir")).unwrap(), root.path().join(".defaults/vdirbase/web1"));
    assert_eq!(created.vdir, root.path().join(".defaults/vdirbase/web1"));
    assert_eq!(fs::read_link(dir.join("cache")).unwrap(), root.path().join(".defaults/cachebase/web1"));
    assert_eq!(fs::read_link(dir.join("run")).unwrap(), Path::new("/var/run/vservers/web1"));
    assert_eq!(text(&dir, "context"), "40012\n");
    assert_eq!(text(&dir, "name"), "web1\n");
    assert_eq!(text(&dir, "cflags"), "virt_mem\nvirt_load\n^22\n");
    assert_eq!(text(&dir, "interfaces/0/name"), "web\n");
    assert_eq!(text(&dir, "interfaces/0/prefix"), "24\n");
    assert_eq!(text(&dir, "interfaces/1/mask"), "255.0.0.0\n");
    assert!(dir.join("interfaces/1/nodev").exists() && dir.join("interfaces/2/nodev").exists());
    assert_eq!(created.notes, ["No device specified for interface '1'; setting 'nodev'"]);
    assert_eq!(text(&dir, "fstab").lines().count(), 3);
    assert_eq!(entries(&root), ["web1"]);
    let config = read(root.path(), &name("web1")).unwrap().0;
    assert_eq!((config.userns, config.init.style()), (Userns::Off, Style::Plain));
    assert!(config.cpuset.unwrap().cpu_exclusive);
    assert!(matches!(create(root.path(), &guest), Err(Error::Exists { .. })));
}

#[test]
fn an_explicit_nodev_is_kept_beside_a_device_for_all() {
    let root = root();
    let guest = NewGuest {
        interfaces: vec!["nodev:10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()],
        netdev: Some("eth0".into()),
        netmask: Some(Ipv4Addr::new(255, 255, 255, 0)),
        ..NewGuest::new(name("g"))
    };
    create(root.path(), &guest).unwrap();
    let config = read(root.path(), &name("g")).unwrap().0;
    assert_eq!(config.interfaces.iter().map(|i| i.nodev).collect::<Vec<_>>(), [true, false]);
    assert!(config.interfaces.iter().all(|i| i.address.prefix == Some(24)));
}

#[test]
fn nonsense_is_refused_and_nothing_is_left() {
    let root = root();
    let plain = || NewGuest::new(name("g"));
    let nonsense = [
        NewGuest { flags: vec!["virt_memory".into()], ..plain() },
        NewGuest { hostname: Some("x".repeat(65)), ..plain() },
        NewGuest { context: Some(Xid(1)), ..plain() },
        NewGuest { files: vec![("../escaped".into(), vec![])], ..plain() },
        NewGuest { files: vec![("vdir/etc/passwd".into(), vec![])], ..plain() },
        NewGuest { files: vec![("/tmp/absolute".into(), vec![])], ..plain() },
        NewGuest { fstab: Some("none /tmp\n".into()), ..plain() },
    ];
    for guest in nonsense {
        let error = create(root.path(), &guest).unwrap_err();
        assert!(!error.to_string().contains("/.new-g"), "{error}");
        assert!(entries(&root).is_empty(), "{:?} after {error}", entries(&root));
    }
    fs::create_dir(root.path().join("g")).unwrap();
    assert!(
        matches!(create(root.path(), &plain()), Err(Error::Exists { .. })),
        "an empty directory is in the way too"
    );
}

#[test]
fn what_an_interruption_left_is_cleared_away() {
    let root = root();
    fs::create_dir_all(root.path().join(".new-g/apps")).unwrap();
    assert!(list(root.path()).unwrap().is_empty());
    create(root.path(), &NewGuest::new(name("g"))).unwrap();
    assert_eq!(entries(&root), ["g"]);
}

#[test]
fn removal_and_setting_aside_touch_only_the_directory() {
    let root = root();
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("precious"), "").unwrap();
    let guest = NewGuest { vdir: Some(tree.path().to_owned()), ..NewGuest::new(name("g")) };
    create(root.path(), &guest).unwrap();
    remove(root.path(), &name("g")).unwrap();
    assert!(entries(&root).is_empty() && tree.path().join("precious").exists());
    assert!(matches!(remove(root.path(), &name("g")), Err(Error::NoSuchGuest { .. })));
    create(root.path(), &guest).unwrap();
    let aside = set_aside(root.path(), &name("g")).unwrap();
    assert!(aside.join("vdir").exists() && list(root.path()).unwrap().is_empty());
}

#[test]
fn numbers_are_given_once_and_taken_ones_skipped() {
    let root = root();
    assert_eq!(next_context(root.path(), &[]).unwrap(), Xid(40000));
    create(root.path(), &NewGuest { context: Some(Xid(40002)), ..NewGuest::new(name("g")) }).unwrap();
    assert_eq!(next_context(root.path(), &[Xid(40001)]).unwrap(), Xid(40003));
    assert_eq!(text(&root.path().join(".defaults"), "context.next"), "40004\n");
    let path = root.path().join(".defaults/context.next");
    fs::write(&path, "49152\n").unwrap();
    assert!(matches!(next_context(root.path(), &[]), Err(Error::NoContextLeft { start: 49152, .. })));
    fs::write(&path, "many\n").unwrap();
    assert!(matches!(next_context(root.path(), &[]), Err(Error::Invalid { .. })));
}

#[test]
fn two_builders_never_get_the_same_number() {
    let root = root();
    let numbers = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..10).map(|_| next_context(root.path(), &[]).unwrap()).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<std::collections::BTreeSet<_>>()
    });
    assert_eq!(numbers.len(), 40);
}

#[test]
fn the_host_has_defaults() {
    let root = root();
    let dir = root.path().join(".defaults/apps/debootstrap");
    fs::create_dir_all(&dir).unwrap();
    let defaults = Defaults::new(root.path());
    assert_eq!(defaults.debootstrap_mirror(None).unwrap(), None);
    fs::write(dir.join("mirror"), "file:///one\n").unwrap();
    let special = root.path().join(".distributions/bookworm");
    fs::create_dir_all(&special).unwrap();
    fs::write(special.join("debootstrap.mirror"), "file:///two\n").unwrap();
    assert_eq!(defaults.debootstrap_mirror(None).unwrap().as_deref(), Some("file:///one"));
    assert_eq!(defaults.debootstrap_mirror(Some("bookworm")).unwrap().as_deref(), Some("file:///two"));
    assert_eq!(defaults.debootstrap_mirror(Some("../x")).unwrap().as_deref(), Some("file:///one"));
    fs::create_dir_all(root.path().join(".defaults/apps/build")).unwrap();
    fs::write(root.path().join(".defaults/apps/build/options"), "--initstyle\nplain\n").unwrap();
    assert_eq!(defaults.build_options().unwrap(), ["--initstyle", "plain"]);
    assert_eq!(defaults.hz().unwrap(), 250);
    assert_eq!(defaults.vdirbase(), root.path().join(".defaults/vdirbase"));
    assert_eq!(defaults.cachebase(), Path::new("/var/cache/vservers"));
    assert!(!defaults.context_dynamic());
}

#[test]
fn files_of_the_host_and_of_a_distribution() {
    let root = root();
    let put = |path: &str, content: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    let defaults = Defaults::new(root.path());
    assert_eq!((defaults.shell().unwrap(), defaults.etc_file(None, "hosts")), (None, None));
    for (path, content) in [("shell", "/bin/zsh\n"), ("fstab", "x\n"), ("context.dynamic", ""), ("sched/hz", "100\n")]
    {
        put(&format!(".defaults/{path}"), content);
    }
    put(".defaults/files/hosts", "1\n");
    put(".distributions/bookworm/files/hosts", "2\n");
    put(".distributions/bookworm/debootstrap.options", "--variant=minbase  --arch=i386\n");
    symlink("/var/cache/elsewhere", root.path().join(".defaults/cachebase")).unwrap();
    assert_eq!(defaults.shell().unwrap().as_deref(), Some("/bin/zsh"));
    assert_eq!((defaults.fstab().unwrap().as_str(), defaults.hz().unwrap()), ("x\n", 100));
    assert!(defaults.context_dynamic());
    assert_eq!(defaults.cachebase(), root.path().join(".defaults/cachebase"));
    assert_eq!(defaults.etc_file(None, "hosts"), Some(root.path().join(".defaults/files/hosts")));
    let special = root.path().join(".distributions/bookworm/files/hosts");
    assert_eq!(defaults.etc_file(Some("bookworm"), "hosts"), Some(special));
    assert_eq!(defaults.debootstrap_options(Some("bookworm")).unwrap(), ["--variant=minbase", "--arch=i386"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_is_written_reads_back(
        context in prop::option::of(2u32..=49151),
        hostname in prop::option::of("[a-z][a-z0-9.-]{0,60}"),
        ips in prop::collection::btree_map((1u32..0xe000_0000).prop_map(Ipv4Addr::from_bits), prop::option::of(0u8..=32), 0..4),
        device in prop::option::of("eth[0-9]"),
        style in prop::option::of(prop::sample::select(&Style::NAMES[..7])),
        off: bool,
    ) {
        let root = root();
        let interface = |(ip, prefix): (&Ipv4Addr, &Option<u8>)| {
            let length = prefix.map(|prefix| format!("/{prefix}")).unwrap_or_default();
            let dev = device.as_ref().map(|dev| format!("{dev}:")).unwrap_or_default();
            format!("{dev}{ip}{length}").parse().unwrap()
        };
        let guest = NewGuest {
            context: context.map(Xid),
            hostname: hostname.clone(),
            interfaces: ips.iter().map(interface).collect(),
            init_style: style.map(|(_, style)| style),
            userns: Some(if off { Userns::Off } else { Userns::Auto }),
            ..NewGuest::new(name("g"))
        };
        create(root.path(), &guest).unwrap();
        let (config, warnings) = read(root.path(), &name("g")).unwrap();
        prop_assert!(warnings.is_empty(), "{:?}", warnings);
        prop_assert_eq!(config.context, guest.context);
        prop_assert_eq!(config.uts.nodename, hostname);
        prop_assert_eq!(config.init.style, guest.init_style);
        prop_assert_eq!(config.userns, guest.userns.unwrap());
        let read_back: Vec<_> = config.interfaces.iter().map(|i| (i.address, i.dev.clone(), i.nodev)).collect();
        let asked: Vec<_> = guest.interfaces.iter().map(|i| (i.address, i.dev.clone(), i.dev.is_none())).collect();
        prop_assert_eq!(read_back, asked);
    }
}
