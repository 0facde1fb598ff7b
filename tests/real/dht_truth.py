"""Libtorrent sessions that search and announce torrents, every other one privately, and liars among them.

Takes one JSON document: {"addresses": [IP, ...] of the sessions, "nodes": [[ip, port], ...] to begin with, "watched": the
address of whom they all shall talk to, "ports": the UDP ports it has, "torrents": how many, "period": seconds between two
announces of a torrent by a session, "seed": a number}. Says {"torrents": [H, ...]} when the sessions have joined, and then
obeys, one JSON document a line:

    {"do": "report"}   -> {"asked": {H: [since, apart, sources, announced]}, "kinds": {...}, "lies": N, "nodes": N}

`asked` is what came to the watched address over the wire: every infohash that a question or an announce there named, with
the seconds since it was named first, those between that and the last time, how many addresses named it, and whether
somebody announced it. Nothing of it
comes from who is watched. `nodes` is how many a session knows at least, `lies` how often the liars had their turn.
"""

import collections
import json
import os
import random
import re
import socket
import struct
import sys
import threading
import time

import libtorrent as lt

PORT = 7000  # the world has 6881 on every address
START_SECONDS = 180  # until all sessions have joined
JOINED = 16  # nodes that a session knows then
SO_RCVBUF_BYTES = 1 << 25


class Naming:
    def __init__(self, now):
        self.first, self.last, self.sources, self.announced = now, now, set(), False


class Wire(threading.Thread):
    """Everything that comes to an address."""

    def __init__(self, watched):
        super().__init__(daemon=True)
        self.watched = socket.inet_aton(watched)
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.ntohs(0x0800))
        self.socket.setsockopt(socket.SOL_SOCKET, 33, SO_RCVBUF_BYTES)  # SO_RCVBUFFORCE
        self.socket.bind(("lo", 0))
        self.asked, self.kinds = {}, collections.Counter()
        self.lock = threading.Lock()

    def run(self):
        question = re.compile(rb"9:info_hash20:(.{20})", re.DOTALL)
        method = re.compile(rb"1:q(?:\d+):(get_peers|announce_peer)")
        while True:
            packet, (_, _, direction, *_) = self.socket.recvfrom(2048)
            # Everything on loopback is seen twice.
            if direction == socket.PACKET_OUTGOING or packet[9] != socket.IPPROTO_UDP or packet[16:20] != self.watched:
                continue
            payload = packet[(packet[0] & 15) * 4 + 8:]
            asks, names = method.search(payload), question.search(payload)
            if not (asks and names):
                continue
            with self.lock:
                self.kinds[asks.group(1).decode()] += 1
                now = time.monotonic()
                naming = self.asked.setdefault(names.group(1), Naming(now))
                naming.last = now
                naming.sources.add(packet[12:16])
                naming.announced |= asks.group(1) == b"announce_peer"


class Client:
    """One session. The torrents that it has it looks up and announces once in a period, each at a time of its own."""

    def __init__(self, ip, private, nodes):
        self.ip, self.private, self.torrents = ip, private, []
        category = lt.alert.category_t
        self.session = lt.session({
            "listen_interfaces": f"{ip}:{PORT}", "outgoing_interfaces": ip, "enable_dht": True, "enable_lsd": False,
            "enable_upnp": False, "enable_natpmp": False, "dht_bootstrap_nodes": "", "dht_privacy_lookups": private,
            "alert_mask": category.error_notification, "aio_threads": 1, "hashing_threads": 1,
        })
        for node in random.sample(nodes, min(4, len(nodes))):
            self.session.add_dht_node(tuple(node))

    def begin(self, period):
        now = time.monotonic()
        self.due = sorted((now + random.uniform(0, period), number) for number in range(len(self.torrents)))

    def tend(self, now, period):
        while self.due and self.due[0][0] <= now:
            _, number = self.due.pop(0)
            torrent = self.torrents[number]
            # What a torrent that is running does: it looks for peers and announces itself to the closest nodes.
            self.session.dht_announce(torrent, PORT, 0)
            self.due.append((now + period * random.uniform(0.75, 1.25), number))
            self.due.sort()
        self.session.pop_alerts()


def question(method, transaction, own, extra):
    return b"d1:ad2:id20:" + own + extra + b"e1:q" + str(len(method)).encode() + b":" + method + b"1:t4:" + transaction + b"1:y1:qe"


class Liars(threading.Thread):
    """Names what does not exist, in the ways of the simulated liars of `lab truth` and at their rates."""

    def __init__(self, watched, ports, popular):
        super().__init__(daemon=True)
        self.watched, self.ports, self.popular = watched, ports, popular
        self.sockets, self.ids, self.count = {}, {}, collections.Counter()
        self.insisted = [random.randbytes(20) for _ in range(20)]
        self.block = []

    def socket_of(self, ip):
        if ip not in self.sockets:
            opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            opened.bind((ip, 0))
            opened.settimeout(0.5)
            self.sockets[ip] = opened, random.randbytes(20)
        return self.sockets[ip]

    def ask(self, ip, port, infohash):
        """A get_peers; the answer's token and the id of who gave it."""
        opened, own = self.socket_of(ip)
        transaction = random.randbytes(4)
        opened.sendto(question(b"get_peers", transaction, own, b"9:info_hash20:" + infohash), (self.watched, port))
        try:
            while True:
                answer = opened.recv(2048)
                if b"1:t4:" + transaction in answer:
                    break
        except OSError:
            return None
        identity = re.search(rb"2:id20:(.{20})", answer, re.DOTALL)
        if identity:
            self.ids[port] = identity.group(1)
        token = re.search(rb"5:token(\d+):", answer)
        return answer[token.end():token.end() + int(token.group(1))] if token else None

    def announce(self, ip, port, infohash):
        token = self.ask(ip, port, infohash)
        if token is None:
            return
        opened, own = self.socket_of(ip)
        extra = b"9:info_hash20:" + infohash + b"4:porti6881e5:token" + str(len(token)).encode() + b":" + token
        opened.sendto(question(b"announce_peer", random.randbytes(4), own, extra), (self.watched, port))

    def near(self, port):
        """Made up, and so near to the node at a port that it might be asked there."""
        known = self.ids.get(port)
        return known[:3] + random.randbytes(17) if known else random.randbytes(20)

    def lie(self, turn):
        port = random.choice(self.ports)
        self.count["lies"] += 1
        if turn % 2 == 0:
            self.announce("90.1.1.1", port, self.near(port))  # the inventor
            self.ask(f"91.2.2.{1 + turn % 50}", port, self.near(port))  # a crowd in one /24
            if turn % 3 == 0 or not self.block:
                self.block.append(self.near(port))
            # A block of 200 networks: each invention comes from three of them.
            self.announce(f"93.4.{turn % 200}.9", self.ports[len(self.block) % len(self.ports)], self.block[-1])
        self.ask("92.3.3.3", port, random.randbytes(20))  # the flooder
        if turn % 4 == 0:
            # The stubborn liar: the same inventions every other minute, and what is popular between them.
            item = turn // 4 % 40
            infohash = self.insisted[item // 2] if item % 2 == 0 else self.popular[item // 2 % len(self.popular)]
            self.announce("94.5.5.5", self.ports[item % len(self.ports)], infohash)

    def run(self):
        turn, start = 0, time.monotonic()
        while True:
            time.sleep(max(0.0, start + turn * 0.25 - time.monotonic()))
            self.lie(turn)
            turn += 1


def main():
    orders = json.loads(sys.argv[1])
    random.seed(orders["seed"])
    wire = Wire(orders["watched"])
    wire.start()
    clients = [
        Client(ip, number % 2 == 0, orders["nodes"]) for number, ip in enumerate(orders["addresses"])
    ]
    end = time.monotonic() + START_SECONDS
    while not all(client.session.status().dht_nodes >= JOINED for client in clients):
        if time.monotonic() > end:
            sys.exit(f"the sessions do not join: {[client.session.status().dht_nodes for client in clients]}")
        time.sleep(0.5)
    # By a power law: half of the torrents have one or two peers, few have many.
    torrents = [random.randbytes(20) for _ in range(orders["torrents"])]
    sizes = collections.Counter()
    for torrent in torrents:
        for client in random.sample(clients, min(len(clients), int(1 / max(random.random(), 1e-3)))):
            client.torrents.append(lt.sha1_hash(torrent))
            sizes[torrent] += 1
    for client in clients:
        client.begin(orders["period"])
    popular = [torrent for torrent, _ in sizes.most_common(20)]

    def tend():
        while True:
            now = time.monotonic()
            for client in clients:
                client.tend(now, orders["period"])
            time.sleep(0.1)

    threading.Thread(target=tend, daemon=True).start()
    liars = Liars(orders["watched"], orders["ports"], popular)
    liars.start()
    print(json.dumps({"version": lt.__version__, "torrents": [torrent.hex() for torrent in torrents]}), flush=True)
    for _ in sys.stdin:
        now = time.monotonic()
        with wire.lock:
            asked = {
                infohash.hex(): [now - naming.first, naming.last - naming.first, len(naming.sources), naming.announced]
                for infohash, naming in wire.asked.items()
            }
            kinds = dict(wire.kinds)
        print(json.dumps({
            "asked": asked, "kinds": kinds, "lies": liars.count["lies"],
            "nodes": min(client.session.status().dht_nodes for client in clients),
        }), flush=True)
    os._exit(0)


main()
