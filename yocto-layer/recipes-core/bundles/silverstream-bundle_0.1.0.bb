# SPDX-License-Identifier: MIT
SUMMARY = "Signed update of a jukebox"
DESCRIPTION = "Both images of a slot: kernel and root file system. Install it on a running jukebox with: rauc install FILE"
SECTION = "multimedia"
LICENSE = "MIT"

# It is put together of images; nothing is fetched.
SRC_URI = ""

inherit bundle

COMPATIBLE_MACHINE = "^(raspberrypi0-2w-64|raspberrypi3-64|raspberrypi4-64)$"

# RAUC_KEY_FILE and RAUC_CERT_FILE are the builder's; see README.md.
RAUC_BUNDLE_COMPATIBLE = "${SILVERSTREAM_COMPATIBLE}"
RAUC_BUNDLE_VERSION = "${DISTRO_VERSION}"
RAUC_BUNDLE_FORMAT = "verity"
RAUC_BUNDLE_SLOTS = "rootfs kernel"

RAUC_SLOT_rootfs = "silverstream-image"
RAUC_SLOT_rootfs[fstype] = "squashfs-zst"
RAUC_SLOT_rootfs[rename] = "rootfs.img"

RAUC_SLOT_kernel = "silverstream-image"
RAUC_SLOT_kernel[fstype] = "kernelslot"
RAUC_SLOT_kernel[rename] = "kernel.img"
