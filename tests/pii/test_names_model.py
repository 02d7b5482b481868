"""The names model: what it adds, what it must leave alone, and what its absence means."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redaction import Redactor, load_policy
from redaction.guessed import guess
from redaction.jsonl import redact_texts
from redaction.language import load_language
from redaction.model import LABELS, Guess, load_names, pieces, spans, window
from redaction.policy import parse_policy
from redaction.tokens import atoms_of, turns_of
from voice_pipeline import catalogue, redactors
from voice_pipeline.errors import Misconfigured

ROOT = Path(__file__).parents[2]
MODEL = catalogue.artefact("names-en")
WITH = {p: Redactor(load_policy(p), names=MODEL) for p in ("precise", "balanced", "paranoid")}
RULES = Redactor(load_policy("balanced"))


def found(redactor: Redactor, *turns: tuple[str, str]) -> list[tuple[str, str]]:
    _, places = redact_texts(list(turns), redactor)
    return [(turns[p["turn"]][1][p["start"] : p["end"]], p["label"]) for p in places]


def said(text: str) -> list[tuple[str, str]]:
    return found(WITH["balanced"], ("customer", text))


@pytest.mark.parametrize(
    ("before", "text", "value", "label"),
    [
        ("", "i was served by karolin vestbrook in your shop", "karolin vestbrook", "PERSON"),
        ("", "please tell tavinder that i called", "tavinder", "PERSON"),
        ("and who else lives there", "just tavinder", "tavinder", "PERSON"),
        ("", "Please ask Ludmirka to ring me back.", "Ludmirka", "PERSON"),
        ("", "you sent it to forty two larkhill instead", "forty two larkhill", "ADDRESS"),
    ],
)
def test_names_that_no_rule_finds(before: str, text: str, value: str, label: str) -> None:
    """A name or address without a lead, a list or a street word is found in its context."""
    turns = [("agent", before), ("customer", text)] if before else [("customer", text)]
    assert (value, label) in found(WITH["balanced"], *turns)
    assert (value, label) not in found(RULES, *turns)


@pytest.mark.parametrize(
    "text",
    [
        "it may have been in march or april",
        "will you mark it as paid please",
        "is there a grace period on my bill",
        "the chase card was declined in paris",
        "to be frank i hope you sue them",
        "my samsung stopped working on tuesday",
        "i rose at dawn and drew a picture",
        "do you deliver to chicago in the summer",
        "we need twenty four chairs and three tables",
        "my name is on the account",
        "I'm very disappointed with the service.",
        "My doctor said no, and the lawyer agreed.",
    ],
)
def test_plain_talk_is_left_alone(text: str) -> None:
    """Words that are also names, months, companies and towns in passing stay in the text."""
    assert said(text) == []


def test_numbers_are_left_to_those_who_read_numbers() -> None:
    """A name never reaches into a number, and no number takes the label of an address."""
    spoken = "my card is four one one one one one one one one one one one one one one one"
    labels = [label for _, label in said(f"{spoken} and my name is karolin")]
    assert labels == ["CARD_NUMBER", "PERSON"]
    lang = load_language("en")
    scene = RULES._scenes(turns_of([("customer", "so it is ottmar 4 4 7 1 2 9 9 0 please")]))[0]

    class All:
        def read(self, turns: list[object], needed: float, wanted: list[int]) -> list[list[Guess]]:
            return [[Guess(3, 12, "ADDRESS", 0.9)] for _ in turns]

    guess([scene], All(), 0.5, lang, weak=False)  # type: ignore[arg-type]
    assert [(span.first, span.last) for span in scene.spans] == [(3, 4)]


def test_profiles_differ_in_what_they_believe() -> None:
    """The paranoid profile takes what balanced doubts; the precise one asks for more."""
    text = "it was summer or will who came"
    kinds = {p: len(found(r, ("customer", text))) for p, r in WITH.items()}
    assert kinds["precise"] <= kinds["balanced"] <= kinds["paranoid"]
    thresholds = [load_policy(p).names_model for p in ("precise", "balanced", "paranoid")]
    assert thresholds == sorted(thresholds, reverse=True)


def test_the_agents_own_first_name_stays() -> None:
    """What an agent calls himself is no customer's data, whoever finds it."""
    turns = [("agent", "thank you for calling my name is ottmar how can i help")]
    assert found(WITH["balanced"], *turns) == []
    assert found(WITH["paranoid"], *turns) == [("ottmar", "PERSON")]


@pytest.mark.parametrize(
    "text",
    [
        "Thanks for calling Brightwater, you're through to Shanice, how can I help?",
        "Welcome to Northgate Pharmacy, Dwayne speaking.",
        "good morning you're through to tavinder at blue co",
    ],
)
def test_agents_name_themselves_in_many_ways(text: str) -> None:
    """The forms in which a call is opened leave the agent's own first name as well."""
    assert found(WITH["balanced"], ("agent", text)) == []


def test_somebody_else_is_not_the_agents_own_name() -> None:
    """A colleague's name is somebody's."""
    text = "I'm putting you through to Shanice in billing"
    assert found(WITH["balanced"], ("agent", text)) == [("Shanice", "PERSON")]


def test_squares_measure() -> None:
    """An area is no address; a square with a name is one."""
    assert said("we can fit 32 square metres of that oak") == []
    assert ("32 castle square", "ADDRESS") in said("I live at 32 castle square")


def test_a_call_reads_the_same_every_time() -> None:
    """Findings depend on the call alone: not on the run, nor on what else is read."""
    turns = [("agent", "who signed for it"), ("customer", "some karolin i think")] * 150
    once, again = found(WITH["balanced"], *turns), found(WITH["balanced"], *turns)
    assert once == again
    assert once[: len(found(WITH["balanced"], *turns[:40]))] == found(WITH["balanced"], *turns[:40])


def test_placeholders_are_no_names() -> None:
    """Text that was redacted before is left as it is."""
    turns = [
        ("agent", "And your address, [PERSON_1]?"),
        ("customer", "surname is [PERSON_2] that's [ADDRESS]"),
    ]
    for redactor in WITH.values():
        _, places = redact_texts(turns, redactor)
        assert "model" not in {place["detector"] for place in places}


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(["call", "Mr", "Ode", "|", "12", "'s", ".", "oak", "lane"]),
                     max_size=12),
            st.lists(st.sampled_from(["is", "Ottmar", "x", "zürich", "000", ",", "road", "i"]),
                     min_size=1, max_size=30),
        ),
        min_size=1, max_size=8,
    )
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_the_quick_reading_is_the_models_own(windows: list[tuple[list[str], list[str]]]) -> None:
    """What NumPy computes for the rows that count is what spaCy computes for all of them."""
    model = load_names(MODEL)
    whole = model.scores([[*before, "|", *own] for before, own in windows])
    quick = model._encoder.read([([*b, "|", *own], len(b) + 1) for b, own in windows])
    for (before, _), slow, fast in zip(windows, whole, quick, strict=True):
        np.testing.assert_allclose(fast, slow[len(before) + 1 :], atol=1e-5)


def test_the_model_forgets_what_customers_said() -> None:
    """Vectors of public words are remembered; a name heard on a call is not, nor does spaCy."""
    public = load_language("en").vocabulary.words
    found(WITH["balanced"], ("customer", "please tell zzyzxwick that I called about the order"))
    model = load_names(MODEL, public)
    assert "order" in model._encoder._known
    assert {word.lower() for word in model._encoder._known} <= public
    assert "zzyzxwick" not in {text.lower() for text in model._nlp.vocab.strings}


def test_a_call_is_not_finished_by_another_redactor(tmp_path: Path) -> None:
    """A plan names policy, model and recognizers; a call is not resumed with others."""
    from voice_pipeline.config import Settings
    from voice_pipeline.kit import Kit

    with Kit(Settings(data=tmp_path)) as kit:
        chosen = dict(kit.store.plan(kit.plan())["redaction"])
    assert chosen["redactor"] == WITH["balanced"].sha256
    assert redactors.planned_redactor(chosen).sha256 == chosen["redactor"]
    chosen["redactor"] = chosen["sha256"]
    with pytest.raises(Misconfigured, match="names model"):
        redactors.planned_redactor(chosen)


def test_the_file_names_the_redactor() -> None:
    """Policy and model together make the hash: a changed model is a new revision."""
    policy = load_policy("balanced")
    assert RULES.sha256 == policy.sha256
    assert WITH["balanced"].sha256 not in (policy.sha256, WITH["paranoid"].sha256)
    assert Redactor(policy, names=MODEL).sha256 == WITH["balanced"].sha256


def test_another_file_is_another_redactor(tmp_path: Path) -> None:
    """One changed byte of the model changes the redactor's hash."""
    other = tmp_path / "names.zip"
    other.write_bytes(MODEL.read_bytes() + b"\0")
    assert Redactor(load_policy("balanced"), names=other).sha256 != WITH["balanced"].sha256


def test_a_policy_can_do_without(tmp_path: Path) -> None:
    """`names_model: off` leaves the rules alone, and the hash is the policy's."""
    path = tmp_path / "policy.yaml"
    path.write_text("id: acme\nversion: 1\nprofile: balanced\nnames_model: off\n")
    redactor = Redactor(load_policy(path), names=MODEL)
    assert redactor.names is None
    assert redactor.sha256 == redactor.policy.sha256


@pytest.mark.parametrize("value", ["yes", True, 0, 1.5, "0.5"])
def test_a_wrong_confidence_is_refused(value: object) -> None:
    """The model's confidence is off, or a number above 0 and at most 1."""
    with pytest.raises(ValueError, match="names_model"):
        parse_policy({"names_model": value, **_balanced()})


def _balanced() -> dict[str, object]:
    return {"id": "x", "version": 1, "profile": "balanced", "digits_without_context": 7,
            "digits_with_context": 2, "threshold": 0.3, "agent_first_name": "keep",
            "references": "keep", "presidio": True}  # fmt: skip


def test_no_file_is_said_at_the_start(tmp_path: Path) -> None:
    """A path without a model is an error before the first call."""
    with pytest.raises(ValueError, match="no names model there"):
        Redactor(load_policy("balanced"), names=tmp_path / "none.zip")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    """What is no names model says so; its content is never run."""
    other = tmp_path / "names.zip"
    other.write_text("not a model")
    command = [sys.executable, "-m", "redaction", "--names", str(other)]
    done = subprocess.run(command, input=b"", capture_output=True, cwd=ROOT)
    assert done.returncode == 4
    assert b"no names model" in done.stderr


def test_the_command_takes_a_model() -> None:
    """`python -m redaction --names FILE` finds what rules alone do not."""
    line = json.dumps({"id": 1, "text": "i was served by karolin vestbrook in your shop"})
    command = [sys.executable, "-m", "redaction"]
    for more, expected in (([], "karolin"), (["--names", str(MODEL)], "[PERSON")):
        done = subprocess.run(
            [*command, *more], input=line, capture_output=True, text=True, cwd=ROOT, check=True
        )
        assert expected in json.loads(done.stdout)["text"]


def test_nothing_is_loaded_before_it_is_needed() -> None:
    """Building a redactor with a model does not import spaCy."""
    code = (
        "import sys; from pathlib import Path; from redaction import Redactor, load_policy\n"
        "Redactor(load_policy('balanced'), names=Path(sys.argv[1]))\n"
        "assert 'spacy' not in sys.modules and 'presidio_analyzer' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(MODEL)], check=True, cwd=ROOT)


def test_without_the_artefact_rules_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """An absent model costs recall, not the run."""
    monkeypatch.setattr(catalogue, "present", lambda name, folder=None: False)
    built = redactors.build_redactor.__wrapped__("balanced")
    assert built.names is None
    assert redactors.names_model("en") is None


def test_doctor_says_what_the_absence_costs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """`doctor` lists the names model, and what it costs not to have it."""
    from voice_pipeline.cli.doctor import run

    monkeypatch.setattr(catalogue, "present", lambda name, folder=None: False)
    run(tmp_path, None, as_json=True)
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert checks["model names-en"]["state"] == "absent"
    assert "names" in checks["model names-en"]["cost"]


def test_a_changed_artefact_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A names model of other bytes than the catalogue's is not loaded."""
    verdict = catalogue.Verdict("names-en", False, "names-en.zip is not the file")
    monkeypatch.setattr(catalogue, "verify", lambda name, folder=None: verdict)
    with pytest.raises(Misconfigured, match="names-en"):
        redactors.build_redactor.__wrapped__("balanced")


def test_tokens_keep_their_words() -> None:
    """Every word of a turn owns a token; tails, punctuation and the turn before own none."""
    before = atoms_of(turns_of([("agent", "And your name?")])[0].words, {})
    atoms = atoms_of(turns_of([("customer", "It's O'Brien's, 42 Elm")])[0].words, {})
    shown = window(before, atoms)
    assert shown.tokens == [
        "And",
        "your",
        "name",
        ".",
        "|",
        "It",
        "'s",
        "O'brien",
        "'s",
        ",",
        "00",
        "Elm",
    ]
    assert [owner for owner in shown.owners if owner >= 0] == list(range(len(atoms)))
    assert pieces(atoms_of(turns_of([("", "JOHN SMITH HERE")])[0].words, {}))[0] == [
        "john", "smith", "here",
    ]  # fmt: skip


def test_spans_grow_to_their_neighbours() -> None:
    """A sure word takes less sure neighbours with it; one kind ends where another begins."""
    atoms = atoms_of(turns_of([("", "so jan kees van elm road")])[0].words, {})
    sure = [(0.0, 0.0), (0.9, 0.0), (0.35, 0.0), (0.1, 0.0), (0.0, 0.7), (0.0, 0.8)]
    assert spans(atoms, sure, 0.6) == [Guess(1, 3, "PERSON", 0.9), Guess(4, 6, "ADDRESS", 0.8)]
    assert spans(atoms, sure, 0.95) == []


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe's folder, importable as when it is run."""
    monkeypatch.syspath_prepend(ROOT / "models/recipes/names")


def test_held_out_frames_take_no_part(recipe: None) -> None:
    """No frame and no name is both learned from and judged by."""
    from generate import Generator

    train, dev = Generator(1, dev=False), Generator(1, dev=True)
    for kind in train.frames:
        assert dev.frames[kind]
        assert not set(train.frames[kind]) & set(dev.frames[kind])
    assert not set(train.given) & set(dev.given)
    assert not set(train.family) & set(dev.family)


def test_examples_are_the_same_for_a_seed(recipe: None) -> None:
    """A seed fixes the data, and every token has a label."""
    from generate import Generator

    once, again = (list(Generator(7, dev=False).examples(200)) for _ in range(2))
    assert once == again
    for example in once:
        assert len(example.tokens) == len(example.labels)
        assert set(example.labels) <= {"", *LABELS}


@pytest.mark.slow
def test_the_recipe_runs(tmp_path: Path) -> None:
    """A few steps of the recipe make a model that loads, the same bytes each time."""
    blobs = []
    for name in ("one.zip", "two.zip"):
        command = [sys.executable, str(ROOT / "models/recipes/names/train.py"), "--steps", "12"]
        subprocess.run(
            [*command, "--out", str(tmp_path / name)], check=True, capture_output=True, cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        blobs.append((tmp_path / name).read_bytes())
    assert blobs[0] == blobs[1]
    assert len(blobs[0]) < 4_000_000
    redactor = Redactor(load_policy("paranoid"), names=tmp_path / "one.zip")
    assert redactor.find(turns_of([("customer", "my name is karolin")]))
