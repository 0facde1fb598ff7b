"""A person at the jukebox: looks at the display, turns and presses the knob."""

import time

from waiting import Failed, check, wait_for

# As src/ui/screens/dial.rs: with so few hits the wheel begins at the list.
FEW_HITS = 4
# That are dialled although fewer would do.
MIN_LETTERS = 4
# A picture that has not changed for so long has been drawn.
STILL_SECONDS = 0.6
ANSWER_SECONDS = 60


class Hand:
    """Dials with `knob`: the board's GPIO knob or the one of the serial panel. Both show on the machine's panel."""

    def __init__(self, machine, knob):
        self.machine, self.knob, self.panel = machine, knob, machine.panel
        self.detents = self.presses = 0

    def turn(self, detents):
        self.detents += abs(detents)
        self.knob.turn(detents)

    def press(self):
        self.presses += 1
        self.knob.press()

    def and_look(self, gesture):
        """Makes a gesture that changes the picture, and waits until it has and stands still."""
        before = self.panel.changes
        gesture()
        wait_for(lambda: self.panel.changes != before, ANSWER_SECONDS,
                 lambda: f"the display changes; it shows:\n{self.panel.text()}", every=0.05)
        self.wait_still()

    def wait_still(self):
        seen, since = self.panel.changes, time.monotonic()

        def still():
            nonlocal seen, since
            if self.panel.changes != seen:
                seen, since = self.panel.changes, time.monotonic()
            return time.monotonic() - since > STILL_SECONDS

        wait_for(still, ANSWER_SECONDS, "the picture stands still", every=0.05)

    def wake(self):
        """The first touch of a dark display only lights it."""
        if self.panel.light == 0:
            self.turn(1)
            wait_for(lambda: self.panel.light, ANSWER_SECONDS, "the display lights up when the knob is turned")

    def play(self, title):
        """Dials a song by its letters, from the playing screen, and plays it; the letters that it took."""
        self.wake()
        self.and_look(self.knob.hold)       # the menu, which begins with Search
        self.and_look(self.press)           # an empty wheel
        dialled = self.dial(title)
        place = self.place_of(title, dialled)
        if place:
            self.and_look(lambda: self.turn(place))
        self.and_look(self.press)           # what to do with it: Play now comes first
        self.and_look(self.press)
        return dialled

    def dial(self, title):
        """Letter by letter until few songs are left, a few in any case, then opens their list."""
        prefix = ""
        letters = iter(title.lower())
        while True:
            state = self.machine.ask("dial", prefix=prefix)
            slots = self.slots(prefix, state)
            enough = len(prefix) >= MIN_LETTERS and state["hits"] <= FEW_HITS
            wanted = "results" if enough else next(letters, "results")
            check(wanted in slots, f"{wanted!r} is not on the wheel after {prefix!r}: {slots}")
            way = slots.index(wanted) - self.begins_at(slots, state)
            if abs(way) * 2 > len(slots):  # the wheel has no end
                way -= len(slots) if way > 0 else -len(slots)
            if way:
                self.and_look(lambda: self.turn(way))
            self.compare_display()
            self.and_look(self.press)
            if wanted == "results":
                return prefix
            prefix += wanted

    @staticmethod
    def slots(prefix, state):
        ends = ["erase"] + ["results"] * (state["hits"] > 0) if prefix else []
        return ends + [letter["letter"] for letter in state["letters"]]

    @staticmethod
    def begins_at(slots, state):
        hits = {letter["letter"]: letter["hits"] for letter in state["letters"]}
        if state["hits"] <= FEW_HITS and "results" in slots:
            return slots.index("results")
        return max(range(len(slots)), key=lambda place: (hits.get(slots[place], 0), -place))

    def place_of(self, title, dialled):
        found = self.machine.ask("search", query=dialled, limit=50, mode="prefix")["results"]
        titles = [hit["title"] for hit in found]
        if title not in titles:
            raise Failed(f"{dialled!r} finds {titles}, and {title!r} is not among them")
        return titles.index(title)

    def compare_display(self):
        """What the panel got over its line is what the jukebox means to show."""
        wanted = self.machine.ask("panel-picture")["bits"]
        check(self.panel.rows() == wanted, f"the display shows another picture than the jukebox means:\n{self.panel.text()}")

    def switch_off(self):
        """Menu, Status, held twice: switches the machine off."""
        self.wake()
        self.and_look(self.knob.hold)
        self.turn(20)                       # Back is the last entry
        self.and_look(lambda: self.turn(-1))
        self.and_look(self.press)           # Status
        self.and_look(self.knob.hold)       # asks
        self.knob.hold()
