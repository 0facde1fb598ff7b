# What a kernel slot holds: kernel, initramfs, device trees and overlays, in a small FAT file system that U-Boot reads.
# shellcheck shell=bash disable=SC2154

# The initramfs: busybox, our init, the drivers that lead to the root slot.
build_initramfs() {
    local root=$work/initramfs applet
    mkdir -p "$root"/{bin,dev,proc,sys,root,usr}
    ln -s usr/lib "$root/lib"
    install -m 755 "$work/unpacked/usr/bin/busybox" "$root/bin/busybox"
    for applet in sh mount mkdir sleep cat find sort xargs modprobe readlink dd hexdump switch_root ln chmod chgrp; do
        ln -s busybox "$root/bin/$applet"
    done
    sed "s/@FS_MODULE@/$root_module/g; s/@FS@/$root_type/g" "$here/initramfs/init" >"$root/init"
    chmod 755 "$root/init"
    install_modules "$here/initramfs/modules" "$root"
    # busybox reads the text forms.
    find "$root/usr/lib/modules" -name 'modules.*.bin' -delete
    find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    # zstd's checksum tells a damaged one before anything of it runs.
    (cd "$root" && find . -mindepth 1 | LC_ALL=C sort | cpio --quiet --reproducible --owner 0:0 -o -H newc) |
        zstd -q -19 --check >"$1"
}

build_kernel() {
    local to=$work/kernel board overlay
    mkdir -p "$to/dtb/broadcom" "$to/overlays"
    # gzip: U-Boot unpacks it on every board.
    gzip -9n <"$work/unpacked/boot/vmlinuz-$kernel_version" >"$to/Image.gz"
    build_initramfs "$to/initrd.img"
    "$here/lib/sums.py" "$to"
    for board in "${boards[@]}"; do
        cp "$work/unpacked/usr/lib/linux-image-$kernel_version/broadcom/$board.dtb" "$to/dtb/broadcom/"
    done
    for overlay in "$here"/overlays/*.dts; do
        dtc -q -@ -I dts -O dtb -o "$to/overlays/$(basename "$overlay" .dts).dtbo" "$overlay"
    done
    check_overlays "$to"
    make_fat "$work/kernel.img" "$kernel_mib" KERNEL "$to"
    say "kernel slot: $(du -m --apparent-size -s "$to" | cut -f 1) MiB of $kernel_mib"
}

# U-Boot goes on without an overlay that does not fit, so that is found out here; the bus of i2c.dts is the one it names.
check_overlays() {
    local board overlay tree=$work/overlaid.dtb
    for board in "${boards[@]}"; do
        for overlay in "$1"/overlays/*.dtbo; do
            fdtoverlay -i "$1/dtb/broadcom/$board.dtb" -o "$tree" "$overlay" ||
                { echo "image: $overlay does not fit $board" >&2; exit 1; }
        done
        fdtoverlay -i "$1/dtb/broadcom/$board.dtb" -o "$tree" "$1/overlays/i2c.dtbo"
        [ "$(fdtget "$tree" /aliases i2c1)" = "$(fdtget "$tree" /__symbols__ i2c1)" ] ||
            { echo "image: /dev/i2c-1 would be another bus on $board" >&2; exit 1; }
    done
}

# A FAT file system of a folder, the same for the same content: fixed serial number, times and order. mtools dates folders by
# SOURCE_DATE_EPOCH, and what mcopy copies by itself (-s) would come in the order of the builder's file system.
make_fat() {
    local image=$1 mib=$2 label=$3 from=$4 entry
    find "$from" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    rm -f "$image"
    truncate -s "${mib}M" "$image"
    mkfs.fat -F 32 -s 1 -n "$label" -i "$disk_id" --invariant "$image" >/dev/null
    while read -r entry; do
        if [ -d "$from/$entry" ]; then
            mmd -i "$image" "::$entry"
        else
            # -m keeps the time.
            mcopy -i "$image" -Qpm "$from/$entry" "::$entry"
        fi
    done < <(find "$from" -mindepth 1 -printf '%P\n' | LC_ALL=C sort)
}
