#!/bin/bash
# First and only script of the guest (process 1).  Starts a real D-Bus system bus
# and the real bluetoothd, runs the command, saves its exit status, halts.
exec </dev/null >/dev/ttyS1 2>&1
stty -F /dev/ttyS1 raw -echo 2>/dev/null
job=/run/vm
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
# shellcheck disable=SC1091
. "$job/env"

mkdir -p /dev/pts /dev/shm /var/lib/bluetooth
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /var/lib/bluetooth
/bin/busybox ip link set lo up
hostname vm
mkdir -p /run/dbus /run/lock
cat >/run/start-dbus <<'SCRIPT'
#!/bin/bash
# Start (or restart) the system bus; its process number is in /run/dbus.pid.
dbus-daemon --system --fork --nopidfile --print-pid=3 3>/run/dbus.pid
SCRIPT
chmod +x /run/start-dbus
/run/start-dbus

# bluetoothd: this machine's, or the other release's in its own root, which then
# shares the bus socket, the device files and the bond store with the guest.
cat >/run/start-bluetoothd <<'SCRIPT'
#!/bin/bash
# Start (or restart) bluetoothd; its process number is in /run/bluetoothd.pid.
. /run/vm/env
enter=()
if [ -n "${BLUEZ_ROOT:-}" ]; then
    enter=(chroot "$BLUEZ_ROOT")
    for dir in dev proc sys run var/lib/bluetooth; do
        mkdir -p "$BLUEZ_ROOT/$dir"
        mountpoint -q "$BLUEZ_ROOT/$dir" || mount --rbind "/$dir" "$BLUEZ_ROOT/$dir"
    done
fi
"${enter[@]}" /usr/libexec/bluetooth/bluetoothd -n $BLUETOOTHD_OPTS \
    >>/run/vm/bluetoothd.log 2>&1 &
echo $! >/run/bluetoothd.pid
# Wait until it owns its bus name: about a second; give up after ten.
for _ in $(seq 50); do
    dbus-send --system --print-reply --dest=org.freedesktop.DBus / \
        org.freedesktop.DBus.GetNameOwner string:org.bluez >/dev/null 2>&1 && exit 0
    sleep 0.2
done
echo "vm: bluetoothd did not come up; see bluetoothd.log" >&2
exit 1
SCRIPT
chmod +x /run/start-bluetoothd
/run/start-bluetoothd
cut -d' ' -f1 /proc/uptime >"$job/ready-uptime"
[ -z "${BLUETOOTH_BTMON:-}" ] || btmon -T >"$job/btmon.txt" 2>&1 &

cd "$(cat "$job/cwd")" || exit
bash "$job/command"
echo $? >"$job/status"
cut -d' ' -f1 /proc/uptime >"$job/end-uptime"
sync
/bin/busybox reboot -f
