# Debian: package lists, packages that are taken apart, and the base system.
# shellcheck shell=bash disable=SC2154,SC2034

keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# Lines of sources.list.
sources() {
    local main=${DEBIAN_MIRROR:-http://deb.debian.org/debian} security=${SECURITY_MIRROR:-http://deb.debian.org/debian-security}
    local options="signed-by=$keyring"
    if [ -n "${SNAPSHOT:-}" ]; then
        main=http://snapshot.debian.org/archive/debian/$SNAPSHOT
        security=http://snapshot.debian.org/archive/debian-security/$SNAPSHOT
        options+=" check-valid-until=no"
    fi
    local components="main non-free-firmware"
    echo "deb [$options] $main $suite $components"
    echo "deb [$options] $main $suite-updates $components"
    echo "deb [$options] $security $suite-security $components"
}

# An apt of its own: another architecture and release than the host's, and nothing of the host is touched.
apt_arm64() {
    local tool=$1
    shift
    APT_CONFIG=$work/apt.conf "$tool" "$@"
}

# A package of the list, unpacked into $work/unpacked. Downloads are checked by apt against the signed lists.
take_apart() {
    local package deb
    for package in "$@"; do
        (cd "$cache/debs" && apt_arm64 apt-get -qq download "$package")
        deb=$(apt_arm64 apt-get --print-uris download "$package" | awk '{ print $2 }')
        dpkg-deb -x "$cache/debs/$deb" "$work/unpacked"
        printf '%s\n' "$deb" >>"$work/taken"
    done
}

# The time that all files carry: that of the newest state of Debian, so that the same packages make the same image.
mirror_time() {
    local date newest=0 seconds
    while read -r date; do
        seconds=$(date -ud "$date" +%s)
        [ "$seconds" -le "$newest" ] || newest=$seconds
    done < <(sed -n 's/^Date: //p' "$work"/apt/lists/*InRelease)
    echo "$newest"
}

fetch_debian() {
    mkdir -p "$work"/apt/{lists/partial,archives/partial} "$cache/debs" "$work/unpacked"
    : >"$work/apt/status"
    sources >"$work/apt/sources.list"
    cat >"$work/apt.conf" <<CONF
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
Dir::State "$work/apt";
Dir::State::status "$work/apt/status";
Dir::Cache "$work/apt";
Dir::Etc::sourcelist "$work/apt/sources.list";
Dir::Etc::sourceparts "-";
CONF
    say "reading package lists"
    apt_arm64 apt-get -qq update
    SOURCE_DATE_EPOCH=$(mirror_time)
    export SOURCE_DATE_EPOCH
    # The meta package names the kernel of the day.
    kernel_package=$(apt_arm64 apt-cache show --no-all-versions linux-image-arm64 | sed -n 's/^Depends: \(linux-image-[^ ]*\).*/\1/p')
    kernel_version=${kernel_package#linux-image-}
    say "fetching $kernel_package, firmware, U-Boot"
    take_apart "$kernel_package" raspi-firmware firmware-brcm80211 u-boot-rpi busybox-static
    # Not part of the image: what starts it in QEMU.
    take_apart u-boot-qemu
    sed -i '/^u-boot-qemu_/d' "$work/taken"
}

# For a builder who is not root it makes a user namespace of its own, which it must not take for needless because fakeroot
# says that it is root already.
mmdebstrap() { env -u LD_PRELOAD -u FAKEROOTKEY mmdebstrap "$@"; }

# Identity of the base system: the packages with versions that apt would take today, and how it is made of them.
base_key() {
    local packages
    mapfile -t packages < <(sed 's/#.*//' "$here/packages" | xargs -n 1)
    {
        declare -f build_base
        apt_arm64 apt-get -s --no-install-recommends install "${packages[@]}" '?essential' '?priority(required)' | grep '^Inst ' | sort
    } | sha256sum | cut -c 1-16
}

# A plain minimal Debian with our packages, as a tar file. Most of the time goes into package scripts that run emulated, so
# the result is kept as long as Debian does not change.
build_base() {
    base=$cache/base-$(base_key).tar
    if [ -s "$base" ] && [ "${IMAGE_FRESH:-0}" != 1 ]; then
        say "base system: as built before"
        return
    fi
    say "building the base system (10 minutes and more)"
    mkdir -p "$cache/archives"
    local packages exclusions=() path
    packages=$(sed 's/#.*//' "$here/packages" | xargs | tr ' ' ,)
    for path in doc man locale info lintian bash-completion zsh fish bug; do
        exclusions+=(--dpkgopt="path-exclude=/usr/share/$path/*")
    done
    # What the licences ask for stays.
    exclusions+=(--dpkgopt='path-include=/usr/share/doc/*/copyright')
    mapfile -t sources < <(sources)
    rm -f "$cache"/base-*.tar
    # $1 is mmdebstrap's, when it runs the hook.
    # shellcheck disable=SC2016
    mmdebstrap --quiet --arch=arm64 --variant=minbase --include="$packages" --format=tar "${exclusions[@]}" \
        --skip=essential/unlink --skip=cleanup/apt/cache \
        --setup-hook='mkdir -p "$1/var/cache/apt/archives"' \
        --setup-hook="sync-in '$cache/archives' /var/cache/apt/archives" \
        --customize-hook="sync-out /var/cache/apt/archives '$cache/archives'" \
        --customize-hook='rm -f "$1"/var/cache/apt/archives/*.deb' \
        "$suite" "$base.part" "${sources[@]}" >&2
    rm -rf "$cache/archives/lock" "$cache/archives/partial"
    mv "$base.part" "$base"
}
