#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds and tests this checkout in Debian 13: g++ 14, HDF5 1.14, clang 19. See README.md here.
#
#   sudo bash tests/portability/debian13.sh [--work DIR] [--keep] [-- ARGUMENT...]
#
# Runs `bash tests/run.sh --quick` (or with the arguments after --) on a copy of the checkout without what git ignores.
# --work: folder of the chroot (default: a new one under ${TMPDIR:-/tmp}, removed at the end unless --keep is given; 4 GB); one
# that is there is used again. Needs root (chroot, mount) and debootstrap, 500 MB of packages. STOFM_JOBS: as for
# tests/run.sh.
set -euo pipefail
source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work="" keep=no run=(--quick)
while [ $# -gt 0 ]; do
  case "$1" in
    --work) work=${2:?--work needs a folder} keep=yes; shift ;;
    --keep) keep=yes ;;
    --) shift; run=("$@"); break ;;
    -h | --help) sed -n '3,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) echo "debian13.sh: unknown option $1 (try --help)" >&2; exit 2 ;;
  esac
  shift
done
[ "$(id -u)" -eq 0 ] || { echo "debian13.sh: chroot and mount need root" >&2; exit 2; }
command -v debootstrap >/dev/null || { echo "debian13.sh: no debootstrap (apt-get install debootstrap)" >&2; exit 2; }
[ -n "$work" ] || work=$(mktemp -d "${TMPDIR:-/tmp}/stofm-debian13-XXXXXX")
mkdir -p "$work"
root=$(cd "$work" && pwd)
mounted=()
# shellcheck disable=SC2317
finish() {
  for ((i = ${#mounted[@]} - 1; i >= 0; --i)); do umount "${mounted[i]}" || umount -l "${mounted[i]}" || keep=yes; done
  if [ "$keep" = no ]; then rm -rf --one-file-system "$root"; fi
}
trap finish EXIT

[ -e "$root/etc/debian_version" ] || debootstrap --variant=minbase --include=ca-certificates trixie "$root"
cp /etc/resolv.conf "$root/etc/resolv.conf"
mount -t proc proc "$root/proc" && mounted+=("$root/proc")
rm -rf "$root/root/stofm/"{include,src,kernels,cmake,examples,tests,bench,weights_tools}  # not its build: it may be used again
mkdir -p "$root/root/stofm"
git -C "$source_dir" ls-files -co --exclude-standard -z | tar -C "$source_dir" --null -T - -cf - | tar -C "$root/root/stofm" -xf -
chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TERM=dumb \
  STOFM_JOBS="${STOFM_JOBS:-$(nproc)}" STOFM_QUICK_TO_BUILD=ON CCACHE_DIR=/root/.ccache \
  bash -c 'cd /root/stofm && bash tests/run.sh "$@" && g++ --version | head -1 && pkg-config --modversion hdf5' _ "${run[@]}"
