# SPDX-License-Identifier: MIT
SUMMARY = "Choice of the slot: U-Boot's script, its state, files that an owner edits"
DESCRIPTION = "The boot script and the first state of the slots, the same as in the image that is built of Debian packages."
SECTION = "bootloaders"

require recipes-multimedia/silverstream/silverstream-source.inc

DEPENDS += "u-boot-mkenvimage-native u-boot-mkimage-native"
PROVIDES += "u-boot-default-script"

COMPATIBLE_MACHINE = "^rpi$"
PACKAGE_ARCH = "${MACHINE_ARCH}"

inherit deploy nopackages
INHIBIT_DEFAULT_DEPS = "1"

do_compile() {
    silverstream_settings
    sed "s/@DISK_ID@/$disk_id/g; s/@KERNEL_ARGS@/$kernel_args/g" ${S}/image/boot/boot.cmd >${B}/boot.cmd.card
    uboot-mkimage -A arm64 -T script -C none -n silverstream -d ${B}/boot.cmd.card ${B}/boot.scr
    # Slot A can be tried three times; slot B is empty until the first update. The second copy is invalid, whatever the card
    # had there before.
    printf 'BOOT_ORDER=A B\nBOOT_A_LEFT=3\nBOOT_B_LEFT=0\n' | uboot-mkenvimage -r -p 0 -s 0x1000 -o ${B}/state.env -
    { cat ${B}/state.env; head -c $(expr $state_mib \* 1048576 - 4096) /dev/zero | tr '\0' '\377'; } >${B}/state.img
}

do_deploy() {
    install -d ${DEPLOYDIR}/silverstream-boot
    silverstream_settings
    install -m 0644 ${T}/card-settings ${B}/boot.scr ${B}/state.img \
        ${S}/board/silverstream.toml ${DEPLOYDIR}/silverstream-boot/
    install -m 0755 ${S}/image/lib/sums.py ${DEPLOYDIR}/silverstream-boot/
    # Where the machine configuration looks for it.
    install -m 0644 ${B}/boot.scr ${DEPLOYDIR}/
}
addtask deploy after do_compile before do_build
