"""What came out of the loudspeaker, compared with the recording sample by sample."""

import array
import pathlib
import subprocess
import time
from dataclasses import dataclass, field

from machine import SAMPLE_RATE
from waiting import Failed

CHANNELS = 2
FRAME_BYTES = 2 * CHANNELS
HEADER_BYTES = 44
# Samples by which a place is recognised: far apart enough that no note repeats them, loud enough that no silence fits.
PROBES, PROBE_STEP, LOUD = 48, 37, 600
# Frames that are compared at once.
BLOCK = SAMPLE_RATE // 10


def captured(path):
    """Samples of QEMU's WAV file, left and right in turn. Its header is written when QEMU ends in order, so not read."""
    data = pathlib.Path(path).read_bytes()[HEADER_BYTES:]
    return samples(data)


def recorded(path):
    """Samples of a recording, decoded by ffmpeg."""
    return samples(subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", "-i", str(path), "-f", "s16le", "-ac", str(CHANNELS), "-ar", str(SAMPLE_RATE),
         "-"], stdout=subprocess.PIPE, check=True).stdout)


def samples(data):
    values = array.array("h")
    values.frombytes(data[:len(data) // FRAME_BYTES * FRAME_BYTES])
    return values


def seconds(values):
    return len(values) / CHANNELS / SAMPLE_RATE


def without_end(values):
    """Without the silence at the end."""
    loud = len(values.tobytes().rstrip(b"\0")) // FRAME_BYTES + 1
    return values[:loud * CHANNELS]


@dataclass
class Comparison:
    """Times are in seconds."""
    starts_at: float       # place in the recording of the first sample that was heard
    length: float          # of the recording that was heard
    differing: int = 0     # samples that differ by more than the tolerance
    largest: int = 0       # difference
    gaps: list = field(default_factory=list)  # (place in the recording, seconds of something else, negative: left out)

    def __str__(self):
        gaps = f", {len(self.gaps)} gaps ({sum(abs(length) for _, length in self.gaps):.2f} s)" if self.gaps else ", no gap"
        return (f"{self.length:.1f} s from {self.starts_at:.2f} s on: {self.differing} samples differ "
                f"(at most by {self.largest}){gaps}")


def find(needle, at, haystack, start, end, tolerance):
    """Index in the haystack at which the needle's samples from `at` on lie, None if they do not."""
    offsets = [step * PROBE_STEP * CHANNELS for step in range(PROBES)]
    probes = [needle[at + offset] for offset in offsets]
    end = min(end, len(haystack) - offsets[-1])
    first = probes[0]
    for index in range(start, end, CHANNELS):
        if abs(haystack[index] - first) <= tolerance and all(
                abs(haystack[index + offset] - probe) <= tolerance for offset, probe in zip(offsets, probes)):
            return index
    return None


def loud_place(values, start):
    """An even index from `start` on at which the probes are mostly loud."""
    span = PROBES * PROBE_STEP * CHANNELS
    for index in range(start, len(values) - span, SAMPLE_RATE // 100 * CHANNELS):
        if sum(abs(values[index + step * PROBE_STEP * CHANNELS]) > LOUD for step in range(PROBES)) > PROBES * 3 // 4:
            return index
    return None


def compare_from_start(heard, recording, tolerance=0):
    """The same as `compare` for a song that was started while something else may have been heard."""
    at = loud_place(recording, 0)
    place = find(recording, at, heard, 0, len(heard), tolerance)
    if place is None:
        raise Failed(f"the beginning of the recording is not in the {seconds(heard):.1f} s that were captured")
    return follow(heard, place, recording, at, tolerance)


def compare(heard, recording, tolerance=0):
    """Where in the recording the heard sound lies, and how it differs. The heard sound may end earlier."""
    place = loud_place(heard, 0)
    if place is None:
        raise Failed(f"{seconds(heard):.1f} s were captured, and nothing of it is loud")
    longest, at = None, find(heard, place, recording, 0, len(recording), tolerance)
    if at is None:
        raise Failed(f"what is heard {seconds(heard[:place]):.2f} s from the start of the capture is not in the recording")
    # Music repeats itself, some of it sample by sample: the place is where it fits longest.
    while at is not None and (longest is None or longest.length < seconds(heard[place:]) - BLOCK / SAMPLE_RATE):
        here = follow(heard, place, recording, at, tolerance)
        longest = here if longest is None or here.length > longest.length else longest
        at = find(heard, place, recording, at + CHANNELS, len(recording), tolerance)
    return longest


def follow(heard, place, recording, at, tolerance):
    """Compares from places that fit on, and backwards to the first sample of the song that was heard."""
    back = 0
    limit = min(place, at)
    while back < limit and abs(heard[place - back - 1] - recording[at - back - 1]) <= tolerance:
        back += 1
    back -= back % CHANNELS
    place, at = place - back, at - back
    result = Comparison(starts_at=at / CHANNELS / SAMPLE_RATE, length=0)
    begin = at
    while place < len(heard) and at < len(recording):
        count = min(BLOCK * CHANNELS, len(heard) - place, len(recording) - at)
        ours, theirs = heard[place:place + count], recording[at:at + count]
        if ours != theirs:
            differences = [abs(a - b) for a, b in zip(ours, theirs)]
            many = sum(difference > tolerance for difference in differences)
            if many > count // 20:
                same = next(index for index, difference in enumerate(differences) if difference > tolerance)
                place, at = place + same - same % CHANNELS, at + same - same % CHANNELS
                again = resume(heard, place, recording, at, tolerance)
                if again is None:
                    break
                result.gaps.append((at / CHANNELS / SAMPLE_RATE, (again - place) / CHANNELS / SAMPLE_RATE))
                # Something else was heard meanwhile, or a part of the recording was not.
                place, at = max(place, again), at + max(0, place - again)
                continue
            result.differing += many
            result.largest = max(result.largest, *differences)
        place, at = place + count, at + count
    result.length = (at - begin) / CHANNELS / SAMPLE_RATE
    return result


def resume(heard, place, recording, at, tolerance):
    """After a gap: where in the capture the recording's `at` lies or would lie (if a part was left out), within 10 s."""
    for later in (0, SAMPLE_RATE // 2, 2 * SAMPLE_RATE):
        loud = loud_place(recording, at + later * CHANNELS)
        if loud is None:
            return None
        found = find(recording, loud, heard, place, place + (loud - at) + 10 * SAMPLE_RATE * CHANNELS, tolerance)
        if found is not None and found - (loud - at) != place:
            return found - (loud - at)
    return None


class Watch:
    """Watches the capture while it grows."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.at = HEADER_BYTES

    def skip(self):
        """From now on."""
        if self.path.exists():
            size = self.path.stat().st_size
            self.at = max(HEADER_BYTES, size - (size - HEADER_BYTES) % FRAME_BYTES)
        return self

    def sounds(self):
        """The time at which new samples that are not zero were seen, None if there are none."""
        if not self.path.exists():
            return None
        with open(self.path, "rb") as file:
            file.seek(self.at)
            new = file.read()
        self.at += len(new)
        return time.monotonic() if new.strip(b"\0") else None

    def samples(self):
        """What was captured from here on."""
        with open(self.path, "rb") as file:
            file.seek(self.at)
            return samples(file.read())
