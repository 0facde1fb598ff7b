"""A plain Debian trixie for comparison: what its installer's bootstrap takes, Debian's kernel and initramfs, an SSH server."""

import os
import re
import subprocess

import network
from machine import CARD_BYTES
from waiting import Failed, wait_for

SUITE = "trixie"
PACKAGES = "linux-image-arm64,systemd-sysv,openssh-server,systemd-resolved,systemd-timesyncd"
# Says once that the system is up, and what memory it takes.
UNIT = """[Unit]
After=multi-user.target
[Service]
Type=oneshot
# Opened that late: the login prompt, once it is there, hangs up whoever has the line open.
ExecStart=/bin/sh -c 'sleep 10; (systemctl show -p ActiveEnterTimestampMonotonic multi-user.target; cat /proc/meminfo) >/dev/ttyAMA0'
[Install]
WantedBy=graphical.target
"""

# Fills a disk with the system, without /proc and whatever else is mounted in it meanwhile.
MAKE_DISK = r'''unshare --mount sh -ec '
    while read -r _ _ _ _ where _; do case "$where" in "$0"/*) echo "$where" ;; esac; done </proc/self/mountinfo |
        sort -r | xargs -r umount
    mke2fs -q -t ext4 -d "$0" "$1" "$2"' "$1"'''


def make():
    """Folder with disk.img, vmlinuz and initrd.img; made once."""
    folder = network.cache() / "image" / f"plain-{SUITE}"
    if (folder / "complete").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    archives = network.cache() / "image" / "archives"
    archives.mkdir(parents=True, exist_ok=True)
    unit = folder / "figures.service"
    unit.write_text(UNIT)
    mirror = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
    disk = folder / "disk.img"
    disk.unlink(missing_ok=True)
    subprocess.run([
        "mmdebstrap", "--quiet", "--arch=arm64", "--variant=important", f"--include={PACKAGES}", "--format=null",
        "--skip=essential/unlink", "--skip=cleanup/apt/cache",
        "--setup-hook=mkdir -p \"$1/var/cache/apt/archives\"", f"--setup-hook=sync-in '{archives}' /var/cache/apt/archives",
        "--customize-hook=rm -f \"$1\"/var/cache/apt/archives/*.deb",
        f"--customize-hook=copy-in '{unit}' /etc/systemd/system",
        "--customize-hook=chroot \"$1\" systemctl enable figures.service systemd-networkd.service",
        "--customize-hook=echo plain >\"$1/etc/hostname\"",
        "--customize-hook=echo '/dev/vda / ext4 defaults 0 1' >\"$1/etc/fstab\"",
        f"--customize-hook=cp \"$1\"/boot/vmlinuz-* '{folder}/vmlinuz'",
        f"--customize-hook=cp \"$1\"/boot/initrd.img-* '{folder}/initrd.img'",
        f"--customize-hook={MAKE_DISK} '{disk}' {CARD_BYTES // 1024}k",
        SUITE, "-", f"deb {mirror} {SUITE} main"], check=True)
    (folder / "complete").touch()
    return folder


class Plain:
    """What one start of it took: seconds from kernel entry to multi-user.target, and memory in MiB."""

    def __init__(self, folder, memory_mib=512, seconds=600):
        plain = make()
        folder.mkdir(parents=True, exist_ok=True)
        disk = folder / "plain.img"
        subprocess.run(["cp", "--sparse=always", plain / "disk.img", disk], check=True)
        log = folder / "plain-console.log"
        with open(log, "wb") as console:
            # The machine of the jukebox, without what it has no use for.
            process = subprocess.Popen(
                ["qemu-system-aarch64", "-M", "virt,acpi=off", "-cpu", "cortex-a53", "-smp", "2", "-m", str(memory_mib),
                 "-nodefaults", "-display", "none", "-serial", "stdio", "-kernel", plain / "vmlinuz", "-initrd", plain / "initrd.img",
                 "-append", "root=/dev/vda ro quiet console=ttyAMA0", "-drive", f"if=none,id=card,file={disk},format=raw",
                 "-device", "virtio-blk-pci,drive=card,romfile=", "-device", "virtio-rng-pci"],
                stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT)
        try:
            def look():
                if process.poll() is not None:
                    raise Failed("QEMU with the plain Debian has ended; see plain-console.log")
                return re.search(r"Monotonic=(\d+).*MemTotal:\s+(\d+).*MemAvailable:\s+(\d+)", log.read_text(errors="replace"), re.S)

            found = wait_for(look, seconds, "the plain Debian has started")
        finally:
            process.kill()
            process.wait()
            disk.unlink()
        self.ready_s = int(found[1]) / 1e6
        self.memory_mib = (int(found[2]) - int(found[3])) / 1024
