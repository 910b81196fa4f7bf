//! Small repositories of packages, made by the real tools: a handful of packages each, with a static busybox, an init, a web
//! server that it starts, and hardware services that a guest must not have.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::fixture::Fixture;
use crate::tree::write;

/// Where a distribution keeps its scripts, and what it says of itself.
pub struct Layout {
    /// `ID` of os-release(5).
    pub id: &'static str,
    /// The directory of `rcN.d`.
    pub rc: &'static str,
}

/// Red Hat's.
pub const FEDORA: Layout = Layout { id: "fedora", rc: "etc/rc.d" };
/// That of SUSE.
pub const SUSE: Layout = Layout { id: "opensuse-leap", rc: "etc/init.d" };

/// What a package's script tries: its rights, a disk, the kernel's settings.
pub const SCRIPT: &str = "exec >/var/script 2>&1\necho x >/dev/null && echo devices\n\
    mknod /var/sda b 8 0; dd if=/var/sda of=/dev/null count=1 && echo disk\nrm -f /var/sda\n\
    echo 1 >/proc/sys/kernel/sysrq && echo sysrq\nmount -t tmpfs none /mnt && echo mount\n\
    grep CapEff /proc/self/status\nls /proc | grep -c '^[0-9]'\nexit 0\n";

/// What a script finds that has left the tree by chroot(2), as lines in the tree's `/var/room`: it is where the tool itself is.
const ROOM: &str = r#"mkdir -p /guest/var
exec 3>/guest/var/room
echo "names $(ls -A / | tr '\n' ' ')" >&3
for file in /home /boot /srv /etc/shadow /etc/vservers /etc/ssh /run/vserver /run/dbus /root/.ssh /dev/sda /dev/mem /dev/kmsg; do
  [ ! -e $file ] || echo "there is $file" >&3; done
for dir in /usr/bin /etc/ssl/certs /proc/sys/kernel; do
  touch $dir/by-script 2>/dev/null && echo "wrote to $dir" >&3; done
mount -o remount,rw /usr 2>/dev/null && echo "opened usr" >&3
mount -o remount,bind,rw /usr 2>/dev/null && echo "opened usr" >&3
umount /proc/sys 2>/dev/null && echo "opened the kernel" >&3
exec 3>&-
"#;

/// Says whether the script was held, in words for a failed test.
pub fn held(root: &Path) {
    let said = fs::read_to_string(root.join("var/script")).unwrap();
    assert!(said.contains("devices\n"), "{said}");
    for word in ["disk", "sysrq", "mount"] {
        assert!(!said.lines().any(|line| line == word), "{word}: {said}");
    }
    let rights = said.lines().find_map(|line| line.strip_prefix("CapEff:")).expect("its rights").trim();
    let rights = u64::from_str_radix(rights, 16).unwrap();
    // Of files and users; none of CAP_SYS_ADMIN, CAP_SYS_MODULE, CAP_NET_ADMIN, CAP_SYS_PTRACE and so on.
    assert_eq!(rights & !0x8804_00ff, 0, "{said}");
    let processes: usize = said.lines().last().unwrap().parse().unwrap();
    assert!(processes < 12, "{said}");
}

/// Says whether there is nothing of the host where the tools work.
pub fn room(root: &Path) {
    let said = fs::read_to_string(root.join("var/room")).unwrap();
    let names = said.lines().next().unwrap().strip_prefix("names ").expect("a first line").to_owned();
    assert!(names.contains("guest") && names.contains("usr"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

const INITTAB: &str = "::sysinit:/etc/rc 3\n::respawn:/bin/sleep 86400\ntty1::respawn:/sbin/getty 38400 tty1\n\
                       ::ctrlaltdel:/sbin/poweroff\n";
const RC: &str = "#!/bin/sh\nfor script in RCDIR/rc$1.d/S*; do $script start </dev/null >/dev/null 2>&1; done\n";
const HTTPD: &str = "#!/bin/sh\nexec httpd -p 8090 -h /srv/www\n";
const HARDWARE: &str = "#!/bin/sh\ntouch /var/hardware\n";

/// The tree of all packages together.
fn content(root: &Path, layout: &Layout, page: &str) {
    for dir in ["usr/bin", "usr/sbin", "usr/lib", "etc", "var", "srv/www", "root", "tmp", "run", "mnt"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    for name in ["bin", "sbin", "lib"] {
        std::os::unix::fs::symlink(format!("usr/{name}"), root.join(name)).unwrap();
    }
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].map(Path::new).into_iter().find(|path| path.exists());
    fs::copy(busybox.expect("busybox-static"), root.join("usr/bin/busybox")).unwrap();
    let applets = [
        "sh", "bash", "cat", "chroot", "cut", "dd", "echo", "getty", "grep", "httpd", "ls", "mkdir", "mknod",
        "mount", "rm", "sleep", "touch", "tr", "true",
    ];
    for applet in applets {
        std::os::unix::fs::symlink("busybox", root.join("usr/bin").join(applet)).unwrap();
    }
    for name in ["init", "poweroff", "getty"] {
        std::os::unix::fs::symlink("../bin/busybox", root.join("usr/sbin").join(name)).unwrap();
    }
    let rc = format!("{}/rc3.d", layout.rc);
    write(root, &format!("{rc}/S10httpd"), HTTPD, 0o755);
    write(root, &format!("{rc}/S05kudzu"), HARDWARE, 0o755);
    if layout.rc == "etc/init.d" {
        std::os::unix::fs::symlink("init.d", root.join("etc/rc.d")).unwrap();
    }
    write(root, "etc/rc", &RC.replace("RCDIR", &format!("/{}", layout.rc)), 0o755);
    write(root, "etc/inittab", INITTAB, 0o644);
    write(root, "etc/os-release", &format!("ID={}\nPRETTY_NAME=\"A small {}\"\n", layout.id, layout.id), 0o644);
    write(root, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\n", 0o644);
    write(root, "etc/shadow", "root:!:1::::::\n", 0o600);
    write(root, "etc/group", "root:x:0:\n", 0o644);
    write(root, "etc/machine-id", "0123456789abcdef0123456789abcdef\n", 0o444);
    write(root, "srv/www/index.html", page, 0o644);
}

fn sh(dir: &Path, script: &str) {
    let ran = Command::new("sh").args(["-ec", script]).env("HOME", dir).current_dir(dir).output().unwrap();
    assert!(
        ran.status.success(),
        "{script}: {}{}",
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr)
    );
}

/// Packages of rpm: `filesystem`, `busybox`, `init` with the services, and `web` with the page and the script; `big`, which is
/// 64 MB when it is unpacked. And their index.
pub fn rpm(dir: &Path, layout: &Layout, page: &str) {
    content(&dir.join("content"), layout, page);
    let part = |name: &str, says: &str, files: &str| {
        format!(
            "%package -n {name}\nSummary: {name}\n{says}%description -n {name}\n{name}\n%files -n {name}\n{files}\n"
        )
    };
    let layout_files = "/bin\n/sbin\n/lib\n%dir /root\n%dir /tmp\n%dir /mnt\n/etc/os-release\n/etc/passwd\n%attr(600,root,root) /etc/shadow\n\
                        /etc/group\n/etc/machine-id";
    let parts = [
        part("filesystem", "", layout_files),
        part("busybox", "Requires: filesystem\nProvides: /bin/sh /bin/bash\n", "/usr/bin/*\n/usr/sbin/*"),
        part("init", "Requires: busybox\n", &format!("/etc/rc*\n/etc/inittab\n/{}", layout.rc)),
        part("web", "Requires: init\n", "/srv/www/index.html"),
        part("big", "Requires: filesystem\n", "/srv/big"),
    ];
    let spec = format!(
        "%global __os_install_post %{{nil}}\n%define _build_id_links none\nName: small\nVersion: 1\nRelease: 1\nSummary: small\n\
         License: none\n%description\nsmall\n%install\ncp -a {0}/content/. %{{buildroot}}\ntruncate -s 64M %{{buildroot}}/srv/big\n\
         {1}%post -n web\n{SCRIPT}%pre -n web\necho pre >/var/pre\n",
        dir.display(),
        parts.concat(),
    );
    write(dir, "small.spec", &spec, 0o644);
    let script = "rpmbuild -bb --define \"_topdir $PWD/build\" --define '_binary_payload w1.gzdio' small.spec; mkdir repo; mv build/RPMS/*/*.rpm repo; \
                  rm -r build content; createrepo_c -q repo";
    sh(dir, script);
}

/// A package of pacman's, `base`, with everything, and its database.
pub fn pacman(dir: &Path, page: &str) {
    content(&dir.join("content"), &Layout { id: "arch", rc: "etc/rc.d" }, page);
    let info = "pkgname = base\npkgver = 1-1\npkgdesc = all\nbuilddate = 1700000000\nsize = 1000\narch = x86_64\n";
    write(&dir.join("content"), ".PKGINFO", info, 0o644);
    write(&dir.join("content"), ".INSTALL", &format!("post_install() {{\n{SCRIPT}}}\n"), 0o644);
    let script = "mkdir -p repo db/base-1-1; f=base-1-1-x86_64.pkg.tar.gz; (cd content; tar -czf ../repo/$f .PKGINFO .INSTALL *)\n\
        size=$(stat -c %s repo/$f); sum=$(sha256sum repo/$f | cut -d' ' -f1)\n\
        printf '%%FILENAME%%\\n%s\\n\\n%%NAME%%\\nbase\\n\\n%%VERSION%%\\n1-1\\n\\n%%CSIZE%%\\n%s\\n\\n%%ARCH%%\\nx86_64\\n\\n%%SHA256SUM%%\\n%s\\n\\n' \
        $f $size $sum | sed 's/%%/%/g' >db/base-1-1/desc; tar -C db -czf repo/own.db base-1-1; rm -r content db";
    sh(dir, script);
}

/// What stands in for apk, which Debian has no package of: it knows the words that apk 2.14 is given, unpacks packages of its
/// form from the repositories, and refuses those that are signed by none of its keys.
const APK: &str = r#"#!/bin/sh
set -e
for word; do case $word in
  --root) ;; /guest) root=$word;; --repositories-file=*) repositories=${word#*=};; --keys-dir=*) keys=${word#*=};;
  --no-progress|--no-cache|add) ;; --initdb) ;;
  -*) echo "ERROR: unrecognized option: $word"; exit 1;;
  *) packages="$packages $word";; esac; done
for package in $packages; do
  file=$(cat $repositories)/x86_64/$package-1-r0.apk
  [ -f $file ] || { echo "ERROR: unable to select packages: $package (no such package)"; exit 1; }
  sign=$(tar -tzf $file | grep '^\.SIGN\.RSA\.' | head -1)
  [ -n "$sign" ] && [ -f "$keys/${sign#.SIGN.RSA.}" ] || { echo "ERROR: $package-1-r0: UNTRUSTED signature"; exit 99; }
  tar -C $root -xzf $file --exclude='.SIGN.*' --exclude=.PKGINFO --exclude=.post-install
  tar -xOzf $file .post-install >$root/.post-install && chroot $root /bin/sh /.post-install
  rm $root/.post-install
  mkdir -p $root/usr/lib/apk/db
  printf 'P:%s\nV:1-r0\n\n' $package >>$root/usr/lib/apk/db/installed
done
"#;

/// A repository of Alpine's form with one package, `alpine-base`, signed by the key `own.rsa.pub`; and the stand-in for apk.
pub fn apk(dir: &Path, page: &str) {
    content(&dir.join("content"), &Layout { id: "alpine", rc: "etc/rc.d" }, page);
    // What is called openrc starts the services of its run levels; the rest of them is of another init.
    let root = dir.join("content");
    fs::remove_dir_all(root.join("etc/rc.d")).unwrap();
    let start = "#!/bin/sh\nfor script in /etc/runlevels/boot/* /etc/runlevels/default/*; do $script start </dev/null >/dev/null 2>&1; done\n";
    write(&root, "usr/sbin/openrc", start, 0o755);
    write(&root, "etc/inittab", &INITTAB.replace("/etc/rc 3", "/sbin/openrc sysinit"), 0o644);
    for (service, script) in [("boot/hwclock", HARDWARE), ("boot/syslog", "#!/bin/sh\n"), ("default/httpd", HTTPD)] {
        write(&root, &format!("etc/runlevels/{service}"), script, 0o755);
    }
    write(&dir.join("content"), ".SIGN.RSA.own.rsa.pub", "signature", 0o644);
    write(&dir.join("content"), ".PKGINFO", "pkgname = alpine-base\npkgver = 1-r0\n", 0o644);
    write(&dir.join("content"), ".post-install", &format!("#!/bin/sh\n{SCRIPT}"), 0o755);
    write(dir, "exec/apk", &APK.replacen("set -e\n", &format!("{ROOM}set -e\n"), 1), 0o755);
    let script = "mkdir -p repo/x86_64; cd content; tar -czf ../repo/x86_64/alpine-base-1-r0.apk .SIGN.RSA.own.rsa.pub .PKGINFO .post-install *; \
                  cd ..; rm -r content";
    sh(dir, script);
}

/// A file of a distribution of the administrator's.
pub fn describe(host: &Fixture, distribution: &str, file: &str, content: &str) {
    // A build before this has linked the host's own cache, which may not be there.
    let (link, cache) = (host.confdir().join(".defaults/cachebase"), host.scratch("cache"));
    if fs::read_link(&link).ok().as_ref() != Some(&cache) {
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(cache, link).unwrap();
    }
    write(&host.confdir().join(".distributions").join(distribution), file, content, 0o644);
}
