#!/usr/bin/env python3
"""A person and the card: switches on, dials songs with both knobs, listens, looks in over SSH, switches off and on again."""

import hashlib
import pathlib
import subprocess
import sys

import network
import sound
from hand import Hand
from machine import BOOT_PARTITION_OFFSET, TOP, make_key, new_machine, read_from_boot, write_to_boot
from waiting import Steps, check, wait_for
from world import World

# FLAC is decoded to the same samples by every decoder; decoders of MP3 and Vorbis round differently.
KNOB_SONG, LONG_SONG, PANEL_SONG = ("flac", "Snowdrift", 0), ("ogg", "Marble Run", 3), ("mp3", "Introzik", 3)
RESUME_SECONDS = 5
SSH_PORT, MDNS_PORT, BITTORRENT_PORT, DHCP_CLIENT_PORT = 22, 5353, 6881, 68
DHT_NODES = 8
BOOT_PARTITION_BYTES = 64 << 20
# As people write it, with notes of their own. The board has no Wi-Fi: what becomes of the settings is looked at.
SSID, PASSWORD = "kitchen network", "correct horse battery staple"
PASSWORD_LINE = f'password = "{PASSWORD}"'
WIFI = f'# At home.\n[wifi]\nssid = "{SSID}"   # the one without umlaut\n# on the fridge\n{PASSWORD_LINE}\ncountry = "DE"\n# The end.\n'
PASSWORD_NOTE = "# password: taken over and removed from this file; to change it, write it here again"


def first_boot(machine, steps):
    machine.start()
    machine.connect_ssh()
    steps.done("first boot: SSH lets the owner in")
    status = machine.wait_status(lambda status: status["board"] == "qemu-virt", 60, "the jukebox runs on its board's profile")
    check(not status["problems"], f"the jukebox complains about the settings: {status['problems']}")
    machine.wait_status(lambda status: status["network"]["address"] == machine.ip, 30, f"the network page shows {machine.ip}")
    machine.panel.wait_heard(60)
    failed = machine.ssh("systemctl --failed --no-legend --plain").strip()
    check(not failed, f"units have failed: {failed}")
    steps.done(f"jukebox {status['version']} runs and speaks to the front panel")


def password_is_taken_over(machine, written):
    """The Wi-Fi password is gone from the boot partition and nothing else is; the system has its key, for itself alone."""
    left = read_from_boot(machine.card, "silverstream.toml")
    check(left == written.replace(PASSWORD_LINE, PASSWORD_NOTE), f"silverstream.toml is another one now:\n{left}")
    with open(machine.card, "rb") as card:
        card.seek(BOOT_PARTITION_OFFSET)
        check(PASSWORD.encode() not in card.read(BOOT_PARTITION_BYTES), "the password is still in a block of the boot partition")
    mode = machine.ssh("stat -c '%a %U' /data/system/wpa_supplicant.conf").strip()
    check(mode == "600 root", f"the system's Wi-Fi settings are {mode}")
    conf = machine.ssh("cat /data/system/wpa_supplicant.conf")
    key = hashlib.pbkdf2_hmac("sha1", PASSWORD.encode(), SSID.encode(), 4096, 32).hex()
    check(f"psk={key}" in conf and PASSWORD not in conf, "the system's Wi-Fi settings have another key")
    reader = "setpriv --reuid silverstream --regid silverstream --clear-groups cat"
    jukebox = machine.ssh(f"{reader} /data/system/wpa_supplicant.conf", check=False)
    check(b"Permission denied" in jukebox.stderr, f"the jukebox may read the Wi-Fi key: {jukebox}")


def index(machine, world, steps):
    songs = world.index_all(machine)
    steps.done(f"{songs} songs heard of in the DHT and indexed")


def listen(machine, hand, world, song, steps, seconds_of_it):
    """Dials and plays a song, and compares what comes out of the loudspeaker with the recording."""
    release, title, tolerance = song
    capture = sound.Watch(machine.sound).skip()
    dialled = hand.play(title)
    machine.wait_status(lambda status: status["player"]["state"] == "playing" and status["player"]["title"] == title, 60,
                        f"{title} plays")
    steps.done(f"{type(hand.knob).__name__}: {title!r} dialled as {dialled!r}, {hand.detents} detents and {hand.presses} presses")
    machine.wait_status(lambda status: status["player"]["position_s"] >= seconds_of_it, seconds_of_it + 120, f"{seconds_of_it} s of {title} are heard")
    compared = sound.compare_from_start(capture.samples(), sound.recorded(world.recording(release, title)), tolerance)
    check(compared.starts_at < 0.001, f"the song does not begin at its beginning but at {compared.starts_at:.3f} s")
    check(compared.length >= seconds_of_it - 2, f"only {compared.length:.1f} s of the song were heard")
    check(not compared.gaps and not compared.differing, f"the sound is not the recording: {compared}")
    steps.done(f"loudspeaker: {compared}")


def ssh_is_shut(machine, folder, steps):
    """Without the key, and with passwords, nobody gets in."""
    stranger = folder / "stranger"
    stranger.mkdir(exist_ok=True)
    tries = {
        "another key": machine.ssh_command(key=make_key(stranger)),
        "no key": machine.ssh_command("-oPubkeyAuthentication=no"),
        "a password": machine.ssh_command("-oPubkeyAuthentication=no", "-oPreferredAuthentications=password,keyboard-interactive"),
    }
    for what, command in tries.items():
        refused = subprocess.run([*command, "true"], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        check(refused.returncode == 255, f"{what} lets a stranger in over SSH")
        check(b"Permission denied (publickey)." in refused.stderr, f"SSH offers more than keys to {what}: {refused.stderr.decode()}")
    shadow = machine.ssh("cat /etc/shadow").splitlines()
    check(all(line.split(":")[1][:1] in "*!" for line in shadow), "somebody has a password")
    secret = read_from_boot(machine.card, "silverstream.toml")
    check("ssh_keys" in secret, "the owner's file is gone from the boot partition")
    steps.done("SSH takes the owner's key, no other, no password; nobody has one")


def ports(machine, steps):
    """Nothing listens but SSH, mDNS and BitTorrent: as the kernel says, and as a scan from outside finds."""
    allowed = {("tcp", SSH_PORT), ("tcp", BITTORRENT_PORT), ("udp", MDNS_PORT), ("udp", DHCP_CLIENT_PORT)}
    allowed |= {("udp", BITTORRENT_PORT + node) for node in range(DHT_NODES)}
    listening = set()
    said = machine.ssh("ss -lntupH")
    for line in said.splitlines():
        kind, _, _, _, local = line.split()[:5]
        address, port = local.rsplit(":", 1)
        if not address.startswith(("127.", "[::1]")):
            listening.add((kind, int(port)))
    check(listening <= allowed, f"these listen, too: {sorted(listening - allowed)}\n{said}")
    import socket
    found = network.open_ports(machine.ip, socket.SOCK_STREAM, range(1, 65536))
    check(found == [SSH_PORT, BITTORRENT_PORT], f"a scan of all TCP ports finds {found}")
    steps.done(f"open: {', '.join(f'{kind} {port}' for kind, port in sorted(listening))}; from outside TCP {found}")


def snapshot(name):
    """A picture of the repository's snapshots (each pixel a square of four, in a frame of six) as the panel has it."""
    path = TOP / f"src/ui/tests/png/128x64/{name}.png"
    grey = subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", "-i", path, "-vf", "crop=256:128:6:6,scale=128:64:flags=neighbor", "-f", "rawvideo",
         "-pix_fmt", "gray", "-"], stdout=subprocess.PIPE, check=True).stdout
    bits = "".join("01"[level > 127] for level in grey)
    return f"{int(bits, 2):0{len(bits) // 4}x}"


def off_and_on(machine, hand, world, steps):
    """Switches off by the knob in the middle of a song, tells the card in a computer to use the knob of the front panel,
    and switches on without a network: the song goes on where it was."""
    release, title, tolerance = LONG_SONG
    hand.switch_off()
    wait_for(lambda: not machine.running(), 120, lambda: f"the machine switches off; the display shows:\n{machine.panel.text()}")
    check(machine.process.returncode == 0, f"QEMU ended with {machine.process.returncode}")
    check(machine.panel.rows() == snapshot("safe-to-unplug"), f"the last picture does not tell to pull the plug:\n{machine.panel.text()}")
    recording = sound.recorded(world.recording(release, title))
    heard = sound.compare_from_start(sound.captured(machine.sound), recording, tolerance)
    position = heard.starts_at + heard.length
    steps.done(f"switched off by the knob at {position:.1f} s of the song; the display says:\n{machine.panel.text()}")
    machine.wait_end(10)
    found = read_from_boot(machine.card, "silverstream.toml")
    write_to_boot(machine.card, "silverstream.toml", found + '[panel]\nknob = "serial:/dev/ttyS0"\n')
    machine.start(link=False)
    capture = sound.Watch(machine.sound)
    at = wait_for(capture.sounds, 240, lambda: f"the song goes on without a network; the console:\n{machine.tail()}", every=0.05)
    steps.done(f"switched on without a network: sound {at - machine.started:.1f} s after the plug")
    wait_for(lambda: machine.sound.stat().st_size > 8 * 4 * sound.SAMPLE_RATE, 60, "8 s of it are heard")
    compared = sound.compare(sound.captured(machine.sound), recording, tolerance)
    check(abs(compared.starts_at - position) <= RESUME_SECONDS, f"it was at {position:.1f} s and goes on at {compared.starts_at:.1f} s")
    check(compared.length > 5 and not compared.differing, f"the sound is not the recording: {compared}")
    machine.set_link(True)
    machine.connect_ssh(120)
    check("psk=" in machine.ssh("cat /data/system/wpa_supplicant.conf"), "the Wi-Fi key does not outlast a start without it")
    steps.done(f"it went on at {compared.starts_at:.1f} s ({compared}), and joins the network once there is one")


def run(folder, memory_mib=512):
    machine = new_machine(folder, WIFI, memory_mib=memory_mib)
    written = read_from_boot(machine.card, "silverstream.toml")
    steps = Steps()
    try:
        world = World(folder / "world")
        steps.done("recordings and card are made")
        first_boot(machine, steps)
        password_is_taken_over(machine, written)
        steps.done("the Wi-Fi password is gone from the boot partition, and its key is root's")
        index(machine, world, steps)
        knob = Hand(machine, machine.knob)
        listen(machine, knob, world, KNOB_SONG, steps, 30)
        ssh_is_shut(machine, folder, steps)
        ports(machine, steps)
        listen(machine, knob, world, LONG_SONG, steps, 10)
        off_and_on(machine, knob, world, steps)
        panel = Hand(machine, machine.panel)
        listen(machine, panel, world, PANEL_SONG, steps, 15)
        check(machine.resets == 0, f"the machine was reset {machine.resets} times by itself")
    finally:
        machine.cut()
    return steps


if __name__ == "__main__":
    network.enter()
    run(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else TOP / "target/image-test/visit")
    print("visit: passed")
