# Raises a root of its own for package tools of the host, and runs one there without the rights to leave it.
# Arguments: an empty directory, the tree, a directory of the build, the cache and its place in the tree (or two empty words),
# directories and files that are lent, --, the program with its arguments.
set -e
umask 022
new=$1 tree=$2 work=$3 cache=$4 place=$5
shift 5
mount -t tmpfs -o mode=0755,nosuid,nodev build "$new"
cd "$new"
mkdir -p etc/ssl dev proc sys run tmp root guest work old var/tmp var/lib var/cache var/log
chmod 1777 tmp var/tmp
lend() {
    if [ -d "$1" ]; then mkdir -p ".$1"; else mkdir -p ".${1%/*}"; : >".$1"; fi
    mount --bind "$1" ".$1"
    mount -o remount,bind,ro,nosuid,nodev ".$1"
}
give() {
    mount --bind "$1" "$2"
    mount -o remount,bind,nosuid,nodev "$2"
}
for dir in /usr /bin /sbin /lib /lib32 /lib64 /libx32; do
    if [ -L "$dir" ]; then cp -P "$dir" ".$dir"; elif [ -d "$dir" ]; then lend "$dir"; fi
done
for dir in /etc/alternatives /etc/ssl/certs /etc/ca-certificates /etc/pki /etc/crypto-policies; do
    [ ! -d "$dir" ] || lend "$dir"
done
for file in ld.so.cache resolv.conf hosts nsswitch.conf host.conf gai.conf services protocols localtime; do
    [ ! -f "/etc/$file" ] || cat "/etc/$file" >"etc/$file"
done
echo 'root:x:0:0:root:/root:/bin/sh' >etc/passwd
echo 'root:x:0:' >etc/group
give "$tree" guest
give "$work" work
[ -z "$cache" ] || { mkdir -p "guest/$place"; give "$cache" "guest/$place"; }
while [ "$1" != -- ]; do lend "$1"; shift; done
shift
mount -t tmpfs -o mode=0755,nosuid,noexec devices dev
for node in null zero full random urandom; do : >dev/$node; mount --bind /dev/$node dev/$node; done
ln -s /proc/self/fd dev/fd
ln -s fd/0 dev/stdin
ln -s fd/1 dev/stdout
ln -s fd/2 dev/stderr
mkdir -m 1777 dev/shm
mount -t proc -o nosuid,nodev,noexec process proc
for name in sys sysrq-trigger irq bus fs acpi scsi tty driver; do
    [ ! -e proc/$name ] || { mount --bind proc/$name proc/$name; mount -o remount,bind,ro,nosuid,nodev,noexec proc/$name; }
done
for name in kcore kmsg kallsyms keys timer_list sched_debug; do
    [ ! -e proc/$name ] || mount --bind dev/null proc/$name
done
# Nothing that is mounted may be reached by what the tree has for a link; it is new, but for what an initpre has put there.
for dir in guest/dev guest/proc; do [ ! -L "$dir" ] || { echo "$dir of the tree is a link" >&2; exit 1; }; done
mount --rbind dev guest/dev
mount --rbind proc guest/proc
pivot_root . old
cd /
umount -l /old
rmdir /old
keep=+chown,+dac_override,+dac_read_search,+fowner,+fsetid,+kill,+setgid,+setuid,+setfcap,+mknod,+sys_chroot
exec setpriv --bounding-set "-all,$keep" --inh-caps -all -- "$@"
