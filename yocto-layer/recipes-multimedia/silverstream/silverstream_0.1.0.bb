# SPDX-License-Identifier: MIT
SUMMARY = "Music jukebox that lives in the BitTorrent network"
DESCRIPTION = "Learns from the Mainline DHT which torrents of music exist, keeps a searchable catalogue, and plays a song out \
of the swarm while it is still downloading. Made for single-board computers with one knob and a small screen."
SECTION = "multimedia"

require silverstream-source.inc
require silverstream-crates.inc

# libopus is built with CMake by its crate.
DEPENDS += "alsa-lib cmake-native"

inherit cargo cargo-update-recipe-crates pkgconfig systemd useradd

# Without the simulated worlds of the lab, which a board has neither time nor memory for.
CARGO_BUILD_FLAGS:append = " --no-default-features"

SYSTEMD_SERVICE:${PN} = "silverstream.service"

USERADD_PACKAGES = "${PN}"
GROUPADD_PARAM:${PN} = "--system gpio; --system i2c; --system spi"
USERADD_PARAM:${PN} = "--system --user-group --home-dir ${localstatedir}/lib/silverstream --no-create-home \
    --shell ${base_sbindir}/nologin --groups audio,video,input,dialout,gpio,i2c,spi silverstream"

do_install:append() {
    install -d ${D}${systemd_system_unitdir} ${D}${nonarch_libdir}/udev/rules.d
    install -m 0644 ${S}/image/service/silverstream.service ${D}${systemd_system_unitdir}/
    install -m 0644 ${S}/image/service/silverstream.udev ${D}${nonarch_libdir}/udev/rules.d/60-silverstream.rules
    install -d ${D}${sysconfdir}/silverstream
    install -m 0644 ${S}/image/service/silverstream.toml ${D}${sysconfdir}/silverstream/
}

CONFFILES:${PN} = "${sysconfdir}/silverstream/silverstream.toml"
FILES:${PN} += "${systemd_system_unitdir}/silverstream.service ${nonarch_libdir}/udev/rules.d"
