"""A song of the owner's own on the card, for tests that need no swarm."""

import network
from waiting import check, wait_for

# Not the folder for downloads, which is the jukebox's own.
FOLDER = "/data/own"
# The longest of the recordings: six minutes.
RECORDING, TITLE = "background.ogg", "Background"


def recording():
    return network.cache() / "music" / RECORDING


def share_song(machine):
    """Copies a recording to the jukebox over SSH, shares it and plays it; it goes on after each start."""
    with open(recording(), "rb") as file:
        machine.ssh(f"mkdir -p {FOLDER} && cat >{FOLDER}/{TITLE}.ogg && chown -R silverstream: {FOLDER} && sync",
                    seconds=120, stdin=file)
    wait_for(lambda: machine.status(), 120, "the jukebox answers", every=1)
    reply = machine.ask("share", path=f"{FOLDER}/{TITLE}.ogg")
    check("infohash" in reply, f"the song cannot be shared: {reply}")
    infohash = reply["infohash"]

    def find():
        hits = machine.ask("search", query=TITLE, limit=5, mode="fuzzy").get("results", [])
        return next((hit["track"] for hit in hits if hit["track"].startswith(infohash)), None)

    track = wait_for(find, 60, f"the shared song is found ({reply})", every=0.5)
    machine.ask("play", track=track)
    machine.wait_status(lambda status: status["player"]["state"] == "playing" and status["player"]["position_s"] > 1, 60, "it plays")
    return track
