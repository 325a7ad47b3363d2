#!/bin/busybox sh
# First process of the guest: the host's files below, writable memory above, only cgroup v2, then the checks.
/bin/busybox --install -s /bin
mkdir -p /proc /sys /dev /rw /new
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in $(cat /modules/order); do insmod "/modules/$module"; done
set -a
. /environment
fail() { echo "GUEST: failed: $1"; poweroff -f; }
layers=
for tag in ${BERTH_PACKAGES:+packages} host; do
  mkdir -p "/$tag"
  mount -t 9p -o trans=virtio,version=9p2000.L,msize=1000000,cache=loose,ro $tag /$tag || fail "no files of $tag"
  layers=${layers:+$layers:}/$tag
done
mount -t tmpfs -o size=60% rw /rw
mkdir /rw/upper /rw/work
mount -t overlay -o lowerdir=$layers,upperdir=/rw/upper,workdir=/rw/work overlay /new || fail 'no root'
umount /sys
mount -t sysfs sysfs /new/sys
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 /new/sys/fs/cgroup || fail 'no cgroup v2'
mount -t tmpfs -o mode=755 run /new/run
# Caches of skopeo, which others may be writing to on the host.
mkdir -p /new/var/lib/containers
mount -t tmpfs containers /new/var/lib/containers
mkdir -p /new/berth-guest "/new/lib/modules/$(uname -r)"
mount -t tmpfs -o mode=711 guest /new/berth-guest
mount --bind "/new$BERTH_KERNEL/lib/modules/$(uname -r)" "/new/lib/modules/$(uname -r)"
mount --move /dev /new/dev
mkdir -p /new/dev/pts /new/dev/shm
mount -t devpts devpts /new/dev/pts
mount -t tmpfs -o mode=1777 shm /new/dev/shm
umount /proc
mount -t proc proc /new/proc
if [ "$BERTH_INIT" = systemd ]; then
  cp /environment /new/berth-guest/environment
  cat > /new/etc/systemd/system/berth-checks.service <<END
[Unit]
DefaultDependencies=no
After=dbus.service $BERTH_UNITS
[Service]
EnvironmentFile=/berth-guest/environment
Delegate=yes
ExecStart=$BERTH_GUEST/inside/checks.sh
StandardOutput=file:/dev/ttyS0
StandardError=file:/dev/ttyS0
END
  cat > /new/etc/systemd/system/berth-checks.target <<END
[Unit]
DefaultDependencies=no
Requires=dbus.service $BERTH_UNITS berth-checks.service
AllowIsolate=yes
END
  # These alone, without all that Debian starts before them: file systems, device nodes, a journal.
  for unit in dbus.socket dbus.service $BERTH_UNITS; do
    mkdir -p "/new/etc/systemd/system/$unit.d"
    printf '[Unit]\nDefaultDependencies=no\n' > "/new/etc/systemd/system/$unit.d/guest.conf"
  done
  exec switch_root /new /usr/lib/systemd/systemd --unit=berth-checks.target --show-status=0
fi
exec switch_root /new "$BERTH_GUEST/inside/checks.sh"
