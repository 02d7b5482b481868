"""Build the sample calls: `python samples/make.py [--only ID] [--check]`.

Decides what truth says about each call: turns, times, personal data, flags, facts.
Refuses a script with unknown labels, flags or request types. With --check nothing is written.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import sound
import yaml

HERE = Path(__file__).resolve().parent
SCRIPTS, AUDIO = HERE / "scripts", HERE / "audio"
VOCABULARY = HERE / "vocabulary.yaml"
TRUTH, HASHES = HERE / "truth.jsonl", HERE / "audio.sha256"
MARK = "synthetic, all personal data invented"
MARKUP = re.compile(r"\[([A-Z_]+):([^\[\]]+)\]")
DURATION_SLACK = 0.1  # s: lossy codecs pad their last frame

NUMERALS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DIGITS = {word: str(value) for value, word in enumerate(NUMERALS)} | {"oh": "0"}
REPEATS = {"double": 2, "triple": 3}


class BadScript(ValueError):
    """A script says something the contracts do not know; the message names file and word."""


def read_markup(marked: str) -> tuple[str, list[tuple[int, int, str]]]:
    """Return the plain text and its personal data as (start, end, label), end exclusive."""
    text, spans, at = "", [], 0
    for found in MARKUP.finditer(marked):
        text += marked[at : found.start()]
        spans.append((len(text), len(text) + len(found[2]), found[1]))
        text, at = text + found[2], found.end()
    return text + marked[at:], spans


def as_digits(spoken: str) -> str:
    """Return the digits of 'four double one', or nothing where other words are among them."""
    digits, times = "", 1
    for word in re.findall(r"[a-z]+", spoken.lower()):
        if word in REPEATS:
            times = REPEATS[word]
        elif word in DIGITS:
            digits, times = digits + times * DIGITS[word], 1
        else:
            return ""
    return digits


def forbidden(values: list[str]) -> list[str]:
    """Return what no output may contain: each value as spoken and, of numbers, as digits."""
    found = set()
    for value in values:
        plain = value.strip(" .,").lower()
        found |= {plain} if " " in plain or len(plain) > 4 else set()
        digits = as_digits(value)
        found |= {digits} if len(digits) >= 3 else set()
    return sorted(found)


def load(path: Path) -> dict[str, Any]:
    """Return a checked script.

    Raises:
        BadScript: an unknown label, flag, request type, outcome or expectation, or a wrong id.
    """
    script: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    words = yaml.safe_load(VOCABULARY.read_text(encoding="utf-8"))
    labels = {label for turn in script["turns"] for label, _ in MARKUP.findall(said(turn)[1])}
    for name, given, known in (
        ("label", labels, words["labels"]),
        ("flag", set(script["flags"]), words["flags"]),
        ("request type", {script["request_type"]}, words["request_types"]),
        ("outcome", {script["outcome"]}, words["outcomes"]),
        ("expectation", {script["expected"]}, words["expected"]),
        ("id (must be the file's name)", {script["id"]}, {path.stem}),
    ):
        if unknown := given - set(known):
            raise BadScript(f"{path.name}: unknown {name}: {', '.join(sorted(unknown))}")
    return script


def said(turn: dict[str, Any]) -> tuple[str, str]:
    """Return who speaks in a scripted turn and the marked-up words."""
    speaker = "agent" if "agent" in turn else "customer"
    return speaker, " ".join(turn[speaker].split())


def file_name(script: dict[str, Any]) -> str:
    return f"{script['id']}.{script['format']['extension']}"


def build(script: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """Return the audio file's bytes and the truth of one call."""
    form = script["format"]
    voices = {who: sound.Voice(**voice) for who, voice in script["voices"].items()}
    turns: list[dict[str, Any]] = []
    pii: list[dict[str, Any]] = []
    spoken: list[tuple[str, sound.Wave, dict[str, float]]] = []
    for number, turn in enumerate(script["turns"]):
        speaker, marked = said(turn)
        text, spans = read_markup(marked)
        timing = {key: turn[key] for key in ("gap", "within") if key in turn}
        spoken.append((speaker, sound.speak(text, voices[speaker]), timing))
        turns.append({"turn": number, "speaker": speaker, "text": text})
        pii += [{"turn": number, "start": a, "end": b, "label": label} for a, b, label in spans]
    placed = sound.place(spoken)
    left = script.get("left", "agent")
    for record, where in zip(turns, placed, strict=True):
        mono = form["layout"] == "mono" or where.speaker == left
        record["channel"] = 0 if mono else 1
        record["start"], record["end"] = round(where.start, 3), round(where.end, 3)
    lines = sound.mix(placed, left, form["layout"], script["seed"], script.get("bleed"))
    if form["rate"] == sound.RATE // 2:
        lines = [sound.narrow(line) for line in lines]
    audio = sound.encode(
        sound.to_pcm(lines), form["rate"], form["container"], form["codec"], form.get("bitrate")
    )
    values = [turns[span["turn"]]["text"][span["start"] : span["end"]] for span in pii]
    truth = {
        "id": script["id"], "file": f"audio/{file_name(script)}", "title": script["title"],
        "marked": MARK, "language": script.get("language", "en"), "turns": turns, "pii": pii,
        "flags": script["flags"], "request_type": script["request_type"],
        "outcome": script["outcome"], "facts": script["facts"],
        "must_not": sorted({*script["must_not"], *forbidden(values)}),
        "commitments": script["commitments"], "metadata": script["metadata"],
        "expected": script["expected"],
    }  # fmt: skip
    return audio, truth


def check(script: dict[str, Any], audio: bytes, truth: dict[str, Any]) -> list[str]:
    """Return what differs between a fresh build and what is kept; empty when nothing does."""
    path = AUDIO / file_name(script)
    if not path.is_file():
        return [f"{path.name}: missing; run make.py"]
    faults = []
    if read_truth().get(script["id"]) != json.loads(json.dumps(truth)):
        faults.append(f"{script['id']}: truth.jsonl differs from a rebuild")
    if script["format"]["codec"] in sound.LOSSLESS:
        prints = {sound.fingerprint(audio), sound.fingerprint(path), read_hashes().get(path.name)}
        if len(prints) > 1:
            faults.append(f"{path.name}: samples, rebuild and audio.sha256 are not all the same")
    else:
        kept, built = (sound.decode(one) for one in (path, audio))
        if abs(kept[0].shape[1] - built[0].shape[1]) / kept[1] > DURATION_SLACK:
            faults.append(f"{path.name}: length differs from a rebuild")
    return faults


def read_truth() -> dict[str, Any]:
    lines = TRUTH.read_text(encoding="utf-8").splitlines() if TRUTH.is_file() else []
    return {record["id"]: record for record in map(json.loads, lines)}


def read_hashes() -> dict[str, str]:
    lines = HASHES.read_text(encoding="ascii").splitlines() if HASHES.is_file() else []
    return {name: value for value, name in (line.split("  ") for line in lines if line[0] != "#")}


def main() -> int:
    """Build or check the calls; return 0, or 1 where a check found a difference."""
    parser = argparse.ArgumentParser(description="Build the sample calls from their scripts.")
    parser.add_argument("--only", metavar="ID", help="one call alone, e.g. card-dispute")
    parser.add_argument("--check", action="store_true", help="rebuild and compare, write nothing")
    options = parser.parse_args()
    paths = sorted(SCRIPTS.glob(f"{options.only or '*'}.yaml"))
    if not paths:
        parser.error(f"no script {options.only!r} in {SCRIPTS.name}/")
    every, hashes = read_truth(), read_hashes()
    faults: list[str] = []
    for path in paths:
        try:
            script = load(path)
        except BadScript as wrong:
            parser.error(str(wrong))
        audio, truth = build(script)
        name = file_name(script)
        if options.check:
            faults += check(script, audio, truth)
        else:
            AUDIO.mkdir(exist_ok=True)
            (AUDIO / name).write_bytes(audio)
            every[script["id"]] = truth
            if script["format"]["codec"] in sound.LOSSLESS:
                hashes[name] = sound.fingerprint(audio)
        end = max(turn["end"] for turn in truth["turns"])
        print(f"{name:32} {end + sound.LEAD:6.1f} s {len(audio) / 1e6:5.2f} MB")
    if not options.check:
        lines = [json.dumps(every[key], ensure_ascii=False) + "\n" for key in sorted(every)]
        TRUTH.write_text("".join(lines), encoding="utf-8")
        note = "# SHA-256 of the decoded interleaved 16-bit samples, lossless and G.711 files\n"
        HASHES.write_text(
            note + "".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes)), encoding="ascii"
        )
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
