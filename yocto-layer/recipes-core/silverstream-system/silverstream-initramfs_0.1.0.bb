# SPDX-License-Identifier: MIT
SUMMARY = "First program of the jukebox: finds and mounts the slot"
DESCRIPTION = "The initramfs' init, the same as in the image that is built of Debian packages."
SECTION = "base"

require recipes-multimedia/silverstream/silverstream-source.inc

inherit allarch

do_compile[noexec] = "1"
do_install() {
    silverstream_settings
    # BusyBox has its commands in more than one folder here.
    sed "s/@FS_MODULE@/$root_module/g; s/@FS@/$root_type/g; s|^export PATH=.*|export PATH=${base_sbindir}:${base_bindir}:${sbindir}:${bindir}|" \
        ${S}/image/initramfs/init >${D}/init
    chmod 0755 ${D}/init
    install -d ${D}/proc ${D}/sys ${D}/dev ${D}/root
}

FILES:${PN} += "/init /proc /sys /dev /root"
RDEPENDS:${PN} = "busybox"
