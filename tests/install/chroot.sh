#!/bin/sh
# Installs a wheel in a bare Debian and runs the quickstart there: Python and pip, no compiler, no Rust, no checkout.
#
#     tests/install/chroot.sh WHEEL [FOLDER]
#
# FOLDER keeps the system for another time (default: a new one, deleted afterwards). As root, with debootstrap and 8 GB of disk;
# skipped without them. It fetches torch, so it is no part of ./check. Prints seconds from the beginning of `pip install` to the
# report; the log is on stderr.
set -eu

[ $# -ge 1 ] || { echo "usage: $0 WHEEL [FOLDER]" >&2; exit 2; }
wheel=$(realpath -- "$1")
skip() { echo "skipped: $*" >&2; exit 0; }
[ "$(id -u)" = 0 ] || skip "only root can make a chroot"
command -v debootstrap >/dev/null || skip "there is no debootstrap (apt install debootstrap)"
checkout=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)

root=${2-$(mktemp -d)}
mounted=
finish() {
    for place in $mounted; do umount --recursive --lazy "$place"; done
    [ -z "$own" ] || rm -rf --one-file-system "$root"
}
own=
[ $# -ge 2 ] || own=1
trap finish EXIT

if [ ! -e "$root/usr/bin/pip3" ]; then
    debootstrap --variant=minbase --include=python3,python3-venv,python3-pip,ca-certificates bookworm "$root" >&2
fi
for place in proc sys dev; do
    mount --rbind "/$place" "$root/$place" && mount --make-rslave "$root/$place"
    mounted="$root/$place $mounted"
done
# The names and the certificates of this machine, if it has a proxy of its own.
cp /etc/resolv.conf /etc/hosts "$root/etc/"
[ ! -e /etc/ssl/certs/ca-certificates.crt ] || cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
[ ! -e /etc/pip.conf ] || cp /etc/pip.conf "$root/etc/"
rm -rf "$root/work" && mkdir "$root/work"
cp "$wheel" "$root/work/"
cp "$checkout/pipelines/quickstart.toml" "$root/work/"
name=$(basename -- "$wheel")

for tool in cc c++ gcc cargo rustc; do
    ! chroot "$root" sh -c "command -v $tool" >/dev/null || { echo "$root has $tool, so it is not bare" >&2; exit 1; }
done

inside() { chroot "$root" env -i PATH=/work/venv/bin:/usr/bin:/bin HOME=/root LANG=C.UTF-8 sh -euc "cd /work; $1"; }
inside "python3 -m venv venv" >&2
began=$(date +%s)
inside "pip install --no-cache-dir $name" >&2
installed=$(date +%s)
inside "intrada-run doctor quickstart.toml && intrada-run quickstart.toml" >&2
ended=$(date +%s)
[ -s "$root/work/runs/quickstart/report.html" ] || { echo "there is no report" >&2; exit 1; }
# The module, and a torch that is gone or of another version: each is said before anything runs.
inside "python3 -c 'import intrada; print(intrada.open(\"quickstart.toml\"))'" >&2
inside "pip uninstall --quiet --yes torch" >&2
says() {
    said=$(inside "intrada-run doctor 2>&1 || true; intrada-run quickstart.toml --force rank 2>&1 || true")
    case $said in *"$1"*"$1"*) echo "$said" >&2 ;; *) echo "doctor and run should both say \"$1\": $said" >&2; exit 1 ;; esac
}
says "intrada needs torch 2.11, and /work/venv/lib/python3.11/site-packages has none"
inside "mkdir venv/lib/python3.11/site-packages/torch
    echo \"__version__ = '2.10.0+cpu'\" > venv/lib/python3.11/site-packages/torch/version.py"
says "intrada needs torch 2.11, and /work/venv/lib/python3.11/site-packages has torch 2.10.0+cpu"

echo "pip install: $((installed - began)) s; from its beginning to the report: $((ended - began)) s"
