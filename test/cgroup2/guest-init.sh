#!/bin/busybox sh
# First process of the guest: the host's files below, writable memory above, only cgroup v2, then the checks.
/bin/busybox --install -s /bin
mkdir -p /proc /sys /dev /host /rw /new
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in $(cat /modules/order); do insmod "/modules/$module"; done
for word in $(cat /proc/cmdline); do
  case "$word" in berth.*) name=${word#berth.}; export "BERTH_$(echo "${name%%=*}" | tr a-z A-Z)=${name#*=}" ;; esac
done
fail() { echo "GUEST: failed: $1"; poweroff -f; }
mount -t 9p -o trans=virtio,version=9p2000.L,msize=1000000,cache=loose,ro host /host || fail 'no files of the host'
mount -t tmpfs -o size=60% rw /rw
mkdir /rw/upper /rw/work
mount -t overlay -o lowerdir=/host,upperdir=/rw/upper,workdir=/rw/work overlay /new || fail 'no root'
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
  cat > /new/etc/systemd/system/berth-checks.service <<EOF
[Unit]
DefaultDependencies=no
After=dbus.service
[Service]
Environment=BERTH_DIST=$BERTH_DIST BERTH_CHECKS=$BERTH_CHECKS BERTH_INIT=systemd BERTH_NODE=$BERTH_NODE
Delegate=yes
ExecStart=$BERTH_CHECKS/guest-checks.sh
StandardOutput=file:/dev/ttyS0
StandardError=file:/dev/ttyS0
EOF
  printf '[Unit]\nDefaultDependencies=no\nRequires=dbus.service berth-checks.service\nAllowIsolate=yes\n' > /new/etc/systemd/system/berth-checks.target
  # The bus alone, without all that Debian starts before it: file systems, device nodes, a journal.
  for unit in dbus.socket dbus.service; do
    mkdir -p "/new/etc/systemd/system/$unit.d"
    printf '[Unit]\nDefaultDependencies=no\n' > "/new/etc/systemd/system/$unit.d/guest.conf"
  done
  exec switch_root /new /usr/lib/systemd/systemd --unit=berth-checks.target --show-status=0
fi
exec switch_root /new "$BERTH_CHECKS/guest-checks.sh"
