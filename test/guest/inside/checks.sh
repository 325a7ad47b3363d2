#!/bin/sh
# Runs the checks in the guest and turns the machine off, whatever comes of them.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
exec < /dev/null > /dev/ttyS0 2>&1
ip link set lo up
[ -z "$BERTH_MODULES" ] || modprobe --all $BERTH_MODULES
"$BERTH_NODE" "$BERTH_GUEST/inside/main.mjs" || echo 'GUEST: failed'
sync
/bin/busybox poweroff -f
