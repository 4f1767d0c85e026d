#!/usr/bin/env bash
# The gateway's radio on the real bleak, bluetoothd and kernel of Debian 12 and 13, in a virtual machine whose
# radio is emulated. `test.sh` runs the quick choice, `test.sh full` everything. Needs root (apt, debootstrap).
# A failed run is repeated once: an emulated processor on a busy machine is slow beyond every patience.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
pick=(-k quick); [ "${1:-}" = full ] && pick=()
for suite in bookworm trixie; do
    echo "== $suite"
    run() {
        BLUETOOTH_SUITE=$suite BLUETOOTH_OUT=$PWD/.run/bluetooth-vm/out-$suite BLUETOOTH_TIMEOUT=2400 \
            tests/bluetooth_vm/run.sh .venv/bin/python -m pytest -q --color=no -n0 -p no:cacheprovider \
            --timeout 300 tests/bluetooth_vm "${pick[@]}"
    }
    run || { echo "== $suite once more"; run; }
done
