"""A private BitTorrent world of real clients, for the tests: libtorrent and Transmission on loopback addresses.

Runs inside a network namespace in which 80.0.0.0/8 is local. Makes recordings in several formats out of the folder of
Ogg files, seeds them, and then obeys commands, one JSON document a line each way:

    {"do": "ready"}                                 -> when the DHT has formed and all torrents are announced
    {"do": "download", "magnet": M, "to": DIR}      -> another libtorrent client fetches M, told nothing else
    {"do": "announce"}                              -> all are announced once more, where the first time was too early
    {"do": "stop_seed", "name": N}                  -> that torrent's seeder goes away
    {"do": "quit"}
"""

import json
import os
import pathlib
import subprocess
import sys
import time

import libtorrent as lt

DHT_NODES = 12
SEEDERS = {"mp3": 20, "flac": 21, "ogg": 22, "video": 23}
PORT = 6881
FLAC_SECONDS = 40


def address(index):
    """One address in a /16 of its own, as on the Internet: libtorrent keeps one contact a /24 in a bucket, and the jukebox
    believes what is named in two networks that are far apart."""
    return f"80.{index}.0.38"


def session(index, **more):
    """A client with default DHT settings, the anti-sybil ones included."""
    return lt.session({
        "listen_interfaces": f"{address(index)}:{PORT}",
        "outgoing_interfaces": address(index),
        "enable_dht": True, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
        "dht_bootstrap_nodes": "",
        "alert_mask": lt.alert.category_t.error_notification,
        **more,
    })


def ffmpeg(*arguments):
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *map(str, arguments)], check=True)


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not happen within {seconds} s")
        time.sleep(0.1)


def make_releases(source, root):
    """The five releases: name and path of the file or folder that is shared, each as soon as it is made."""
    recordings = sorted(source.glob("*.ogg"), key=lambda path: path.stat().st_size)
    if len(recordings) < 4:
        sys.exit(f"{source} has {len(recordings)} recordings, 4 are needed")

    album = root / "m4a" / "Glacier Choir - Evening Songs"
    album.mkdir(parents=True)
    for number, recording in enumerate(recordings[2:4], 1):
        ffmpeg("-i", recording, "-t", 45, "-codec:a", "aac", "-b:a", "128k", "-map_metadata", -1,
               album / f"{number:02} {['Aurora', 'Icicle'][number - 1]}.m4a")
    yield "m4a", album

    mp3 = root / "mp3" / "Matthias Le Bidan - Introzik.mp3"
    mp3.parent.mkdir(parents=True)
    ffmpeg("-i", recordings[0], "-t", 60, "-codec:a", "libmp3lame", "-b:a", "160k", "-map_metadata", -1, mp3)
    yield "mp3", mp3

    album = root / "flac" / "The Penguins - Frozen Bubbles (2002) [FLAC]"
    album.mkdir(parents=True)
    titles = ["Snowdrift", "Penguin Parade", "Melting Point"]
    for number, (title, recording) in enumerate(zip(titles, recordings[1:]), 1):
        ffmpeg("-i", recording, "-t", FLAC_SECONDS, "-sample_fmt", "s16", "-map_metadata", -1, album / f"{number:02} - {title}.flac")
    ffmpeg("-i", recordings[0], "-ss", 5, "-t", 15, "-codec:a", "pcm_s16le", "-map_metadata", -1, album / "04 - Encore.wav")
    ffmpeg("-f", "lavfi", "-i", "testsrc=size=300x300", "-frames:v", 1, album / "cover.jpg")
    (album / "rip.log").write_text("Exact copy. No errors occurred.\n" * 50)
    yield "flac", album

    album = root / "ogg" / "Pathological - Background Music"
    album.mkdir(parents=True)
    for number, recording in enumerate(recordings[:3], 1):
        target = album / f"{number:02} {['Marble Run', 'Wheels Within', 'Last Colour'][number - 1]}.ogg"
        target.write_bytes(recording.read_bytes())
    yield "ogg", album

    video = root / "video" / "Penguin Documentary 2004 720p.mkv"
    video.parent.mkdir(parents=True)
    ffmpeg("-f", "lavfi", "-i", "testsrc=duration=5:size=640x360:rate=25", "-codec:v", "mpeg4", video)
    yield "video", video


def make_torrent(path, piece_size=64 * 1024):
    storage = lt.file_storage()
    lt.add_files(storage, str(path))
    torrent = lt.create_torrent(storage, piece_size, lt.create_torrent.v1_only)
    lt.set_piece_hashes(torrent, str(path.parent))
    return lt.torrent_info(torrent.generate())


class Transmission:
    """transmission-daemon with one torrent, DHT on and bootstrapped from a file."""

    def __init__(self, home, index, bootstrap):
        self.home, self.ip = home, address(index)
        home.mkdir(parents=True)
        (home / "settings.json").write_text(json.dumps({
            "bind-address-ipv4": self.ip, "bind-address-ipv6": "::1", "peer-port": PORT, "dht-enabled": True,
            "lpd-enabled": False, "port-forwarding-enabled": False, "pex-enabled": False, "utp-enabled": False,
            "rpc-bind-address": "127.0.0.1", "rpc-port": 9091, "rpc-whitelist-enabled": False,
            "rpc-host-whitelist-enabled": False, "encryption": 1, "ratio-limit-enabled": False,
        }))
        (home / "dht.bootstrap").write_text("".join(f"{ip} {port}\n" for ip, port in bootstrap))
        self.process = None

    def seed(self, torrent, folder):
        (self.home / "torrents").mkdir()
        torrent_file = self.home / "seed.torrent"
        torrent_file.write_bytes(lt.bencode(lt.create_torrent(torrent).generate()))
        with open(self.home / "log", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                ["transmission-daemon", "--foreground", "--config-dir", str(self.home), "--download-dir", str(folder)],
                stdout=log, stderr=log)
        self.rpc_until_ready(torrent_file, folder)

    def rpc_until_ready(self, torrent_file, folder):
        import base64
        import urllib.error
        import urllib.request
        request = {"method": "torrent-add", "arguments": {
            "metainfo": base64.b64encode(torrent_file.read_bytes()).decode(), "download-dir": str(folder), "paused": False}}
        token = ""

        def attempt():
            nonlocal token
            call = urllib.request.Request("http://127.0.0.1:9091/transmission/rpc", json.dumps(request).encode(),
                                          {"X-Transmission-Session-Id": token})
            try:
                with urllib.request.urlopen(call, timeout=5) as answer:
                    return json.load(answer)["result"] == "success"
            except urllib.error.HTTPError as error:
                token = error.headers.get("X-Transmission-Session-Id", token)
                return False
            except OSError:
                return False

        wait_for(attempt, 30, "transmission-daemon takes the torrent")

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()


def main():
    source, root = map(pathlib.Path, sys.argv[1:3])
    nodes = [session(index) for index in range(1, DHT_NODES + 1)]
    seeders = {name: session(index) for name, index in SEEDERS.items()}
    everyone = nodes + list(seeders.values())
    contacts = [(address(index), PORT) for index in (*range(1, DHT_NODES + 1), *SEEDERS.values())]
    for own, client in zip(contacts, everyone):
        for contact in contacts:
            if contact != own:
                client.add_dht_node(contact)

    transmission = Transmission(root / "transmission", 24, [(address(index), PORT) for index in (1, 4, 7)])
    releases, torrents = {}, {}
    for name, path in make_releases(source, root):
        releases[name], torrents[name] = path, make_torrent(path)
        if name == "m4a":
            # It takes a minute and a half until it announces.
            transmission.seed(torrents[name], path.parent)
    description = {
        "bootstrap": f"{address(2)}:{PORT}",
        "releases": {
            name: {
                "infohash": str(torrents[name].info_hash()), "path": str(path), "size": torrents[name].total_size(),
                "piece_length": torrents[name].piece_length(),
                "magnet": f"magnet:?xt=urn:btih:{torrents[name].info_hash()}",
                "files": [{"path": torrents[name].files().file_path(i), "size": torrents[name].files().file_size(i),
                           "offset": torrents[name].files().file_offset(i)} for i in range(torrents[name].num_files())],
            } for name, path in releases.items()},
    }
    print(json.dumps(description), flush=True)

    handles = {}
    for line in sys.stdin:
        command = json.loads(line)
        try:
            if command["do"] == "ready":
                wait_for(lambda: all(client.status().dht_nodes >= 8 for client in everyone), 90, "the DHT forms")
                for name, client in seeders.items():
                    handles[name] = client.add_torrent({
                        "ti": torrents[name], "save_path": str(releases[name].parent),
                        "flags": lt.torrent_flags.seed_mode})
                    handles[name].force_dht_announce()
                answer = {"dht_nodes": [client.status().dht_nodes for client in everyone]}
            elif command["do"] == "announce":
                for handle in handles.values():
                    handle.force_dht_announce()
                answer = {}
            elif command["do"] == "download":
                answer = download(command["magnet"], pathlib.Path(command["to"]), command.get("file"))
            elif command["do"] == "stop_seed":
                name = command["name"]
                if name == "m4a":
                    transmission.stop()
                else:
                    seeders[name].remove_torrent(handles.pop(name))
                    seeders[name].pause()
                answer = {}
            elif command["do"] == "quit":
                transmission.stop()
                break
            else:
                answer = {"error": f"unknown command {command['do']}"}
        except Exception as error:  # the test sees what went wrong
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    os._exit(0)  # libtorrent's sessions wait for trackers that do not exist


def download(magnet, folder, wanted):
    """Fetches one file of a torrent, or all, through the DHT alone; says from whom."""
    client = session(40)
    for index in (1, 3, 5, 7, 9, 11):
        client.add_dht_node((address(index), PORT))
    parameters = lt.parse_magnet_uri(magnet)
    parameters.save_path = str(folder)
    handle = client.add_torrent(parameters)
    peers = {}

    def look():
        for peer in handle.get_peer_info():
            if peer.total_download > 0:
                peers[f"{peer.ip[0]}:{peer.ip[1]}"] = str(peer.client)

    def has_metadata():
        look()
        return handle.status().has_metadata

    wait_for(has_metadata, 120, "metadata arrives")
    info = handle.torrent_file()
    if wanted is not None:
        handle.prioritize_files([4 if index == wanted else 0 for index in range(info.num_files())])
    begin = time.monotonic()

    def complete():
        look()
        progress = handle.file_progress()
        chosen = range(info.num_files()) if wanted is None else [wanted]
        return all(progress[index] == info.files().file_size(index) for index in chosen)

    wait_for(complete, 120, "the download completes")
    time.sleep(1)  # libtorrent writes behind
    return {"peers": peers, "seconds": time.monotonic() - begin, "name": info.name()}


main()
