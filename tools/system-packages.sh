#!/bin/sh
# Installs the browser of the browser tests, ffmpeg for the files they make and the proxy of a team, on Debian as root (or with CI=true); elsewhere says what is missing. Arguments are more packages.
set -eu
packages="chromium ffmpeg fonts-dejavu-core nginx-light $*"
if [ -f /etc/debian_version ] && { [ "$(id -u)" = 0 ] || [ "${CI:-}" = true ]; }; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
else
    echo "This needs some programs. Install them (Debian: apt-get install $packages) and try again." >&2
    exit 1
fi
