#!/usr/bin/env python3
"""Names the kernel modules that the supported boards need, and all that those depend on.

usage: modules.py MODULES_DIR LIST [DTB...]

MODULES_DIR is a lib/modules/<version> after depmod, LIST a file of module names (one a line, # for comments, a leading
"-" takes a module out). Whatever drives a device of one of the device trees is taken as well. Prints paths relative to
MODULES_DIR.
"""

import subprocess
import sys
from pathlib import Path


def compatibles(dtb: Path) -> set[str]:
    """All values of all `compatible` properties of a device tree."""
    source = subprocess.run(["dtc", "-q", "-I", "dtb", "-O", "dts", dtb], check=True, capture_output=True, text=True)
    found: set[str] = set()
    for line in source.stdout.splitlines():
        name, _, value = line.strip().partition(" = ")
        if name == "compatible":
            for text in value.rstrip(";").split('", "'):
                found.update(text.strip('"').split("\\0"))
    return found


def main() -> None:
    folder, listing, trees = Path(sys.argv[1]), Path(sys.argv[2]), [Path(tree) for tree in sys.argv[3:]]

    paths: dict[str, str] = {}
    needs: dict[str, list[str]] = {}
    for line in (folder / "modules.dep").read_text().splitlines():
        path, _, others = line.partition(":")
        name = Path(path).name.split(".")[0].replace("-", "_")
        paths[name], needs[name] = path, others.split()
    builtin = {
        Path(line).name.split(".")[0].replace("-", "_") for line in (folder / "modules.builtin").read_text().splitlines()
    }

    wanted: set[str] = set()
    refused: set[str] = set()
    for line in listing.read_text().splitlines():
        for word in line.partition("#")[0].split():
            (refused if word.startswith("-") else wanted).add(word.lstrip("-").replace("-", "_"))
    missing = sorted(name for name in wanted if name not in paths and name not in builtin)
    if missing:
        sys.exit(f"modules.py: this kernel has no module {', '.join(missing)}; correct {listing}")

    present = set().union(*(compatibles(tree) for tree in trees)) if trees else set()
    aliases: dict[str, set[str]] = {}
    for line in (folder / "modules.alias").read_text().splitlines():
        words = line.split()
        if len(words) != 3:
            continue
        aliases.setdefault(words[1].replace("-", "_"), set()).add(words[2].replace("-", "_"))
        if words[1].startswith("of:N*T*C") and words[1][8:].rstrip("*") in present:
            wanted.add(words[2].replace("-", "_"))

    # What a module asks for while it runs (checksums, codecs) is no symbol of another and so not in modules.dep.
    soft: dict[str, set[str]] = {}
    for line in (folder / "modules.softdep").read_text().splitlines():
        words = line.replace("-", "_").split()
        if words[:1] == ["softdep"]:
            soft[words[1]] = {word for word in words[2:] if word not in ("pre:", "post:")}

    taken: set[str] = set()
    left = (wanted - refused) & paths.keys()
    while left:
        name = left.pop()
        taken.add(name)
        after = {Path(path).name.split(".")[0].replace("-", "_") for path in needs[name]}
        for asked in soft.get(name, set()):
            after.update({asked} if asked in paths else aliases.get(asked, set()))
        left |= (after & paths.keys()) - taken - refused
    print("\n".join(sorted(paths[name] for name in taken)))


if __name__ == "__main__":
    main()
