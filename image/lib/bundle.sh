# The update bundle and the key that signs it.
# shellcheck shell=bash disable=SC2154

# A jukebox takes updates of whoever holds the key whose certificate is in its image. Each builder has their own, outside
# the repository and not in the cache that may be thrown away: without it no update of a jukebox is possible.
make_keys() {
    if [ -s "$keys/release.key.pem" ] && [ -s "$keys/release.cert.pem" ]; then return; fi
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
    cat >"$from/manifest.raucm" <<MANIFEST
[update]
compatible=$compatible
version=$(image_version)

[bundle]
format=verity

[image.rootfs]
filename=rootfs.img

[image.kernel]
filename=kernel.img
MANIFEST
    rm -f "$work/silverstream.raucb"
    rauc --cert="$keys/release.cert.pem" --key="$keys/release.key.pem" --keyring="$keys/release.cert.pem" \
        bundle "$from" "$work/silverstream.raucb" >"$work/rauc.log" 2>&1 || { cat "$work/rauc.log" >&2; exit 1; }
    # As a jukebox will look at it.
    rauc --keyring="$keys/release.cert.pem" info "$work/silverstream.raucb" >"$work/rauc.log" 2>&1 || { cat "$work/rauc.log" >&2; exit 1; }
}
