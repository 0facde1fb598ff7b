# The update bundle and the key that signs it.
# shellcheck shell=bash disable=SC2154

# A jukebox takes updates of whoever holds the key whose certificate is in its image. Each builder has their own, outside
# the repository and not in the cache that may be thrown away: without it no update of a jukebox is possible.
make_keys() {
    if [ -s "$keys/release.key.pem" ] && [ -s "$keys/release.cert.pem" ]; then return; fi
    # No other key can take the place of a lost one.
    if [ -e "$keys/release.key.pem" ] || [ -e "$keys/release.cert.pem" ]; then
        echo "image: $keys has only one of release.key.pem and release.cert.pem, or an empty one; put the other back beside it" >&2
        echo "image: (to begin with a new pair, which no jukebox of before takes updates of, move it away)" >&2
        exit 1
    fi
    say "making a signing key in $keys; keep it: jukeboxes with this image take updates of no other"
    (
        umask 077
        mkdir -p "$keys"
        openssl req -x509 -newkey rsa:3072 -nodes -sha256 -days 7300 -subj "/O=Silverstream/CN=Updates built by $(id -un)" \
            -keyout "$keys/release.key.pem.new" -out "$keys/release.cert.pem" 2>/dev/null
        mv "$keys/release.key.pem.new" "$keys/release.key.pem"
    )
}

build_bundle() {
    local from=$work/bundle
    mkdir -p "$from"
    cp "$work/rootfs.img" "$work/kernel.img" "$from/"
    sign_bundle "$from" "$(image_version)" "$work/silverstream.raucb" "$keys/release"
    # As a jukebox will look at it.
    run_rauc --keyring="$keys/release.cert.pem" info "$work/silverstream.raucb"
}

# Bundle of a folder with rootfs.img and kernel.img, signed with KEY.key.pem and KEY.cert.pem: sign_bundle FOLDER VERSION BUNDLE KEY
sign_bundle() {
    cat >"$1/manifest.raucm" <<MANIFEST
[update]
compatible=$compatible
version=$2

[bundle]
format=verity

[image.rootfs]
filename=rootfs.img

[image.kernel]
filename=kernel.img
MANIFEST
    rm -f "$3"
    run_rauc --cert="$4.cert.pem" --key="$4.key.pem" --keyring="$4.cert.pem" bundle "$1" "$3"
}

# It talks much, which is of interest only if it fails.
run_rauc() { rauc "$@" >"$work/rauc.log" 2>&1 || { cat "$work/rauc.log" >&2; exit 1; }; }
