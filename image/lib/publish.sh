# What leaves the build.
# shellcheck shell=bash disable=SC2154

max_image_bytes=$((96 << 20))

publish() {
    say "compressing the image"
    rm -rf "$out"/silverstream.* "$out"/{SHA256SUMS,manifest.tsv,licences.tar.xz,qemu}
    bmaptool --quiet create "$card" -o "$out/silverstream.bmap"
    # Blocks of a fixed size: the same output whatever the number of processors.
    xz -T0 --block-size=16MiB -6 -c "$card" >"$out/silverstream.img.xz"
    mv "$work/silverstream.raucb" "$out/"
    cp "$work/manifest.tsv" "$out/"
    cp "$work/licences.tar.xz" "$out/"
    (cd "$out" && sha256sum silverstream.img.xz silverstream.bmap silverstream.raucb manifest.tsv licences.tar.xz >SHA256SUMS)
    local bytes
    bytes=$(stat -c %s "$out/silverstream.img.xz")
    say "silverstream.img.xz: $bytes bytes ($((bytes >> 20)) MiB, at most $((max_image_bytes >> 20)))"
    [ "$bytes" -le "$max_image_bytes" ] || { echo "image: larger than $max_image_bytes bytes" >&2; exit 1; }
    # What QEMU needs beside the card; see "qemu" in this folder.
    mkdir -p "$out/qemu"
    cp "$work/unpacked/usr/lib/u-boot/qemu_arm64/u-boot.bin" "$out/qemu/u-boot-virt.bin"
    # The size of virt's second flash, whose beginning it is.
    mkenvimage -s 0x40000 -o "$out/qemu/u-boot-virt.env" "$here/boot/uboot-virt.env.txt"
    truncate -s 64M "$out/qemu/u-boot-virt.env"
    cp "$work/boot/u-boot.bin" "$out/qemu/u-boot-raspi3b.bin"
    cp "$work/boot/bcm2837-rpi-3-b.dtb" "$out/qemu/"
    # Kept for tests and for those who write it with dd: sparse, so it costs what it holds.
    mv "$card" "$out/silverstream.img"
    rm -rf "$work"
}
