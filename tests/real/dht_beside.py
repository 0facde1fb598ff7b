"""A libtorrent session that hears of as many infohashes as it can, for the comparison in tests/beside.

Begins with the nodes in SILVERSTREAM_BOOTSTRAP and appends every infohash to standard output, 20 bytes each: those of
questions and announces that come, and samples (BEP 51) of each node that it is told of, as often as they are heard.
"""

import os
import random
import sys
import time

import libtorrent as lt

ADDRESS = ("81.2.3.4", 7000)
SAMPLES_A_SECOND = 250  # nodes that are asked for samples, as many as our crawler asks
UPLOAD = 100_000  # bytes a second for the DHT; by itself libtorrent spends 8,000
MAX_WAITING = 100_000  # nodes that wait to be asked
TURN = 0.1  # seconds


def main():
    category = lt.alert.category_t
    session = lt.session({
        "listen_interfaces": f"{ADDRESS[0]}:{ADDRESS[1]}", "outgoing_interfaces": ADDRESS[0], "enable_dht": True,
        "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False, "dht_bootstrap_nodes": "",
        "dht_upload_rate_limit": UPLOAD, "alert_queue_size": 100_000,
        "alert_mask": category.dht_notification | category.dht_operation_notification,
    })
    # In the order in which they are to be asked.
    waiting, known = [], set()

    def learn(endpoint):
        endpoint = tuple(endpoint)
        if endpoint not in known and len(waiting) < MAX_WAITING:
            known.add(endpoint)
            waiting.append(endpoint)

    for node in os.environ["SILVERSTREAM_BOOTSTRAP"].split(","):
        ip, port = node.rsplit(":", 1)
        session.add_dht_node((ip, int(port)))
        learn((ip, int(port)))
    out, credit = sys.stdout.buffer, 0.0
    while True:
        time.sleep(TURN)
        heard = []
        for alert in session.pop_alerts():
            if isinstance(alert, (lt.dht_get_peers_alert, lt.dht_announce_alert)):
                heard.append(alert.info_hash.to_bytes())
            elif isinstance(alert, lt.dht_sample_infohashes_alert):
                heard.extend(sample.to_bytes() for sample in alert.samples)
                for node in alert.nodes:
                    learn(node["endpoint"])
        out.write(b"".join(heard))
        out.flush()
        credit = min(credit + SAMPLES_A_SECOND * TURN, SAMPLES_A_SECOND)
        while waiting and credit >= 1:
            credit -= 1
            session.dht_sample_infohashes(waiting.pop(0), lt.sha1_hash(random.randbytes(20)))


main()
