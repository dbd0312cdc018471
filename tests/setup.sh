#!/bin/sh
# Installs what the engine tests need, where that is ours to do: as root on Debian or Ubuntu, and only
# what is missing. Elsewhere it does nothing, and the tests that miss something say so. It starts no
# service: the tests run a daemon of their own.
set -eu

{ [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; } || exit 0
PATH="$PATH:/usr/sbin:/sbin"

packages=
need() { # need COMMAND PACKAGE…: where the command is missing, those of the packages that this release has
	command -v "$1" >/dev/null && return
	shift
	packages="$packages $*"
}

need dockerd docker.io docker-cli docker-buildx # Debian 12's docker.io has all three in one
need docker docker.io docker-cli
need ip iproute2
need setpriv util-linux
need docker-registry docker-registry
need htpasswd apache2-utils
need podman podman
need skopeo skopeo
need umoci umoci
need tmux tmux
need debootstrap debootstrap
need busybox busybox-static
[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || packages="$packages debian-archive-keyring"
[ -e /etc/ssl/certs/ca-certificates.crt ] || packages="$packages ca-certificates"
# dockerd refuses to start where the kernel has AppArmor and nothing can load its profile.
case $(cat /sys/module/apparmor/parameters/enabled 2>/dev/null || true) in Y) need apparmor_parser apparmor ;; esac
[ -n "$packages" ] || exit 0

echo "installing for the engine tests:$packages"
exec </dev/null
export DEBIAN_FRONTEND=noninteractive

# Debian's own way to say that no package may start its service; left as it is where somebody set it.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	trap 'exit 1' HUP INT TERM
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod +x "$policy"
fi

apt-get update -qq
available=
for package in $packages; do
	if apt-cache show "$package" >/dev/null 2>&1; then available="$available $package"; fi
done
# shellcheck disable=SC2086  # a list
apt-get install -y -qq -o DPkg::Lock::Timeout=120 --no-install-recommends $available >/dev/null
