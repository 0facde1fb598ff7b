# SPDX-License-Identifier: MIT
SUMMARY = "What makes a system a jukebox: first start, slots, data partition, log"
DESCRIPTION = "Units, scripts and settings of the appliance, the same as in the image that is built of Debian packages."
SECTION = "base"

require recipes-multimedia/silverstream/silverstream-source.inc

inherit allarch systemd

SYSTEMD_SERVICE:${PN} = "silverstream-data.service silverstream-deadline.timer silverstream-keep-log.timer silverstream-poweroff.path"

do_compile[noexec] = "1"
do_install() {
    silverstream_settings
    cp -R --no-dereference --preserve=mode,links ${S}/image/rootfs/. ${D}/
    # Of other packages here: program and user are silverstream's, settings of RAUC are silverstream-rauc-conf's; the files of
    # base-files are put into place when the image is put together.
    rm -rf ${D}${sysconfdir}/rauc ${D}${nonarch_libdir}/sysusers.d
    install -d ${D}${datadir}/silverstream/base-files
    for file in fstab hosts; do
        mv ${D}${sysconfdir}/$file ${D}${datadir}/silverstream/base-files/
    done
    rm -f ${D}${sysconfdir}/hostname
    install -D -m 0644 ${S}/image/service/appliance.conf ${D}${systemd_system_unitdir}/silverstream.service.d/appliance.conf
    # zram is set up by the package zram.
    rm -f ${D}${sysconfdir}/systemd/zram-generator.conf
    # sshd has another name here, and starts once for each connection.
    mv ${D}${systemd_system_unitdir}/ssh.socket.d ${D}${systemd_system_unitdir}/sshd.socket.d
    rm -rf ${D}${systemd_system_unitdir}/ssh.service.d
    sed -i 's/\bssh\.socket ssh\.service\b/sshd.socket/' ${D}${systemd_system_unitdir}/silverstream-identity.service
    grep -rl @DISK_ID@ ${D} | while read -r path; do
        sed -i "s/@DISK_ID@/$disk_id/g" "$path"
    done
    chown -R root:root ${D}
    # Not those of the checkout.
    chmod -R u=rwX,go=rX ${D}
}

FILES:${PN} += "${systemd_system_unitdir} ${nonarch_libdir} ${datadir}/silverstream"

RDEPENDS:${PN} = "coreutils dosfstools e2fsprogs-e2fsck e2fsprogs-mke2fs openssh-keygen openssh-sshd rauc silverstream util-linux-flock util-linux-partx util-linux-sfdisk wpa-supplicant"
