# SPDX-License-Identifier: MIT
SUMMARY = "SD card of the jukebox: two slots, settings and data"
DESCRIPTION = "Flash it, turn the knob, hear music. The partitions and slots are those of the image that is built of Debian packages."
SECTION = "multimedia"
LICENSE = "MIT"

COMPATIBLE_MACHINE = "^(raspberrypi0-2w-64|raspberrypi3-64|raspberrypi4-64)$"

# No shell for anybody without a key, nothing to install with, nothing writable.
IMAGE_FEATURES = "read-only-rootfs"
IMAGE_LINGUAS = ""

IMAGE_INSTALL = " \
    ${MACHINE_EXTRA_RRECOMMENDS} \
    alsa-lib \
    kernel-modules \
    libubootenv-bin \
    packagegroup-core-boot \
    rauc \
    rauc-service \
    silverstream \
    silverstream-rauc-conf \
    silverstream-system \
    tzdata-core \
    wireless-regdb-static \
    zram \
"

# card: the whole SD card. The slots' images are what the update bundle is made of.
IMAGE_FSTYPES = "squashfs-zst kernelslot card.xz card.bmap"

inherit core-image features_check silverstream_card
REQUIRED_DISTRO_FEATURES = "alsa rauc systemd usrmerge"

# As in the Debian image: state that belongs to the card lies on the data partition or in memory.
silverstream_rootfs() {
    etc=${IMAGE_ROOTFS}${sysconfdir}
    mv ${IMAGE_ROOTFS}${datadir}/silverstream/base-files/* $etc/
    rmdir ${IMAGE_ROOTFS}${datadir}/silverstream/base-files
    install -d ${IMAGE_ROOTFS}/data ${IMAGE_ROOTFS}/boot/firmware
    ln -sfn /data/system/localtime $etc/localtime
    ln -sfn /run/systemd/resolve/stub-resolv.conf $etc/resolv.conf
    # The owner's settings are taken over from the boot partition.
    rm -rf $etc/silverstream
    ln -sfn /data/system/silverstream.toml $etc/silverstream.toml
    # Empty, not missing: systemd then makes one in memory for each start, and nothing takes it for a first boot.
    : >$etc/machine-id
    # Nobody logs in at a console; host keys are on the data partition.
    for unit in getty.target serial-getty@.service sshdgenkeys.service rauc-mark-good.service systemd-networkd-wait-online.service \
        systemd-firstboot.service; do
        ln -sfn /dev/null $etc/systemd/system/$unit
    done
    # The version names the content: what judges a slot has to tell an update from what was there before.
    content=$(cd ${IMAGE_ROOTFS} && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c 1-8)
    {
        echo "IMAGE_ID=silverstream"
        echo "IMAGE_VERSION=${DISTRO_VERSION}+$content"
    } >>${IMAGE_ROOTFS}${nonarch_libdir}/os-release
}
ROOTFS_POSTPROCESS_COMMAND += "silverstream_rootfs"
