"""A network of the tests' own, out of which no packet gets: loopback, and a tap device for each emulated board.

Every address of 80.0.0.0/8 is local in it, so that each peer of the private BitTorrent world has a public-looking address
of its own. Board N is 81.0.N.2 on the tap device tapN, whose end on this side is 81.0.N.1.
"""

import functools
import os
import pathlib
import socket
import struct
import subprocess
import sys
import threading

INSIDE = "SILVERSTREAM_IMAGE_TEST_INSIDE"
SWARM = "80.0.0.0/8"
# What sends from no address of its own sends from this one: nobody of the swarm has it.
OWN_IP = "80.0.60.38"
# Of tests/real/world.py: what a jukebox is told of the DHT in this network.
BOOTSTRAP = "80.2.0.38:6881"


def enter():
    """Runs this program once more inside namespaces of its own (network, processes), and returns in that copy only.

    All processes inside end with it. Without root it makes a user namespace, too.
    """
    if os.environ.get(INSIDE):
        run("ip link set lo up")
        run(f"ip address add {OWN_IP}/32 dev lo")
        run(f"ip route add local {SWARM} dev lo src {OWN_IP}")
        return
    namespaces = ["-n"] if os.getuid() == 0 else ["-Urn"]
    os.execvpe("unshare", [
        "unshare", *namespaces, "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private",
        sys.executable, *sys.argv], {**os.environ, INSIDE: "1"})


def run(command):
    subprocess.run(command.split(), check=True)


@functools.cache
def make_tap(number):
    """The tap device of a board, which stays when the board is gone; its name."""
    name = f"tap{number}"
    run(f"ip tuntap add {name} mode tap")
    run(f"ip address add {host_ip(number)}/24 dev {name}")
    run(f"ip link set {name} up")
    Dhcp(name, host_ip(number), board_ip(number)).start()
    return name


def host_ip(number):
    return f"81.0.{number}.1"


def board_ip(number):
    return f"81.0.{number}.2"


class Dhcp(threading.Thread):
    """Gives whoever asks on a device the one address, with us as router (RFC 2131); no name server, no time server."""

    MAGIC = b"\x63\x82\x53\x63"
    DISCOVER, OFFER, REQUEST, ACK = 1, 2, 3, 5
    LEASE_SECONDS = 24 * 3600

    def __init__(self, device, server, lease):
        super().__init__(daemon=True, name=f"dhcp-{device}")
        self.server, self.lease = socket.inet_aton(server), socket.inet_aton(lease)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        self.socket.bind(("", 67))

    def run(self):
        while True:
            request = self.socket.recv(2048)
            kind = self.kind(request)
            answer = {self.DISCOVER: self.OFFER, self.REQUEST: self.ACK}.get(kind)
            if answer:
                self.socket.sendto(self.answer(request, answer), ("255.255.255.255", 68))

    def kind(self, request):
        """The message type (option 53) of a request, None if it is none."""
        if len(request) < 240 or request[0] != 1 or request[236:240] != self.MAGIC:
            return None
        at = 240
        while at + 2 < len(request) and request[at] != 255:
            if request[at] == 0:
                at += 1
                continue
            if request[at] == 53:
                return request[at + 2]
            at += 2 + request[at + 1]
        return None

    def answer(self, request, kind):
        head = struct.pack("!BBBB", 2, 1, 6, 0) + request[4:8] + bytes(4) + bytes(4) + self.lease + self.server + bytes(4)
        head += request[28:44] + bytes(192) + self.MAGIC
        options = [
            (53, bytes([kind])), (54, self.server), (51, struct.pack("!I", self.LEASE_SECONDS)),
            (1, socket.inet_aton("255.255.255.0")), (3, self.server)]
        return head + b"".join(bytes([code, len(value)]) + value for code, value in options) + b"\xff"


def open_ports(address, kind, ports):
    """The TCP ports of an address that take a connection: a scan from outside."""
    import concurrent.futures

    def is_open(port):
        with socket.socket(socket.AF_INET, kind) as probe:
            probe.settimeout(3)
            return probe.connect_ex((address, port)) == 0

    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        return [port for port, found in zip(ports, pool.map(is_open, ports)) if found]


def cache():
    """Where `.ci/setup` keeps what it fetches."""
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "silverstream"
