"""Transcripts made elsewhere: each format is read for what it says, and nothing is made up."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import vendor_files
from hypothesis import given, settings
from hypothesis import strategies as st
from vendor_files import ALL, CALL

from voice_pipeline import transcripts
from voice_pipeline.errors import BadInput
from voice_pipeline.stages.given_turns import role_of
from voice_pipeline.transcripts import LARGEST, Utterance, VendorTranscript, readers
from voice_pipeline.transcripts._content import open_content

TIMED = {"amazon_channels", "amazon_speakers", "call_analytics", "openai_verbose", "deepgram",
         "vcon", "own"}  # fmt: skip


def read(text: str) -> VendorTranscript:
    return transcripts.read(text.encode())


def in_order(found: VendorTranscript) -> list[Utterance]:
    def start(one: Utterance) -> float:
        return min([w.start for w in one.words if w.start is not None] or [one.start or 0.0])

    return sorted(found.utterances, key=start)


def plain(text: str) -> list[str]:
    return [w for word in text.lower().split() if (w := word.strip(".,?! "))]


# ---------------------------------------------------------------- what each says


@pytest.mark.parametrize("name", ALL)
def test_every_format_gives_the_call(name: str) -> None:
    """Six utterances, in words as heard or as written, each with a time or a time of its words."""
    found = in_order(read(ALL[name]()))
    assert len(found) == len(CALL)
    for one, line in zip(found, CALL, strict=True):
        shown = plain(" ".join(word.text for word in one.words))
        assert shown in (plain(line[4]), plain(line[5]))
        times = [w.start for w in one.words if w.start is not None]
        assert (one.start == pytest.approx(line[2])) or times[0] == pytest.approx(line[2])


@pytest.mark.parametrize("name", ALL)
def test_one_reader_knows_a_file(name: str) -> None:
    """Formats are told apart by content, and no two claim the same file."""
    content = open_content(ALL[name]().encode())
    assert sum(reader.detect(content) for reader in readers()) == 1


@pytest.mark.parametrize("name", ALL)
def test_words_have_times_where_the_file_times_words(name: str) -> None:
    """Nothing is interpolated: cues and turns give their own times, and their words none."""
    for one in read(ALL[name]()).utterances:
        timed = [w.start is not None and w.end is not None for w in one.words]
        if name in TIMED:
            assert all(timed)
        elif name != "whisperx":
            assert not any(timed)
            assert one.start is not None and one.end is not None


@pytest.mark.parametrize("name", ALL)
def test_speakers_or_channels_are_kept(name: str) -> None:
    """Who spoke is known in every example: by channel, by role, or by number."""
    found = in_order(read(ALL[name]()))
    who = [one.channel if one.channel is not None else one.speaker for one in found]
    if name == "openai_verbose":
        assert not any(who)
    else:
        assert who[0::2] == [who[0]] * 3
        assert who[1::2] == [who[1]] * 3
        assert who[0] != who[1]


def test_language_and_length_come_along() -> None:
    """What a file says of the language and of the audio's length is passed on."""
    assert read(vendor_files.amazon_channels()).language == "en-US"
    assert read(vendor_files.contact_lens()).language == "en-GB"
    assert read(vendor_files.openai_verbose()).language == "english"
    assert read(vendor_files.webvtt()).language == "en"
    assert read(vendor_files.srt()).language == ""
    for name in ("openai_verbose", "deepgram", "vcon"):
        assert read(ALL[name]()).duration == vendor_files.DURATION


def test_confidence_is_the_vendors_or_none() -> None:
    """A vendor without confidences gives None, never a made-up number."""
    for name, sure in (("deepgram", 0.97), ("call_analytics", 0.9), ("webvtt", None),
                       ("openai_verbose", None), ("contact_lens", None)):  # fmt: skip
        words = [w for one in read(ALL[name]()).utterances for w in one.words]
        assert {w.confidence for w in words} == {sure}


def test_digits_without_times_stay_without() -> None:
    """WhisperX's known gap: the words to mute have no time, so the segment's own is kept."""
    number = in_order(read(vendor_files.whisperx()))[3]
    digits = [w for w in number.words if w.text[0].isdigit()]
    assert len(digits) == 4
    assert all(w.start is None and w.end is None for w in digits)
    assert (number.start, number.end) == (7.5, 13.5)


def test_both_forms_are_kept() -> None:
    """Words as heard and as written: what one hides the other shows."""
    for name in ("call_analytics", "openai_verbose", "vcon"):
        number = in_order(read(ALL[name]()))[3]
        texts = [" ".join(w.text for w in form) for form in (number.words, *number.forms)]
        assert any("four five three two" in text for text in texts)
        assert any("4532 1111" in text for text in texts)
    same = in_order(read(vendor_files.call_analytics()))[0]
    assert same.forms == ()  # only case and punctuation differ


def test_other_hearings_become_forms() -> None:
    """A second hypothesis is searched as well, whatever vendor gives it."""
    document = json.loads(vendor_files.deepgram())
    customer = document["results"]["channels"][1]["alternatives"]
    other = json.loads(json.dumps(customer[0]))
    for word in other["words"]:
        word["word"] = word["punctuated_word"] = {"mary": "marie"}.get(word["word"], word["word"])
    customer.append(other)
    found = [one for one in read(json.dumps(document)).utterances if one.channel == 1]
    assert [bool(one.forms) for one in found] == [True, False, False]
    assert "marie" in [w.text for w in found[0].forms[0]]

    items = [vendor_files._item(*w) for w in vendor_files.timed(CALL[1])]
    again = [dict(i, alternatives=[{"content": "marry"}]) if i is items[-1] else i for i in items]
    segment = {"start_time": "3.0", "end_time": "5.0", "alternatives": [
        {"transcript": "", "items": items}, {"transcript": "", "items": again}]}  # fmt: skip
    amazon = {"results": {"items": items, "segments": [segment]}}
    (one,) = read(json.dumps(amazon)).utterances
    assert [w.text for w in one.forms[0]][-1] == "marry"


def test_a_written_word_of_several_keeps_both() -> None:
    """Where a vendor writes several words as one, neither writing is lost."""
    word = {"word": "twenty twenty", "punctuated_word": "2020", "start": 1.0, "end": 2.0}
    document = {"results": {"channels": [{"alternatives": [{"words": [word]}]}]}}
    (one,) = read(json.dumps(document)).utterances
    assert [w.text for w in one.words] == ["2020", "twenty", "twenty"]
    assert {(w.start, w.end) for w in one.words} == {(1.0, 2.0)}


def test_punctuation_is_no_word() -> None:
    """Marks that stand alone in the file are put to the word before them."""
    (first, *_) = in_order(read(vendor_files.amazon_channels()))
    assert first.words[-1].text == "help."


def test_a_cue_of_two_voices_is_two_utterances() -> None:
    """Voice tags split a cue; both have its times."""
    text = "WEBVTT\n\n00:01.000 --> 00:04.000\n<v A>Hello there.</v> <v B>Hi &amp; welcome."
    found = read(text).utterances
    assert [one.speaker for one in found] == ["A", "B"]
    assert {(one.start, one.end) for one in found} == {(1.0, 4.0)}
    assert found[1].words[1].text == "&"


def test_only_roles_are_speakers_in_a_line() -> None:
    """`Agent:` names a speaker; `Note:` is speech."""
    text = (
        "1\n00:00:01,000 --> 00:00:02,000\nNote: call back\n\n"
        "2\n00:00:03,000 --> 00:00:04,000\nSpeaker 2: yes\n"
    )
    found = read(text).utterances
    assert [one.speaker for one in found] == ["", "Speaker 2"]
    assert found[0].words[0].text == "Note:"


def test_a_cue_without_a_readable_time_keeps_its_words() -> None:
    """Words are never dropped: without a time they are muted wider."""
    (one,) = read("WEBVTT\n\n00:xx --> 00:02.000\nmy pin is one two\n").utterances
    assert len(one.words) == 5
    assert one.start is None


# ---------------------------------------------------------------- vCon


def test_a_vcon_may_hold_a_vendors_answer() -> None:
    """The analysis of a vCon is read by whoever knows it, as an object or as a string."""
    plain = json.loads(vendor_files.deepgram())
    packed = base64.urlsafe_b64encode(json.dumps(plain).encode()).decode().rstrip("=")
    for body, encoding in ((plain, "none"), (json.dumps(plain), "json"), (packed, "base64url")):
        found = read(vendor_files.vcon(body, type="transcript", encoding=encoding))
        assert found.format == "vCon (Deepgram)"
        assert len(found.utterances) == len(CALL)


def test_roles_of_parties_name_the_speakers() -> None:
    """A speaker's number is looked up among the parties; no name is taken."""
    assert {one.speaker for one in read(vendor_files.vcon()).utterances} == {"agent", "customer"}


def test_text_dialogs_are_timed_from_the_recording() -> None:
    """Lines with a date and time count from the start of the one recording beside them."""
    document = json.loads(vendor_files.vcon())
    document["analysis"] = []
    document["dialog"].append(
        {
            "type": "text",
            "start": "2026-11-24T10:00:03Z",
            "duration": 2.0,
            "parties": 1,
            "body": "I lost my card",
        }
    )
    (one,) = read(json.dumps(document)).utterances
    assert (one.start, one.end, one.speaker) == (3.0, 5.0, "customer")


@pytest.mark.parametrize(
    "document",
    [
        {"payload": "e30", "signatures": []},
        {"ciphertext": "x", "recipients": []},
        {"vcon": "0.4.0", "dialog": [], "analysis": []},
        {"vcon": "0.4.0", "analysis": [{"type": "transcript", "body": "a"}] * 2},
    ],
)
def test_a_vcon_that_cannot_be_taken_says_why(document: Any) -> None:
    """Signed, encrypted, without a transcript, with two: refused, not guessed."""
    with pytest.raises(BadInput, match="vCon") as caught:
        read(json.dumps(document))
    assert caught.value.code == "transcript_unknown"


# ---------------------------------------------------------------- bad files

SECRET = "4532111122223334"
BAD = {
    "empty": (b"", "empty_file"),
    "blank": (b" \n\t ", "empty_file"),
    "cut": (vendor_files.deepgram().encode()[:-40], "transcript_damaged"),
    "large": (b'{"a":"' + b"x" * (LARGEST + 1) + b'"}', "transcript_too_large"),
    "nul": (b"WEBVTT\n\n\x00\x00" + SECRET.encode(), "transcript_damaged"),
    "latin": ("WEBVTT\n\ncafé ".encode("latin-1") + SECRET.encode(), "transcript_damaged"),
    "page": (b"<!doctype html><html>Sign in " + SECRET.encode(), "transcript_unknown"),
    "deep": (b"[" * 200_000 + b"]" * 200_000, "transcript_damaged"),
    "long number": (b'{"results": ' + b"9" * 10_000 + b"}", "transcript_damaged"),
    "other json": (json.dumps({"name": SECRET}).encode(), "transcript_unknown"),
    "a string": (json.dumps([SECRET]).encode(), "transcript_unknown"),
    "prose": (b"hello, my card is " + SECRET.encode(), "transcript_unknown"),
    "audio": (b"RIFF\x24\x00\x00\x00WAVEfmt ", "transcript_damaged"),
    "chat": (json.dumps({"Channel": "CHAT", "Transcript": [{"ParticipantId": "A"}]}).encode(),
             "transcript_unknown"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_with_a_sentence(name: str) -> None:
    """What is wrong and what to do, a code, and not a word of the content."""
    data, code = BAD[name]
    with pytest.raises(BadInput) as caught:
        transcripts.read(data)
    assert caught.value.code == code
    assert SECRET not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks_are_understood(encoding: str) -> None:
    """Windows programs write them; the text is the same."""
    for name in ("webvtt", "srt", "deepgram"):
        text = ALL[name]()
        assert transcripts.read(text.encode(encoding)) == read(text)


def test_windows_line_ends_are_understood() -> None:
    """Cues end at empty lines, however lines end."""
    for name in ("webvtt", "srt"):
        assert read(ALL[name]().replace("\n", "\r\n")) == read(ALL[name]())


def test_lone_surrogates_and_control_characters_do_no_harm() -> None:
    """JSON may hold half a character or a bell; records cannot."""
    (one,) = read(
        '{"segments": [{"start": 0, "end": 1, "text": "a\\ud800b \\u0007 c"}]}'
    ).utterances
    assert " ".join(w.text for w in one.words).encode("utf-8") == b"a?b c"


def test_a_word_without_end_is_cut() -> None:
    """No search later meets a word of a megabyte."""
    (one,) = read(json.dumps({"segments": [{"start": 0, "text": "x" * 100_000}]})).utterances
    assert max(len(word.text) for word in one.words) <= 200
    assert sum(len(word.text) for word in one.words) == 100_000


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(set(ALL) - {"webvtt", "srt"})))
def test_json_of_any_shape_is_read_or_refused(data: st.DataObject, name: str) -> None:
    """A value of another type anywhere in a file ends in a transcript or an error of ours."""
    document = json.loads(ALL[name]())
    place: Any = document
    for _ in range(data.draw(st.integers(0, 6))):
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        key = data.draw(st.sampled_from(list(keys)))
        if not isinstance(place[key], (dict, list)) or not place[key]:
            break
        place = place[key]
    keys = sorted(place) if isinstance(place, dict) else range(len(place))
    place[data.draw(st.sampled_from(list(keys)))] = data.draw(values)
    try:
        found = read(json.dumps(document))
    except BadInput:
        return
    for one in found.utterances:
        for word in one.words:
            assert word.text.split() == [word.text]
            assert all(isinstance(t, float | None) for t in (word.start, word.end))


@settings(max_examples=200, deadline=None)
@given(
    text=st.text(alphabet="WEBVT0123456789:,.-> <v/>\n\rab&;"),
    head=st.sampled_from(["WEBVTT\n\n", "1\n00:00:01,000 --> 00:00:02,000\n"]),
)
def test_subtitles_of_any_shape_are_read(text: str, head: str) -> None:
    """Nothing in a subtitle file raises."""
    for one in read(head + text).utterances:
        assert all(word.text.split() == [word.text] for word in one.words)


@pytest.mark.parametrize(
    ("label", "role"),
    [("AGENT", "agent"), ("Customer", "customer"), ("agent_2", "agent_2"), ("Caller", "customer"),
     ("Agent 1", "agent"), ("IVR", "system"), ("spk_0", ""), ("Mary Jones", ""), ("", "")],
)  # fmt: skip
def test_role_words(label: str, role: str) -> None:
    """Words for roles are understood; names of people are no roles."""
    assert role_of(label) == role
