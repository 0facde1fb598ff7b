"""The one song of the owner's own (`share.py`), as it is heard before and after something has happened."""

import time

import share
import sound
from waiting import Failed, check, wait_for

TOLERANCE = 3
RESUME_SECONDS = 5
# So much is compared.
HEARD_SECONDS = 6


class Song:
    """Compares what comes out of the loudspeaker with the recording."""

    def __init__(self, machine):
        self.machine = machine
        self.recording = sound.recorded(share.recording())
        self.watch = None  # the capture since `hear`
        self.place = None  # the last place in the song that was heard

    def hear(self):
        """Listens for a while: what plays is the song, and its place is known."""
        self.watch = sound.Watch(self.machine.sound).skip()
        self.follow(self.watch)

    def note_end(self):
        """Once it has fallen silent: the place in the song that was heard last.

        A board whose systemd hangs plays on with gaps for a while, and the sound card of one whose kernel does repeats what it has
        got last: so it is followed from where it was heard, and from several places near the end."""
        heard = sound.without_end(self.watch.samples())
        ends = []
        for seconds in [*range(1, HEARD_SECONDS + 1), sound.seconds(heard)]:
            try:
                last = sound.compare(heard[-int(seconds * sound.SAMPLE_RATE) * sound.CHANNELS:], self.recording, TOLERANCE)
                ends.append(last.starts_at + last.length)
            except Failed as error:
                failed = error
        if not ends:
            raise failed
        self.place = max(ends)

    def follow(self, watch):
        """Waits until some seconds were captured; the place in the song of the first sample that was heard."""
        wait_for(lambda: self.heard_seconds(watch) > HEARD_SECONDS, 120, f"{HEARD_SECONDS} s of the song are heard")
        compared, skipped = self.compare(watch)
        self.place = compared.starts_at + compared.length
        return compared.starts_at - skipped

    def compare(self, watch):
        """How the capture lies in the song, and how many seconds of its beginning were left out.

        An emulated processor that gets too little of this computer makes gaps, and nothing is found at the edge of one; what
        is between them has to be the song."""
        ear = sound.Watch(watch.path)
        for skipped in range(HEARD_SECONDS // 2):
            ear.at = watch.at + skipped * sound.SAMPLE_RATE * sound.FRAME_BYTES
            try:
                compared = sound.compare(ear.samples(), self.recording, TOLERANCE)
                check(compared.length > HEARD_SECONDS / 3, f"only this is the song: {compared}")
                return compared, skipped
            except Failed as error:
                failed = error
        raise failed

    @staticmethod
    def heard_seconds(watch):
        if not watch.path.exists():
            return 0
        samples = watch.samples()
        loud = sound.loud_place(samples, 0)
        return 0 if loud is None else sound.seconds(samples[loud:])

    def wait_goes_on(self, seconds, watch=None):
        """Waits until the song goes on where it was, to within RESUME_SECONDS; the time at which it was heard first.

        Without a watch from the start of a new capture on."""
        watch = watch or sound.Watch(self.machine.sound)
        ear = sound.Watch(watch.path)
        ear.at = watch.at
        at = wait_for(ear.sounds, seconds, lambda: f"the song goes on; the console:\n{self.machine.tail()}", every=0.05)
        before, after = self.place, self.follow(watch)
        check(before is None or abs(after - before) <= RESUME_SECONDS, f"the song was at {before:.1f} s and goes on at {after:.1f} s")
        return at

    def wait_silence(self, seconds):
        """Waits until nothing is heard any more; a watch from there on."""
        watch = sound.Watch(self.machine.sound).skip()

        def silent():
            time.sleep(1)
            return not watch.sounds()

        wait_for(silent, seconds, "the sound ends")
        return watch.skip()
