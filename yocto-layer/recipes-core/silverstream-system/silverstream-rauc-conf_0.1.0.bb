# SPDX-License-Identifier: MIT
SUMMARY = "Slots of the jukebox's card, and whose updates it takes"
DESCRIPTION = "RAUC's system configuration for the card's layout, and the certificate that update bundles are checked against."
SECTION = "base"

require recipes-multimedia/silverstream/silverstream-source.inc

# The certificate of whoever builds the bundles; required when this is built, see README.md.
SILVERSTREAM_KEYRING ?= ""

inherit features_check
REQUIRED_DISTRO_FEATURES = "rauc"

PACKAGE_ARCH = "${MACHINE_ARCH}"

do_compile[noexec] = "1"
do_install() {
    if [ -z "${SILVERSTREAM_KEYRING}" ]; then
        bbfatal "Set SILVERSTREAM_KEYRING to the certificate that updates are signed with; see README.md of meta-silverstream"
    fi
    silverstream_settings
    # Where RAUC looks first is /etc.
    install -d ${D}${sysconfdir}/rauc
    sed "s/@DISK_ID@/$disk_id/g; s/@COMPATIBLE@/${SILVERSTREAM_COMPATIBLE}/g" ${S}/image/rootfs/etc/rauc/system.conf \
        >${D}${sysconfdir}/rauc/system.conf
    install -m 0644 ${SILVERSTREAM_KEYRING} ${D}${sysconfdir}/rauc/keyring.pem
}
do_install[file-checksums] += "${@(d.getVar('SILVERSTREAM_KEYRING') + ':True') if d.getVar('SILVERSTREAM_KEYRING') else ''}"

RPROVIDES:${PN} += "virtual-rauc-conf"
