"""One emulated board with a card of its own, seen from outside: plug, knob, panel, loudspeaker, network, console."""

import json
import pathlib
import re
import shutil
import socket
import subprocess
import threading
import time

import network
from knob import Knob
from panel import Panel
from qemu import Lines, Qmp
from waiting import Failed, wait_for

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
IMAGE = TOP / "target" / "image"
BOOT_PARTITION_OFFSET = 4 << 20
CARD_BYTES = 2 << 30
CONTROL_SOCKET = "/run/silverstream/control.sock"
# Of the sound that is captured; the recordings have it too, so that nothing converts it.
SAMPLE_RATE = 44100
BOOT_SECONDS = 240


def make_key(folder):
    """A key pair for SSH; the path of the private key."""
    key = folder / "id_ed25519"
    if not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "image-test", "-f", key], check=True)
    return key


def make_card(path, settings, image=IMAGE / "silverstream.img", size=CARD_BYTES):
    """A card as a person would make it: the image written to it, silverstream.toml put on its boot partition."""
    subprocess.run(["cp", "--sparse=always", image, path], check=True)
    with open(path, "r+b") as card:
        card.truncate(size)
    write_to_boot(path, "silverstream.toml", settings)
    return path


def write_to_boot(card, name, text):
    subprocess.run(["mcopy", "-o", "-i", f"{card}@@{BOOT_PARTITION_OFFSET}", "-", f"::{name}"],
                   input=text.encode(), check=True)


def read_from_boot(card, name):
    return subprocess.run(["mcopy", "-n", "-i", f"{card}@@{BOOT_PARTITION_OFFSET}", f"::{name}", "-"],
                          stdout=subprocess.PIPE, check=True).stdout.decode()


def settings(key, bootstrap, more=""):
    """silverstream.toml of a test's jukebox."""
    public = key.with_suffix(".pub").read_text().strip()
    return (f'[system]\nhostname = "emulated"\nssh_keys = ["{public}"]\n'
            f'[dht]\nbootstrap = ["{bootstrap}"]\n[storage]\nbudget = "512 MiB"\n{more}')


def new_machine(folder, more="", size=CARD_BYTES, **options):
    """A board with a new card, in a folder of its own that is emptied. `more` is the end of its settings."""
    folder = pathlib.Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    key = make_key(folder)
    card = make_card(folder / "card.img", settings(key, network.BOOTSTRAP, more), size=size)
    return Machine(folder / "machine", card, key, **options)


class Machine:
    """A board; `start` plugs it in, `cut` pulls the plug, and the card keeps what was written."""

    def __init__(self, folder, card, key, number=1, memory_mib=512, board="virt", processors=2):
        self.folder, self.card, self.key = pathlib.Path(folder), card, key
        self.number, self.memory_mib, self.board, self.processors = number, memory_mib, board, processors
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ip = network.board_ip(number)
        self.tap = network.make_tap(number) if board == "virt" else None
        self.process = self.qmp = self.knob = self.panel = None
        self.boots = 0
        self.resets = 0
        self.console = []  # (monotonic time, line) of this power-on
        self.events = []  # (monotonic time, QEMU's name of it) of this power-on

    # -- Plug -----------------------------------------------------------------------------------------------------

    def start(self, link=True, sound_card=True, extra=()):
        """Plugs it in. Without a link the network cable is out."""
        self.boots += 1
        self.console, self.events = [], []
        self.sound = self.folder / f"sound-{self.boots}.wav"
        for name in ("qmp", "qtest", "panel"):
            (self.folder / f"{name}.sock").unlink(missing_ok=True)
        log = open(self.folder / f"qemu-{self.boots}.log", "wb")
        self.process = subprocess.Popen(
            [*self.command(), *(self.sound_device() if sound_card and self.board == "virt" else []), *extra], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
        self.reader = threading.Thread(
            target=self.read_console, args=(self.process.stdout, self.console), daemon=True, name="console")
        self.reader.start()
        self.qmp = Qmp(self.folder / "qmp.sock", self.on_event)
        if self.board == "virt":
            self.knob = Knob(Lines(self.qmp, self.folder / "qtest.sock"))
            self.panel = Panel(self.folder / "panel.sock")
            self.set_link(link)
        self.started = time.monotonic()
        self.qmp.ask("cont")

    def command(self):
        common = ["-S", "-nodefaults", "-display", "none",
                  "-qmp", f"unix:{self.folder}/qmp.sock,server=on,wait=off"]
        if self.board == "raspi3b":
            return ["qemu-system-aarch64", "-M", "raspi3b", *common, "-serial", "null", "-serial", "stdio",
                    "-kernel", str(IMAGE / "qemu/u-boot-raspi3b.bin"), "-dtb", str(IMAGE / "qemu/bcm2837-rpi-3-b.dtb"),
                    "-drive", f"if=sd,file={self.card},format=raw"]
        # romfile=: the boot ROMs of network cards are another package. acpi=off: with ACPI and a firmware the machine has
        # no GPIO controller.
        return ["qemu-system-aarch64", "-M", "virt,acpi=off", "-cpu", "cortex-a53", "-smp", str(self.processors), "-m", str(self.memory_mib), *common,
                "-serial", "stdio", "-bios", str(IMAGE / "qemu/u-boot-virt.bin"), *self.uboot_environment(),
                "-drive", f"if=none,id=card,file={self.card},format=raw", "-device", "virtio-blk-pci,drive=card,romfile=",
                "-netdev", f"tap,id=net,ifname={self.tap},script=no,downscript=no",
                "-device", f"virtio-net-pci,id=nic,netdev=net,romfile=,mac=52:54:00:00:00:{self.number:02x}",
                "-device", "virtio-rng-pci", "-device", "i6300esb",
                "-chardev", f"socket,id=panel,path={self.folder}/panel.sock,server=on,wait=off",
                "-device", "pci-serial,chardev=panel",
                "-qtest", f"unix:{self.folder}/qtest.sock,server=on,wait=off", "-qtest-log", "/dev/null"]

    def sound_device(self):
        # use-timer=off: with it, QEMU leaves sound out when this computer is late.
        return ["-audiodev", f"wav,id=sound,path={self.sound},out.frequency={SAMPLE_RATE},out.format=s16,out.channels=2",
                "-device", "intel-hda", "-device", "hda-output,audiodev=sound,mixer=off,use-timer=off"]

    @staticmethod
    def uboot_environment():
        """In the second flash; without it, U-Boot waits 2 s for a key."""
        file = IMAGE / "qemu/u-boot-virt.env"
        return ["-drive", f"if=pflash,unit=1,format=raw,readonly=on,file={file}"] if file.exists() else []

    def cut(self):
        """Pulls the plug: the machine is gone between two instructions; what it has written to the card stays."""
        if self.process:
            self.process.kill()
            self.wait_end(30)

    def wait_end(self, seconds):
        """Waits until QEMU has ended, by itself or killed."""
        self.process.wait(seconds)
        self.reader.join(10)
        self.stop_ssh()
        self.process = None

    def running(self):
        return self.process is not None and self.process.poll() is None

    def switch_off(self):
        """Has it switch itself off, over SSH."""
        self.ssh("systemctl --no-block poweroff")
        wait_for(lambda: not self.running(), 120, lambda: f"it switches itself off; the console:\n{self.tail()}")
        self.wait_end(10)

    def set_link(self, up):
        self.qmp.ask("set_link", name="nic", up=up)

    def on_event(self, event):
        self.events.append((time.monotonic(), event["event"]))
        if event["event"] == "RESET":
            self.resets += 1
            # The GPIO controller has forgotten the levels, as no real contact would.
            if self.knob:
                threading.Thread(target=self.knob.rest, daemon=True).start()

    # -- Console --------------------------------------------------------------------------------------------------

    def read_console(self, stream, lines):
        with open(self.folder / f"console-{self.boots}.log", "w", encoding="utf-8") as log:
            for raw in stream:
                line = raw.decode("utf-8", "replace").rstrip("\r\n")
                now = time.monotonic()
                lines.append((now, line))
                log.write(f"{now - getattr(self, 'started', now):8.2f} {line}\n")
                log.flush()

    def find_console(self, pattern, since=0):
        """Time and line of the first line that matches, after the given number of lines."""
        return next(((at, line) for at, line in self.console[since:] if re.search(pattern, line)), None)

    def wait_console(self, pattern, seconds=BOOT_SECONDS, since=0):
        def look():
            if found := self.find_console(pattern, since):
                return found
            if not self.running():
                raise Failed(f"QEMU ended while the console was to say {pattern!r}:\n{self.tail()}")
            return None

        return wait_for(look, seconds, lambda: f"the console says {pattern!r}; its end:\n{self.tail()}")

    def tail(self, lines=25):
        return "\n".join(line for _, line in self.console[-lines:])

    # -- SSH ------------------------------------------------------------------------------------------------------

    def ssh_command(self, *more, key=None):
        options = ["BatchMode=yes", "StrictHostKeyChecking=accept-new", f"UserKnownHostsFile={self.folder}/known_hosts",
                   "ConnectTimeout=10", "ServerAliveInterval=5", "IdentitiesOnly=yes", "LogLevel=ERROR"]
        return ["ssh", "-F", "none", "-i", str(key or self.key), *(f"-o{option}" for option in options), *more,
                f"root@{self.ip}"]

    def stop_ssh(self):
        """Ends the shared connection, whose other end is gone."""
        control = self.folder / "ssh.sock"
        if control.exists():
            subprocess.run(self.ssh_command("-S", str(control), "-O", "exit"), stderr=subprocess.DEVNULL, check=False)
        for name in ("ssh.sock", "jukebox.sock"):
            (self.folder / name).unlink(missing_ok=True)

    def connect_ssh(self, seconds=BOOT_SECONDS):
        """Opens the shared connection, and one through it to the jukebox's control socket."""
        def attempt(*arguments):
            return subprocess.run(self.ssh_command("-N", "-f", *arguments), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0

        def enter():
            self.stop_ssh()
            return attempt("-M", "-S", str(self.folder / "ssh.sock"))

        wait_for(enter, seconds, lambda: f"SSH lets us in; the console's end:\n{self.tail()}", every=1)
        # The jukebox's sshd forwards nothing. An owner may run another one, here inside the connection that is there.
        inner = " ".join(self.ssh_command("-S", str(self.folder / "ssh.sock"))) + " /usr/sbin/sshd -i -o AllowTcpForwarding=local"
        wait_for(lambda: attempt("-S", "none", f"-oProxyCommand={inner}", "-L", f"{self.folder}/jukebox.sock:{CONTROL_SOCKET}"),
                 30, "the control socket is forwarded", every=1)

    def ssh(self, command, seconds=60, check=True, stdin=None):
        """What a command in the jukebox prints."""
        done = subprocess.run(
            [*self.ssh_command("-S", str(self.folder / "ssh.sock")), command], stdin=stdin or subprocess.DEVNULL,
            capture_output=True, timeout=seconds, check=False)
        if check and done.returncode != 0:
            raise Failed(f"{command!r} ended with {done.returncode}: {done.stdout.decode()}{done.stderr.decode()}")
        return done.stdout.decode() if check else done

    # -- The jukebox's control socket -----------------------------------------------------------------------------

    def ask(self, command, **arguments):
        """One command of the jukebox's control protocol (src/control/wire.rs) and its reply."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(30)
            client.connect(str(self.folder / "jukebox.sock"))
            client.sendall(json.dumps({"command": command, **arguments}).encode() + b"\n")
            line = client.makefile("rb").readline()
        if not line:
            raise ConnectionError("the jukebox does not answer")
        return json.loads(line)

    def status(self):
        return self.ask("status")

    def wait_status(self, condition, seconds, what):
        """Waits until the jukebox's state satisfies the condition; returns that state."""
        last = {}

        def look():
            nonlocal last
            last = self.status()
            return last if condition(last) else None

        return wait_for(look, seconds, lambda: f"{what}; the last state was {json.dumps(last)[:2000]}", every=0.5)

    def discard(self):
        """Ends it and removes its card."""
        self.cut()
        shutil.rmtree(self.folder, ignore_errors=True)
