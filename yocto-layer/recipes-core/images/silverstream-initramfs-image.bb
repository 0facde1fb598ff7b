# SPDX-License-Identifier: MIT
SUMMARY = "Initramfs of the jukebox"
DESCRIPTION = "BusyBox, the program that mounts the slot, and what the kernel needs as a module for it."
SECTION = "base"
LICENSE = "MIT"

PACKAGE_INSTALL = "busybox silverstream-initramfs"
# The kernel fragment of this layer has them built in; another kernel may have modules.
PACKAGE_INSTALL_ATTEMPTONLY = "kernel-module-squashfs"
PACKAGE_EXCLUDE = "kernel-image-*"

IMAGE_FEATURES = ""
IMAGE_LINGUAS = ""
IMAGE_NAME_SUFFIX = ""
IMAGE_FSTYPES = "cpio.gz"
IMAGE_ROOTFS_SIZE = "8192"
IMAGE_ROOTFS_EXTRA_SPACE = "0"

inherit core-image
