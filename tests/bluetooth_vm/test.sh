#!/usr/bin/env bash
# The gateway's radio on the real bleak, bluetoothd and kernel, in a virtual machine whose radio is emulated.
#     test.sh          the quick choice, on this machine's own Debian (part of `make test`)
#     test.sh full     everything, on Debian 12 and 13, with the crash of Debian 12's kernel, then machines
#                      on USB without a port and a day of 60 exams on Debian 13 (`make test-bluetooth`)
#     test.sh PART     a part of it alone: bookworm, trixie, crash, usb or soak
# Needs a PC processor, apt and root (the other release: debootstrap). Where that is not there it says so: the
# quick choice is left out then, `full` fails. A failed run is repeated once: an emulated processor on a busy
# machine is slow beyond every patience. Logs: .run/bluetooth-vm/out-*.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
mode=${1:-quick}
here=tests/bluetooth_vm
logs=$PWD/.run/bluetooth-vm
pytest=(.venv/bin/python -m pytest -q --color=no -n0 -p no:cacheprovider --timeout 1000)

cannot() {
    echo "Bluetooth on the real stack: NOT RUN: $1" >&2
    [ "$mode" = quick ] && exit 0
    exit 1
}

# in_vm SUITE NAME COMMAND...: run COMMAND there, its logs in out-SUITE-NAME.
in_vm() {
    local suite=$1 name=$2; shift 2
    BLUETOOTH_SUITE=$suite BLUETOOTH_OUT=$logs/out-$suite-$name BLUETOOTH_TIMEOUT=3600 $here/run.sh "$@"
}

tested() {
    echo "== Bluetooth on $1: $2"
    in_vm "$@" || { echo "== Bluetooth on $1: $2, once more"; in_vm "$@"; }
}

# What Debian 12's kernel does when a machine forgot its bond, and that the advice of docs/bluetooth.md helps.
crashes() {
    echo "== Bluetooth on bookworm: a kernel that crashes"
    local log=$logs/out-bookworm-crash
    in_vm bookworm crash "${pytest[@]}" $here/test_crash.py
    grep -q "kernel BUG" "$log/kernel.log" || { echo "the kernel did not crash: say so in docs/bluetooth.md" >&2; return 1; }
    echo "the gateway said: $(tr '\n' ' ' <"$log/said")"
    local status=0
    in_vm bookworm panic env CRASH=panic "${pytest[@]}" $here/test_crash.py 2>"$logs/panic.log" || status=$?
    grep -q "Kernel panic" "$logs/out-bookworm-panic/kernel.log" && [ $status = 125 ] ||
        { echo "with panic_on_oops the box did not restart" >&2; return 1; }
    echo "with kernel.panic_on_oops=1 the box restarted"
}

[ "$(uname -m)" = x86_64 ] || cannot "the virtual machine is a PC; this is $(uname -m)"
mkdir -p "$logs"
own=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
case $mode in
    quick) suites=("$own") ;;
    full) suites=(bookworm trixie) ;;
    bookworm | trixie) suites=("$mode") ;;
    crash) suites=(bookworm) ;;
    usb | soak) suites=(trixie) ;;
    *) echo "quick, full, bookworm, trixie, crash, usb or soak; not $mode" >&2; exit 2 ;;
esac
for suite in "${suites[@]}"; do
    cache=${BLUETOOTH_CACHE:-$logs}
    other=$suite; [ "$suite" != "$own" ] || other=
    $here/prepare.sh "$cache/${other:-host}" $other >"$logs/prepare.log" 2>&1 ||
        cannot "$(tail -1 "$logs/prepare.log") (see $logs/prepare.log)"
done

usb() {
    tested trixie usb "${pytest[@]}" $here/test_hidraw.py $here/test_usb.py
}

soaked() {
    tested trixie soak "${pytest[@]}" -s $here/test_soak.py
    echo "== a day of exams:"
    cat "$logs/out-trixie-soak/soak.json"
}

case $mode in
    quick) tested "$own" quick "${pytest[@]}" $here/test_bluez.py -k quick; exit ;;
    crash) crashes; exit ;;
    usb) usb; exit ;;
    soak) soaked; exit ;;
esac
for suite in "${suites[@]}"; do
    tested "$suite" all "${pytest[@]}" $here/test_bluez.py $here/test_machines.py
done
if [ "$mode" = full ]; then
    crashes
    usb
    soaked
fi
