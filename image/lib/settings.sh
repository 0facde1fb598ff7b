# What the parts of the build agree on. Sizes in MiB.
# shellcheck shell=bash disable=SC2034

suite=trixie
compatible=silverstream-arm64

# Identity of the card: the partitions are found by it (PARTUUID=<disk id>-<number>). The same in every image: a running
# jukebox has one such card.
disk_id=53764a42

# Root slots: squashfs with zstd; see "Choices" in README.md for why.
root_module=squashfs
root_type=squashfs

# Partitions. The table is the MBR kind, for the boot ROM of the Pi 3 and Zero 2 W wants one, and because growing the data
# partition is then the write of one sector. Data is a primary partition at the end; the rest is in an extended one.
first_mib=4
boot_mib=64
state_mib=1
kernel_mib=48
root_mib=256
data_mib=64

# Kernel arguments of every board; boot.cmd adds root= and rauc.slot=.
# crash_action: systemd would freeze. net.ifnames=0: eth0 and wlan0 everywhere. lsm: those without a policy to load; with
# bpf among them systemd sets up filters that no unit asks for. persist_gpio_outputs: a line keeps its level when the jukebox
# lets go of it, or a display on SPI would go dark or be reset with "it is safe to unplug" on it.
kernel_args="systemd.crash_action=reboot net.ifnames=0 lsm=landlock,yama loglevel=4 vt.global_cursor_default=0 pinctrl-bcm2835.persist_gpio_outputs=1"

boards=(bcm2837-rpi-zero-2-w bcm2837-rpi-3-a-plus bcm2837-rpi-3-b bcm2837-rpi-3-b-plus bcm2711-rpi-4-b)
