#!/usr/bin/env bash
# Brings a PgBouncer out of Debian's or Ubuntu's packages into a folder, without installing it and without root.
# Usage: scripts/pgbouncer.sh FOLDER      prints the program; a folder that has one already is left as it is.
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
if [ ! -x "$folder/root/usr/sbin/pgbouncer" ]; then
  command -v apt-get >/dev/null && command -v dpkg >/dev/null || { echo "this needs apt-get and dpkg" >&2; exit 1; }
  mkdir -p "$folder/archives/partial"
  # What it needs and this machine lacks comes along; nothing is installed.
  apt-get -y -q --no-install-recommends --download-only -o Debug::NoLocking=1 -o APT::Sandbox::User= \
    -o Dir::Cache::archives="$folder/archives" install pgbouncer >"$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }
  for package in "$folder"/archives/*.deb; do dpkg -x "$package" "$folder/root"; done
fi
echo "$folder/root/usr/sbin/pgbouncer"
