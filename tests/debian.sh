#!/usr/bin/env bash
# Debian packages the tests need: a browser with a Chinese font, a serial-over-TCP server, systemd's checker,
# a file system whose power can be cut, a tracer that makes system calls fail.
set -euo pipefail
wanted=()
command -v chromium >/dev/null || wanted+=(chromium)
fc-list 2>/dev/null | grep -qi wqy || wanted+=(fonts-wqy-microhei fontconfig)
command -v ser2net >/dev/null || wanted+=(ser2net)
command -v systemd-analyze >/dev/null || wanted+=(systemd)
command -v fusermount3 >/dev/null || wanted+=(fuse3)
command -v strace >/dev/null || wanted+=(strace)
[ ${#wanted[@]} -eq 0 ] && exit 0
as_root=(); [ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
if ! command -v apt-get >/dev/null || ! "${as_root[@]}" true 2>/dev/null; then
  echo "the tests need these programs, and this user may not install them: ${wanted[*]}" >&2
  echo "please run: apt install --no-install-recommends ${wanted[*]}" >&2
  exit 1
fi
echo "setup: installing Debian packages: ${wanted[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${wanted[@]}" >/dev/null
