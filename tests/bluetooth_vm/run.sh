#!/bin/bash
# Run one command inside the virtual machine:
#     run.sh COMMAND [ARG...]
# The command sees this machine's files (read-only; what it writes goes to memory
# and is gone afterwards), starts in the current directory, and finds a system
# D-Bus, bluetoothd and /dev/vhci.  Its output and exit status become this script's.
# What must come out of the guest is written to $BLUETOOTH_OUT there (a folder here).
#
# Settings (environment):
#   BLUETOOTH_SUITE    a Debian release for kernel and bluetoothd (default: this one)
#   BLUETOOTH_CACHE    where kernel and initramfs are kept (default ./.run/bluetooth-vm)
#   BLUETOOTH_OUT      folder on this side for logs and results (default: a new one)
#   BLUETOOTH_TIMEOUT  seconds (600);  BLUETOOTH_MEM  MiB (1024)
#   BLUETOOTH_BTMON    1: record the HCI traffic to btmon.txt in BLUETOOTH_OUT
#   BLUETOOTH_ACCEL    kvm or tcg (default: kvm only with a hardware KVM module)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
suite=${BLUETOOTH_SUITE:-}
# This machine's own release needs no root of its own.
[ "$suite" != "$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" ] || suite=
cache=${BLUETOOTH_CACHE:-$PWD/.run/bluetooth-vm}/${suite:-host}
"$here/prepare.sh" "$cache" $suite

out=${BLUETOOTH_OUT:-$(mktemp -d)}
mkdir -p "$out"
rm -f "$out/status"
cp "$here/guest.sh" "$out/guest.sh"
pwd >"$out/cwd"
printf '%q ' "$@" >"$out/command"
{
    echo "export BLUETOOTH_VM=1 BLUETOOTH_OUT=/run/vm BLUETOOTH_BTMON=${BLUETOOTH_BTMON:-}"
    echo "BLUETOOTHD_OPTS='${BLUETOOTHD_OPTS:-}'"
    [ -z "$suite" ] || echo "BLUEZ_ROOT=$(realpath "$cache/root")"
} >"$out/env"

# A /dev/kvm alone is no proof: some virtual hosts have one that only runs
# specially built kernels (kvm_pvm), under which Debian's kernel hangs.
if [ -z "${BLUETOOTH_ACCEL:-}" ]; then
    BLUETOOTH_ACCEL=tcg
    if [ -w /dev/kvm ] && { [ -d /sys/module/kvm_intel ] || [ -d /sys/module/kvm_amd ]; }; then
        BLUETOOTH_ACCEL=kvm
    fi
fi
if [ "$BLUETOOTH_ACCEL" = kvm ]; then cpu=host; else cpu=max; fi

rc=0
timeout --foreground "${BLUETOOTH_TIMEOUT:-600}" qemu-system-x86_64 \
    -machine q35,accel="$BLUETOOTH_ACCEL" -cpu "$cpu" -smp 2 -m "${BLUETOOTH_MEM:-1024}" \
    -nodefaults -no-user-config -no-reboot -display none \
    -kernel "$cache/vmlinuz" -initrd "$cache/initrd.gz" \
    -append "console=ttyS0 quiet loglevel=4 panic=-1 random.trust_cpu=on mitigations=off" \
    -serial file:"$out/kernel.log" -serial stdio \
    -device virtio-rng-pci \
    -fsdev local,id=host,path=/,security_model=none,readonly=on,multidevs=remap \
    -device virtio-9p-pci,fsdev=host,mount_tag=host \
    -fsdev local,id=out,path="$out",security_model=none \
    -device virtio-9p-pci,fsdev=out,mount_tag=out </dev/null || rc=$?
if grep -qE 'kernel BUG|Oops|general protection' "$out/kernel.log"; then
    echo "vm: the guest's KERNEL crashed; see $out/kernel.log" >&2
fi
if [ ! -s "$out/status" ]; then
    echo "vm: the guest ended without a status (qemu: $rc); see $out/kernel.log" >&2
    exit 125
fi
exit "$(cat "$out/status")"
