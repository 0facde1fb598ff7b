"""A libtorrent session for the tests of the DHT. Takes its address and the nodes that it may ask first, then obeys
commands, one JSON document a line each way:

    {"do": "announce", "infohash": H, "port": P}         -> looks up H and announces it
    {"do": "found", "infohash": H}                       -> {"peers": [[ip, port], ...]}, those that lookups of H found
    {"do": "sample", "from": [ip, port], "target": H}    -> {"samples": [H, ...], "total": N, "interval": S} of that node
    {"do": "external"}                                   -> {"ip": IP}, what others told it of its own address, or null
"""

import json
import os
import sys
import time

import libtorrent as lt

START_SECONDS = 30
SAMPLE_SECONDS = 20


def main():
    ip, port, nodes = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
    quoted = f"[{ip}]" if ":" in ip else ip
    category = lt.alert.category_t
    session = lt.session({
        "listen_interfaces": f"{quoted}:{port}", "outgoing_interfaces": ip, "enable_dht": True, "enable_lsd": False,
        "enable_upnp": False, "enable_natpmp": False, "dht_bootstrap_nodes": "",
        "alert_mask": category.dht_notification | category.dht_operation_notification | category.status_notification,
    })
    for node in nodes:
        session.add_dht_node(tuple(node))
    peers, samples, external = {}, {}, None

    def listen():
        nonlocal external
        for alert in session.pop_alerts():
            if isinstance(alert, lt.dht_get_peers_reply_alert):
                peers.setdefault(str(alert.info_hash), set()).update(map(tuple, alert.peers()))
            elif isinstance(alert, lt.dht_sample_infohashes_alert):
                samples[tuple(alert.endpoint)] = {
                    "samples": [str(sample) for sample in alert.samples], "total": alert.num_infohashes,
                    "interval": alert.interval.total_seconds(),
                }
            elif isinstance(alert, lt.external_ip_alert):
                external = str(alert.external_address)

    # Told its address, it takes another id.
    end = time.monotonic() + START_SECONDS
    while external is None and time.monotonic() < end:
        session.wait_for_alert(200)
        listen()
    print(json.dumps({"version": lt.__version__}), flush=True)

    for line in sys.stdin:
        command = json.loads(line)
        answer = {}
        if command["do"] == "announce":
            infohash = lt.sha1_hash(bytes.fromhex(command["infohash"]))
            session.dht_get_peers(infohash)
            session.dht_announce(infohash, command["port"], 0)
        elif command["do"] == "found":
            listen()
            answer = {"peers": sorted(peers.get(command["infohash"], ()))}
        elif command["do"] == "sample":
            asked = tuple(command["from"])
            session.dht_sample_infohashes(asked, lt.sha1_hash(bytes.fromhex(command["target"])))
            end = time.monotonic() + SAMPLE_SECONDS
            while asked not in samples and time.monotonic() < end:
                session.wait_for_alert(200)
                listen()
            answer = samples.get(asked, {"error": "no samples"})
        elif command["do"] == "external":
            listen()
            answer = {"ip": external}
        else:
            answer = {"error": f"unknown command {command['do']}"}
        print(json.dumps(answer), flush=True)
    os._exit(0)


main()
