# The whole card: partition table, boot partition, state of the slots, slot A. Slot B and data start empty.
# shellcheck shell=bash disable=SC2154

# Boot partition: what the boards' boot ROM and firmware read, U-Boot, and the owner's file.
build_boot() {
    local to=$work/boot board from=$work/unpacked/usr/lib/raspi-firmware trees=$work/unpacked/usr/lib/linux-image-$kernel_version/broadcom
    mkdir -p "$to"
    cp "$from"/{bootcode.bin,start.elf,fixup.dat,start4.elf,fixup4.dat} "$to/"
    cp "$work/unpacked/usr/share/doc/raspi-firmware/copyright" "$to/LICENCE.firmware"
    cp "$work/unpacked/usr/lib/u-boot/rpi_arm64/u-boot.bin" "$to/"
    for board in "${boards[@]}"; do cp "$trees/$board.dtb" "$to/"; done
    # The firmware looks for the names of Raspberry Pi's own kernel.
    cp "$trees/bcm2837-rpi-zero-2-w.dtb" "$to/bcm2710-rpi-zero-2-w.dtb"
    cp "$trees/bcm2837-rpi-zero-2-w.dtb" "$to/bcm2710-rpi-zero-2.dtb"
    cp "$trees/bcm2837-rpi-3-b.dtb" "$to/bcm2710-rpi-3-b.dtb"
    cp "$trees/bcm2837-rpi-3-b-plus.dtb" "$to/bcm2710-rpi-3-b-plus.dtb"
    cp "$here"/boot/{config.txt,hardware.txt} "$top/board/silverstream.toml" "$to/"
    sed "s/@DISK_ID@/$disk_id/g; s/@KERNEL_ARGS@/$kernel_args/g" "$here/boot/boot.cmd" >"$work/boot.cmd"
    mkimage -A arm64 -T script -C none -n silverstream -d "$work/boot.cmd" "$to/boot.scr" >/dev/null
    mkenvimage -p 0 -s 0x4000 -o "$to/uboot.env" "$here/boot/uboot.env.txt"
    make_fat "$work/boot.img" "$boot_mib" JUKEBOX "$to"
}

# State of the slots as boot.cmd and fw_printenv read it, with the whole of its partition: first copy valid, second one not,
# whatever the card had there before. Slot B is empty.
build_state() {
    printf 'BOOT_ORDER=A B\nBOOT_A_LEFT=3\nBOOT_B_LEFT=0\n' |
        mkenvimage -r -p 0 -s 0x1000 -o "$work/state.env" -
    { cat "$work/state.env"; head -c "$(((state_mib << 20) - 0x1000))" /dev/zero | tr '\0' '\377'; } >"$work/state.img"
}

# Writes a file into the card at an offset in MiB: with its zeros, for bmaptool leaves what is a hole in the image as it was
# on the card, and a zero within a file means zero.
place() { dd if="$1" of="$card" bs=1M seek="$2" conv=notrunc status=none; }

# The first MiB of a slot without a system: no file system is found there.
clear_slot() { dd if=/dev/zero of="$card" bs=1M count=1 seek="$1" conv=notrunc status=none; }

build_card() {
    card=$work/silverstream.img
    build_boot
    build_state
    # Each logical partition has its own table in the MiB before it.
    local boot=$first_mib
    local extended=$((boot + boot_mib))
    local state=$((extended + 1))
    local kernel_a=$((state + state_mib + 1))
    local kernel_b=$((kernel_a + kernel_mib + 1))
    local root_a=$((kernel_b + kernel_mib + 1))
    local root_b=$((root_a + root_mib + 1))
    local data=$((root_b + root_mib))
    [ "$(stat -c %s "$work/rootfs.img")" -le $((root_mib << 20)) ] || { echo "image: the root file system is too large for its slot" >&2; exit 1; }
    rm -f "$card"
    truncate -s "$((data + data_mib))M" "$card"
    # Type da of the data partition: no file system of ours is on it yet; see prepare-data.
    sfdisk --quiet "$card" <<TABLE
label: dos
label-id: 0x$disk_id
1 : start=${boot}MiB, size=${boot_mib}MiB, type=c, bootable
2 : start=${extended}MiB, size=$((data - extended))MiB, type=f
3 : start=${data}MiB, size=${data_mib}MiB, type=da
5 : start=${state}MiB, size=${state_mib}MiB, type=da
6 : start=${kernel_a}MiB, size=${kernel_mib}MiB, type=c
7 : start=${kernel_b}MiB, size=${kernel_mib}MiB, type=c
8 : start=${root_a}MiB, size=${root_mib}MiB, type=83
9 : start=${root_b}MiB, size=${root_mib}MiB, type=83
TABLE
    place "$work/boot.img" "$boot"
    place "$work/state.img" "$state"
    place "$work/kernel.img" "$kernel_a"
    place "$work/rootfs.img" "$root_a"
    clear_slot "$kernel_b"
    clear_slot "$root_b"
}
