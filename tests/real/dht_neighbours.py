"""Libtorrent sessions with the rules of the DHT as they come, and what they think of one address among them.

Takes the number of sessions and the address that is watched; runs inside a network namespace in which 80.0.0.0/8 is
local. Says {"nodes": [[ip, port], ...]} when the sessions know each other, and then obeys, one JSON document a line:

    {"do": "report"}   -> see report()
    {"do": "flood"}    -> one more address asks the first session far too often; {"banned": whether it was banned for it}

All the while the sessions look up and announce torrents, as clients do, and each packet on the wire is counted.
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

PORT = 6881
WINDOW = 10.0  # seconds, over which libtorrent counts messages of one address
LIMIT = 50  # messages in it for which libtorrent bans
TORRENTS = 12  # a session
REANNOUNCE = 60.0  # seconds; clients wait longer, so there is more talk here than there would be
FLOODER = "80.250.0.38"


def address(index):
    return f"80.{index}.0.38"


class Wire(threading.Thread):
    """Counts all datagrams of an address by who gets them, in every window of ten seconds."""

    # <linux/if_packet.h>; Python does not name them.
    SOL_PACKET, PACKET_STATISTICS = 263, 6

    def __init__(self, watched):
        super().__init__(daemon=True)
        self.watched = socket.inet_aton(watched)
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.ntohs(0x0800))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 23)
        self.socket.bind(("lo", 0))
        self.recent = collections.defaultdict(collections.deque)
        self.most, self.of_kind, self.sent, self.received, self.lost = {}, collections.Counter(), 0, 0, 0

    def run(self):
        while True:
            packet, (_, _, direction, *_) = self.socket.recvfrom(2048)
            if direction == socket.PACKET_OUTGOING or packet[9] != socket.IPPROTO_UDP:
                continue  # everything on loopback is seen twice
            source, target = packet[12:16], packet[16:20]
            if target == self.watched and source != self.watched:
                self.received += 1
            if source != self.watched:
                continue
            self.sent += 1
            if target == self.watched:
                continue  # its nodes ask each other, as strangers name them
            now = time.monotonic()
            payload = packet[(packet[0] & 15) * 4 + 8:]
            query = re.search(rb"1:q\d+:([a-z_]+)", payload)
            self.of_kind[query.group(1).decode() if query else "reply"] += 1
            recent = self.recent[target]
            recent.append(now)
            while recent[0] < now - WINDOW:
                recent.popleft()
            self.most[target] = max(self.most.get(target, 0), len(recent))


    def packets_lost(self):
        """Packets that came faster than they were counted."""
        _, dropped = struct.unpack("II", self.socket.getsockopt(self.SOL_PACKET, self.PACKET_STATISTICS, 8))
        self.lost += dropped  # the kernel counts from zero after each look
        return self.lost


class Neighbour:
    def __init__(self, index):
        self.ip = address(index)
        category = lt.alert.category_t
        self.session = lt.session({
            "listen_interfaces": f"{self.ip}:{PORT}", "outgoing_interfaces": self.ip, "enable_dht": True,
            "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False, "dht_bootstrap_nodes": "",
            "alert_mask": category.stats_notification | category.dht_log_notification, "alert_queue_size": 100_000,
        })
        self.torrents = [lt.sha1_hash(random.randbytes(20)) for _ in range(TORRENTS)]
        self.next = time.monotonic() + random.uniform(0, REANNOUNCE / TORRENTS)
        self.turn, self.counters, self.banned, self.lost = 0, {}, collections.Counter(), 0

    def tend(self):
        if time.monotonic() >= self.next:
            self.next += REANNOUNCE / TORRENTS
            self.turn += 1
            torrent = self.torrents[self.turn % TORRENTS]
            self.session.dht_get_peers(random.choice(everybody).torrents[0])
            self.session.dht_announce(torrent, PORT, 0)
        for alert in self.session.pop_alerts():
            if isinstance(alert, lt.dht_log_alert):
                # Said once for each ban: "BANNING PEER [ ip: 80.1.0.38 time: 97 ms count: 50 ]".
                message = alert.message()
                if "BANNING PEER" in message:
                    self.banned[re.search(r"ip: ([\d.]+)", message).group(1)] += 1
            elif isinstance(alert, lt.session_stats_alert):
                self.counters = alert.values
            elif isinstance(alert, lt.alerts_dropped_alert):
                self.lost += 1


everybody = []
lock = threading.Lock()


def tend_all():
    while True:
        with lock:
            for neighbour in everybody:
                neighbour.tend()
        time.sleep(0.1)


def report(wire):
    for neighbour in everybody:
        with lock:
            neighbour.counters = {}
            neighbour.session.post_session_stats()
    while not all(neighbour.counters for neighbour in everybody):
        time.sleep(0.05)
    names = [metric.name for metric in lt.session_stats_metrics() if metric.name.startswith("dht.dht_")]
    total = {name[8:]: sum(neighbour.counters[name] for neighbour in everybody) for name in names}
    banned = collections.Counter()
    for neighbour in everybody:
        banned.update(neighbour.banned)
    return {
        "banned": dict(banned), "counters": total, "alerts_lost": sum(neighbour.lost for neighbour in everybody),
        "sent": wire.sent, "received": wire.received, "kinds": dict(wire.of_kind),
        "most_in_window": max(wire.most.values(), default=0), "packets_lost": wire.packets_lost(),
    }


def flood():
    """Shows that a ban would be noticed."""
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.bind((FLOODER, 0))
    for number in range(LIMIT + 10):
        ping = b"d1:ad2:id20:a flooder of twenty.e1:q4:ping1:t2:" + struct.pack("!H", number) + b"1:y1:qe"
        sender.sendto(ping, (everybody[0].ip, PORT))
    end = time.monotonic() + 20
    while not everybody[0].banned[FLOODER] and time.monotonic() < end:
        time.sleep(0.1)
    return bool(everybody[0].banned[FLOODER])


def main():
    count, watched = int(sys.argv[1]), sys.argv[2]
    wire = Wire(watched)
    wire.start()
    everybody.extend(Neighbour(index) for index in range(1, count + 1))
    for neighbour in everybody:
        for other in everybody:
            if other is not neighbour:
                neighbour.session.add_dht_node((other.ip, PORT))
    end = time.monotonic() + 120
    while not all(neighbour.session.status().dht_nodes >= count // 2 for neighbour in everybody):
        if time.monotonic() > end:
            sys.exit("the sessions do not find each other")
        time.sleep(0.2)
    threading.Thread(target=tend_all, daemon=True).start()
    print(json.dumps({"nodes": [[neighbour.ip, PORT] for neighbour in everybody]}), flush=True)
    for line in sys.stdin:
        answer = flood() if json.loads(line)["do"] == "flood" else None
        print(json.dumps({"banned": answer} if answer is not None else report(wire)), flush=True)
    os._exit(0)


main()
