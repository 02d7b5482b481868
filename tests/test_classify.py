"""Request types from a file of examples: the command, its CSV, its gates, and what it learnt."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import tiny_bert
from command import run
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_pipeline.cli.classify import Request, fitted
from voice_pipeline.corrections import Corrections
from voice_pipeline.domain import RedactedTurn, Word
from voice_pipeline.embedders import local
from voice_pipeline.errors import BadInput
from voice_pipeline.examples import Example, check_trainable, read_examples
from voice_pipeline.metrics import classification
from voice_pipeline.policy.load import load_pack
from voice_pipeline.spoken import gates
from voice_pipeline.spoken.fewshot import FewShot, _dealt_out, _folds, _ridge, in_words
from voice_pipeline.spoken.synonyms import GROUPS, stem, synonyms

KINDS = load_pack().taxonomy.request_types
EXAMPLES = [(text, kind.label) for kind in KINDS for text in kind.examples]
TRAIN = [one for number, one in enumerate(EXAMPLES) if number % 2]
TEST = [one for number, one in enumerate(EXAMPLES) if not number % 2]
FAR = ["what is the capital of mongolia", "play some jazz please", "how tall is a giraffe",
       "translate good evening into japanese", "who painted the starry night",
       "do dogs dream when they sleep", "tell me a joke about penguins"]  # fmt: skip


@pytest.fixture(scope="module")
def model() -> FewShot:
    return FewShot([text for text, _ in TRAIN], [label for _, label in TRAIN])


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    file = tmp_path / "examples.csv"
    rows = "".join(f'"{text}",{label}\n' for text, label in EXAMPLES[::2])
    file.write_text(f"text,label\n{rows}")
    return file


def lines(*texts: str) -> str:
    return "".join(json.dumps({"id": place, "text": text}) + "\n"
                   for place, text in enumerate(texts))  # fmt: skip


# ------------------------------------------------------------------ the command


def test_classify_answers_in_order_with_label_and_decision(csv: Path) -> None:
    """One line a line: the contract's five keys, sure ones automatic, strange ones for people."""
    done = run("classify", "--examples", csv,
               stdin=lines("i want to cancel my contract please", *FAR[:3]))  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["id"] for answer in answers] == [0, 1, 2, 3]
    assert all(list(answer) == ["id", "label", "confidence", "similarity", "decision"]
               for answer in answers)  # fmt: skip
    assert (answers[0]["label"], answers[0]["decision"]) == ("cancellation", "auto")
    assert all(answer["decision"] == "human" for answer in answers[1:])
    assert "automatic from confidence" in done.stderr


def test_classify_goes_on_after_bad_lines(csv: Path) -> None:
    """A bad line has an error in its place and on stderr; the rest is done; exit 3."""
    bad = ["nonsense", '{"id": 1}', "[]", '{"text": "no id"}', '{"id": 5, "text": 6}', "[" * 90000]
    good = ['{"id": "ü", "text": "where is my parcel"}', '{"id": 8, "text": ""}',
            '{"id": 9, "text": "\\ud800 zzz \\u0000"}']  # fmt: skip
    done = run("classify", "--examples", csv, "--quiet", stdin="\n".join([*bad, "", *good]))
    assert done.returncode == 3
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["id"] for answer in answers] == [None, 1, None, None, 5, None, "ü", 8, 9]
    assert ["error" in answer for answer in answers] == [True] * 6 + [False] * 3
    assert answers[6]["label"] == "delivery_problem"
    assert [answer["decision"] for answer in answers[7:]] == ["human", "human"]
    assert len(done.stderr.splitlines()) == 6
    assert "line 2: needs text" in done.stderr
    assert "Traceback" not in done.stderr


def test_classify_with_a_model_folder(csv: Path, tmp_path: Path) -> None:
    """The folder is used and named; one that is none is misconfigured, exit 4."""
    folder = tiny_bert.build(tmp_path / "tiny")
    model, _ = fitted(Request(csv, embeddings=folder))
    assert "local tiny sha256:" in model.made_by
    done = run("classify", "--examples", csv, "--embeddings", tmp_path / "no", stdin="")
    assert done.returncode == 4
    assert "model_missing" in done.stderr


def test_gates_can_be_given_or_learnt_from_other_texts(csv: Path, tmp_path: Path) -> None:
    """Given gates hold as given; a file to tune on needs 50 texts and known labels."""
    given = fitted(Request(csv, auto_confidence=1.0, auto_similarity=0.1))[1]
    assert (given.confidence, given.similarity) == (1.0, 0.1)
    tune = tmp_path / "tune.csv"
    tune.write_text("where is my parcel then,delivery_problem\n" * 60)
    with pytest.raises(BadInput, match="at least 50") as error:  # sixty times one text is one
        fitted(Request(csv, tune=tune))
    assert error.value.code == "too_few_examples"
    tune.write_text("hello,no_such_type\n")
    with pytest.raises(BadInput, match="row 1 has no example"):
        fitted(Request(csv, tune=tune))
    tune.write_text("".join(f"{text} please,{label}\n" for text, label in TEST if "," not in text))
    chosen = fitted(Request(csv, tune=tune, error_rate=0.02))[1]
    assert chosen.error is not None and chosen.error <= 0.02


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no example"),
        (b"text,label\n\n  \n", "no example"),
        (b"text,label\ni want to pay,payment\n", "one label"),
        (b"a b c,payment\nd e f,payment\n", "one label"),
        (b"i want to pay\nmy parcel\n", "row 1 has no label"),
        (b"text,label\ni want to pay,\n", "row 2 has no label"),
        (b"text,label\n,payment\n", "row 2 has no text"),
        (b"i want, to pay, now,payment\nx,y\n", "in quotes"),
        (b"where is it,a\nWhere is it?,b\n", "two labels in rows 1 and 2"),
        (b"caf\xe9 is late,a\nx,b\n", "line 1 is not UTF-8"),
        (b"a,b\x00\n", "NUL"),
        (b"pay,a\n" + b"x" * 200000 + b",b\n", "no CSV"),
        (b"pay," + b"a" * 300 + b"\nx,b\n", "label has 300"),
    ],
)
def test_examples_that_cannot_be_used(tmp_path: Path, data: bytes, message: str) -> None:
    """Each fault is named with its row and nothing of the text; exit 3."""
    file = tmp_path / "e.csv"
    file.write_bytes(data)
    with pytest.raises(BadInput, match=message) as error:
        check_trainable(read_examples(file), file)
    assert error.value.code == "examples"
    assert "parcel" not in error.value.message


def test_no_examples_file(tmp_path: Path) -> None:
    """A missing file, or a folder, is bad input and no traceback."""
    done = run("classify", "--examples", tmp_path / "no.csv", stdin="")
    assert done.returncode == 3
    assert "not_found" in done.stderr and "Traceback" not in done.stderr
    with pytest.raises(BadInput, match="CSV") as error:
        read_examples(tmp_path)
    assert error.value.code == "unreadable"


@pytest.mark.parametrize(
    "data",
    [
        "text,label\ni want to pay,a\nwhere is it,b\n".encode("utf-8-sig"),
        "text,label\r\ni want to pay,a\r\nwhere is it,b\r\n".encode("utf-16"),
        b"i want to pay,a\nwhere is it,b",
        b"label;note;text\na;;i want to pay\nb;x;where is it\n",
        b"i want to pay\ta\nwhere is it\tb\n",
        b'\n"i want\nto pay",a\n"i want to pay",a\n\n"where is it",b\n',
        b"utterance,intent\ni want to pay,a\nwhere is it,b\n",
        b'"i want; to; pay",a\n"where is it",b\n',
    ],
)
def test_examples_as_spreadsheets_write_them(tmp_path: Path, data: bytes) -> None:
    """BOM, other separators, quotes, order of columns, header or none, repetitions: all read."""
    file = tmp_path / "e.csv"
    file.write_bytes(data)
    assert [example.label for example in read_examples(file)] == ["a", "b"]


# ------------------------------------------------------------------ what it learns


def test_similar_words_are_better_than_the_same_words(model: FewShot) -> None:
    """On the pack's own examples, half to learn and half to test, it beats plain TF-IDF."""
    plain = classification.Plain([text for text, _ in TRAIN], [label for _, label in TRAIN])
    texts, labels = [text for text, _ in TEST], [label for _, label in TEST]
    ours = model.tried(texts, labels).right.mean()
    theirs = np.mean([guess.label for guess in plain.guess(texts)] == np.array(labels))
    assert ours > theirs + 0.04


def test_confidence_is_as_often_right_as_it_says(model: FewShot) -> None:
    """Mean confidence and accuracy agree, on texts left out and on others."""
    for trial in (model.trial(), model.tried(*map(list, zip(*TEST, strict=True)))):
        assert abs(trial.confidence.mean() - trial.right.mean()) < 0.06


def test_what_no_example_is_like_passes_no_gate(model: FewShot) -> None:
    """Texts about something else stay with people, at the default gate."""
    chosen = gates.default(model.trial(), vectors=False)
    assert not [guess for guess in model.guess(FAR)
                if chosen.pass_(guess.confidence, guess.similarity)]  # fmt: skip


def test_trials_are_of_models_that_had_not_seen_the_text() -> None:
    """The closed form gives the very scores that solving anew without a fold gives."""
    draw = np.random.default_rng(0)
    points, answers = draw.normal(size=(30, 12)), draw.choice([-1.0, 1.0], size=(30, 3))
    likeness, penalties = points @ points.T, draw.uniform(0.1, 2.0, 30)
    solved, inverse = _ridge(likeness, answers, penalties)
    folds = np.stack([draw.permutation(28) % 7, draw.permutation(28) % 4])
    folds = np.pad(folds, ((0, 0), (0, 2)), constant_values=-1)  # two names
    left_out = _dealt_out(solved, inverse, answers, folds)
    whole = likeness + np.diag(penalties)
    assert np.allclose(solved, np.linalg.solve(whole, answers))
    for place in range(28):
        scores = []
        for deal in folds:
            rest = np.flatnonzero(deal != deal[place])
            anew = np.linalg.solve(whole[np.ix_(rest, rest)], answers[rest])
            scores.append(likeness[place, rest] @ anew)
        assert np.allclose(np.mean(scores, axis=0), left_out[place])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=2, max_size=60).filter(lambda all_: len({*all_}) > 1))
def test_examples_of_a_label_are_left_out_apart(labels: list[int]) -> None:
    """Every example is in one fold of a deal, those of a label spread evenly, names in none."""
    truth = np.array([*labels, *range(7)])
    for deal in _folds(truth, len(labels)):
        assert (deal[: len(labels)] >= 0).all() and (deal[len(labels) :] == -1).all()
        for label in set(labels):
            shares = np.bincount(deal[: len(labels)][truth[: len(labels)] == label])
            used = shares[shares > 0]
            assert used.max() - used.min() <= 1


def test_same_examples_same_answers_in_any_order() -> None:
    """No chance is in it: order of rows and repetitions change nothing."""
    texts, labels = map(list, zip(*TRAIN, strict=True))
    one = FewShot(texts, labels).guess(["my order is late", "i was charged twice"])
    other = FewShot(texts[::-1] + texts[:9], labels[::-1] + labels[:9]).guess(
        ["my order is late", "i was charged twice"]
    )
    for a, b in zip(one, other, strict=True):
        assert a.label == b.label
        assert a.confidence == pytest.approx(b.confidence, abs=1e-6)


def test_many_examples_are_fitted_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the limit of tuning, a part is tuned on and all are fitted; answers stay the same."""
    texts, labels = map(list, zip(*TRAIN, strict=True))
    exact = FewShot(texts, labels)
    monkeypatch.setattr("voice_pipeline.spoken.fewshot.TUNED_ON", 150)
    monkeypatch.setattr("voice_pipeline.spoken.fewshot.BLOCK", 64)
    blocks = FewShot(texts, labels)
    asked = [text for text, _ in TEST]
    same = [a.label == b.label
            for a, b in zip(exact.guess(asked), blocks.guess(asked), strict=True)]  # fmt: skip
    assert np.mean(same) > 0.9


def test_label_names_count_as_examples() -> None:
    """One example a label, and a text that only the label's name speaks for."""
    model = FewShot(["hello there", "good day to you"], ["cancel_contract", "OpeningHours"])
    assert model.guess(["i must cancel the contract"])[0].label == "cancel_contract"
    assert in_words("OpeningHours.weekend_7") == "opening hours weekend"
    numbered = FewShot(["pay a bill", "lost card"], ["intent_1", "intent_2"])
    assert numbered.guess(["lost my card"])[0].label == "intent_2"


def test_embedder_counts(tmp_path: Path) -> None:
    """With a model folder, similarity is the cosine of its vectors, and made_by names it."""
    embedder = local.create(local.Options(path=tiny_bert.build(tmp_path / "tiny")))
    model = FewShot(["where is my parcel", "card lost"], ["a", "b"], embedder=embedder)
    (guess,) = model.guess(["where is my parcel"])
    assert guess.label == "a"
    assert guess.similarity == pytest.approx(1.0, abs=1e-5)
    assert embedder.made_by in model.made_by


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=30), min_size=2, max_size=8, unique=True), st.text(max_size=40))
def test_any_texts_give_shares_or_a_reason(texts: list[str], asked: str) -> None:
    """Whatever is written in examples and texts, shares add up to one and stay finite."""
    labels = ["one" if place % 2 else "two" for place in range(len(texts))]
    shares, near = FewShot(texts, labels).shares([asked, ""])
    assert np.allclose(shares.sum(axis=1), 1)
    assert ((near >= 0) & (near <= 1)).all()


def test_no_group_of_synonyms_is_lost() -> None:
    """Every word and phrase of the table leads to its group."""
    for line in GROUPS.strip().splitlines():
        name, _, rest = line.partition(":")
        first, *phrases = rest.split("|")
        for words in [*([word] for word in first.split()), *(one.split() for one in phrases)]:
            stems = [stem(part) for word in words for part in word.split("-")]
            assert f"#{name}" in synonyms(stems), words


# ------------------------------------------------------------------ gates


def _trial(confidence: list[float], right: list[bool]) -> gates.Trial:
    return gates.Trial(np.array(confidence), np.array(right), np.full(len(right), 0.9))


def test_gates_keep_the_wanted_error_rate() -> None:
    """The widest range of confidence whose error stays within the rate; none, where none does."""
    sure = [0.99] * 80 + [0.6] * 40
    right = [True] * 80 + [place % 2 == 0 for place in range(40)]
    chosen = gates.learn(_trial(sure, right), 0.06, similarity=0.5)
    assert chosen.error is not None and chosen.error <= 0.06
    assert chosen.automatic is not None and chosen.automatic >= 80 / 120
    strict = gates.learn(_trial(sure, right), 0.02, similarity=0.5)
    assert strict.automatic is not None and 0 < strict.automatic <= chosen.automatic
    none = gates.learn(_trial([0.9] * 60, [False] * 60), 0.05, similarity=0.5)
    assert not none.pass_(1.0, 1.0)
    with pytest.raises(ValueError, match="at least 50"):
        gates.learn(_trial([0.9] * 49, [True] * 49), 0.05, similarity=0.5)


def test_few_examples_get_a_cautious_gate() -> None:
    """With nothing to learn a gate from, confidence must be high."""
    assert gates.default(_trial([0.9] * 9, [True] * 9), vectors=False).confidence == gates.CAUTIOUS


# ------------------------------------------------------------------ the suite


def test_evaluate_classification_states_every_figure(tmp_path: Path) -> None:
    """Accuracy, F1, calibration, coverage and what is wrongly automatic, beside the baseline."""
    records = [{"id": str(place), "text": text, "label": label,
                "split": "train" if place % 2 else "test", "slice": "spoken"}
               for place, (text, label) in enumerate(EXAMPLES)]  # fmt: skip
    records += [{"id": f"o{place}", "text": text, "label": None} for place, text in enumerate(FAR)]
    records += [{"id": "call", "label": "cancellation", "turns": [
        {"speaker": "agent", "text": "how can i help you with your parcel"},
        {"speaker": "customer", "text": "i would like to cancel my membership"}]}]  # fmt: skip
    (tmp_path / "truth.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))
    done = run("evaluate", "classification", "--data", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    found = {figure["name"]: figure for figure in report["figures"]}
    assert found["accuracy"]["value"] > found["accuracy, plain TF-IDF"]["value"]
    assert found["calibration error"]["value"] < 0.12
    assert found["out of scope, wrongly automatic"]["value"] == 0
    assert {"macro F1", "automatic", "automatic and right", "coverage at 94% right"} <= set(found)
    assert all(figure["low"] <= figure["value"] <= figure["high"] for figure in found.values())
    tables = {row["table"] for row in report["rows"]}
    assert tables == {"reliability", "coverage", "slice", "label"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense\n", "line 1"),
        ('{"id": 1, "text": "a"}\n', "line 1"),
        ('{"id": 1, "text": "pay", "label": "a"}\n', "no examples"),
        ('{"text": "pay", "label": "a", "split": "train"}\n', "one label"),
        ('{"text": "pay", "label": "a", "split": "train"}\n'
         '{"text": "lost", "label": "b", "split": "train"}\n{"text": "pay", "label": "a"}\n',
         "no labelled text besides"),
    ],
)  # fmt: skip
def test_truth_that_cannot_be_measured_on(tmp_path: Path, text: str, message: str) -> None:
    """Each fault says which line or what is missing."""
    (tmp_path / "truth.jsonl").write_text(text)
    with pytest.raises(BadInput, match=message):
        classification.evaluate(tmp_path)


def test_calibration_error_and_coverage_by_hand() -> None:
    """Two small cases worked out on paper."""
    found = classification.Answered(
        np.array(["a", "a", "b", "b"]), np.array(["a", "b", "b", "b"]),
        np.array([0.9, 0.9, 0.5, 0.5]), np.array([True, True, False, False]),
    )  # fmt: skip
    assert classification.calibration_error(found) == pytest.approx(0.5 * 0.4 + 0.5 * 0.5)
    assert classification.macro_f1(found) == pytest.approx((2 / 3 + 4 / 5) / 2)
    sure, right = np.array([0.9, 0.8, 0.7]), np.array([True, False, True])
    assert classification.coverage(sure, right, 0.6) == 3
    assert classification.coverage(sure, right, 0.94) == 1


# ------------------------------------------------------------------ corrections


def _turn(text: str, number: int = 1) -> RedactedTurn:
    return RedactedTurn(number, "customer", 0, None, None,
                        tuple(Word(word, None, None) for word in text.split()))  # fmt: skip


def test_a_correction_is_an_example_until_its_call_is_erased(tmp_path: Path) -> None:
    """The next fit knows it, the last word wins, and after erasure nothing of the call is left."""
    kept, now = Corrections(tmp_path / "state" / "corrections.jsonl"), datetime.now(UTC)
    examples = [Example(text, label, row) for row, (text, label) in enumerate(TRAIN)]
    asked = "my flibbertigibbet wants a wingding"

    def label() -> str:
        joined = kept.joined(examples)
        model = FewShot([one.text for one in joined], [one.label for one in joined])
        return model.guess([asked])[0].label

    before = label()
    kept.add("call-1", _turn("the flibbertigibbet has no wingding"), "claim", "ana", now)
    kept.add("call-2", _turn("the flibbertigibbet has no wingding", 4), "refund", "ben", now)
    kept.add("call-1", _turn("The flibbertigibbet has no wingding."), "legal", "ana", now)
    assert [one.author for one in kept] == ["ana", "ben", "ana"]
    assert label() == "legal"
    assert kept.forget("call-1") == 2
    assert label() == "refund"
    assert kept.forget("call-2") == 1
    assert label() == before
    assert kept.forget("call-2") == 0
    assert (tmp_path / "state" / "corrections.jsonl").read_bytes() == b""


def test_corrections_that_cannot_be_kept(tmp_path: Path) -> None:
    """No author, no words, no zone, or a broken line: refused, nothing of the text is named."""
    kept = Corrections(tmp_path / "c.jsonl")
    for text, author, at in (
        ("", "ana", datetime.now(UTC)),
        ("a b", " ", datetime.now(UTC)),
        ("a b", "ana", datetime(2026, 11, 24)),
    ):
        with pytest.raises(BadInput):
            kept.add("call", _turn(text), "claim", author, at)
    (tmp_path / "c.jsonl").write_text('{"call": "secret"}\n')
    with pytest.raises(BadInput, match="line 1") as error:
        list(kept)
    assert "secret" not in error.value.message
