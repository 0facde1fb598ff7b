# SPDX-License-Identifier: MIT
#
# Image types of the jukebox's card: "kernelslot", the FAT file system of a kernel slot, and "card", the whole SD card.
#
# wic cannot make this card: it numbers the partitions of an MBR by their place and puts the extended one last, whereas this
# one has the data partition at the end, as primary partition 3, so that it grows by the write of one sector; and RAUC, boot
# script and initramfs know the partitions by these numbers. Sizes and identity are read from image/lib/settings.sh of the
# checkout, as the Debian image does; the partitions are those of image/lib/card.sh.

IMAGE_TYPES += "kernelslot card"
# nooelint: oelint.vars.specific
IMAGE_TYPEDEP:card = "squashfs-zst kernelslot"

CARD_FILES = "${DEPLOY_DIR_IMAGE}/silverstream-boot"

# FAT file system of a fixed size out of a folder: make_fat IMAGE SIZE_IN_MIB LABEL FOLDER
silverstream_make_fat() {
    rm -f $1
    mkfs.vfat --invariant -n $3 -S 512 -C $1 $(expr $2 \* 1024)
    find $4 -exec touch -h -d @${SOURCE_DATE_EPOCH} {} +
    mcopy -i $1 -s -p -m $4/* ::/
}

# Kernel and initramfs. Device trees are the firmware's own, from the boot partition: Raspberry Pi's kernel wants what the
# firmware fills into them.
IMAGE_CMD:kernelslot() {
    . ${CARD_FILES}/card-settings
    rm -rf ${WORKDIR}/kernelslot
    install -d ${WORKDIR}/kernelslot
    gzip -9 -n -c ${DEPLOY_DIR_IMAGE}/Image >${WORKDIR}/kernelslot/Image.gz
    install -m 0644 ${DEPLOY_DIR_IMAGE}/silverstream-initramfs-image-${MACHINE}.cpio.gz ${WORKDIR}/kernelslot/initrd.img
    python3 ${CARD_FILES}/sums.py ${WORKDIR}/kernelslot
    silverstream_make_fat ${IMGDEPLOYDIR}/${IMAGE_NAME}.kernelslot $kernel_mib KERNEL ${WORKDIR}/kernelslot
}
do_image_kernelslot[depends] += " \
    dosfstools-native:do_populate_sysroot \
    mtools-native:do_populate_sysroot \
    silverstream-boot:do_deploy \
    silverstream-initramfs-image:do_image_complete \
    virtual/kernel:do_deploy \
"

# No holes: tools that leave them out would leave what the card had there before.
silverstream_place() {
    dd if=$1 of=$card bs=1M seek=$2 conv=notrunc
}

IMAGE_CMD:card() {
    . ${CARD_FILES}/card-settings
    card=${IMGDEPLOYDIR}/${IMAGE_NAME}.card
    boot=${WORKDIR}/boot
    rm -rf $boot
    install -d $boot/overlays
    install -m 0644 ${DEPLOY_DIR_IMAGE}/${BOOTFILES_DIR_NAME}/* $boot/
    for tree in ${KERNEL_DEVICETREE}; do
        name=$(basename $tree)
        case $tree in
        overlays/*) install -m 0644 ${DEPLOY_DIR_IMAGE}/$name $boot/overlays/ ;;
        *) install -m 0644 ${DEPLOY_DIR_IMAGE}/$name $boot/ ;;
        esac
    done
    # The firmware starts U-Boot in place of a kernel.
    install -m 0644 ${DEPLOY_DIR_IMAGE}/u-boot.bin $boot/${SDIMG_KERNELIMAGE}
    install -m 0644 ${CARD_FILES}/boot.scr ${CARD_FILES}/silverstream.toml $boot/
    silverstream_make_fat ${WORKDIR}/boot.img $boot_mib SILVERSTREAM $boot

    # Each logical partition has its own table in the MiB before it.
    extended=$(expr $first_mib + $boot_mib)
    state=$(expr $extended + 1)
    kernel_a=$(expr $state + $state_mib + 1)
    kernel_b=$(expr $kernel_a + $kernel_mib + 1)
    root_a=$(expr $kernel_b + $kernel_mib + 1)
    root_b=$(expr $root_a + $root_mib + 1)
    data=$(expr $root_b + $root_mib)
    rootfs=${IMGDEPLOYDIR}/${IMAGE_NAME}.squashfs-zst
    if [ $(stat -L -c %s $rootfs) -gt $(expr $root_mib \* 1048576) ]; then
        bbfatal "The root file system is larger than its slot of $root_mib MiB"
    fi
    rm -f $card
    truncate -s $(expr $data + $data_mib)M $card
    # Type da of the data partition: no file system of ours is on it yet; see prepare-data.
    sfdisk --quiet $card <<TABLE
label: dos
label-id: 0x$disk_id
1 : start=${first_mib}MiB, size=${boot_mib}MiB, type=c, bootable
2 : start=${extended}MiB, size=$(expr $data - $extended)MiB, type=f
3 : start=${data}MiB, size=${data_mib}MiB, type=da
5 : start=${state}MiB, size=${state_mib}MiB, type=da
6 : start=${kernel_a}MiB, size=${kernel_mib}MiB, type=c
7 : start=${kernel_b}MiB, size=${kernel_mib}MiB, type=c
8 : start=${root_a}MiB, size=${root_mib}MiB, type=83
9 : start=${root_b}MiB, size=${root_mib}MiB, type=83
TABLE
    silverstream_place ${WORKDIR}/boot.img $first_mib
    silverstream_place ${CARD_FILES}/state.img $state
    silverstream_place ${IMGDEPLOYDIR}/${IMAGE_NAME}.kernelslot $kernel_a
    silverstream_place $rootfs $root_a
    # No file system is found in the slot without a system.
    dd if=/dev/zero of=$card bs=1M count=1 seek=$kernel_b conv=notrunc
    dd if=/dev/zero of=$card bs=1M count=1 seek=$root_b conv=notrunc
}
do_image_card[depends] += " \
    dosfstools-native:do_populate_sysroot \
    mtools-native:do_populate_sysroot \
    rpi-bootfiles:do_deploy \
    silverstream-boot:do_deploy \
    u-boot:do_deploy \
    util-linux-native:do_populate_sysroot \
    virtual/kernel:do_deploy \
"
