#!/bin/sh
# Installs the browser of the browser tests, and ffmpeg for the files they make, on Debian as root (or with CI=true); elsewhere says what is missing.
set -eu
packages="chromium ffmpeg fonts-dejavu-core"
if [ -f /etc/debian_version ] && { [ "$(id -u)" = 0 ] || [ "${CI:-}" = true ]; }; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
else
    echo "The tests need chromium and ffmpeg. Install them (Debian: apt-get install $packages) and run make test again." >&2
    exit 1
fi
