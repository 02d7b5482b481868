"""Phone numbers as keys: the number is kept nowhere, and still finds its calls."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quick import hand_in, running, settled

from voice_pipeline.errors import BadInput
from voice_pipeline.phones import KEY, phone_key

SEED = b"s" * 32
NUMBER = "+44 20 7946 0958"  # of a range that is given to nobody


@pytest.mark.parametrize("other", ["0044 20 79460958", "(020) 7946-0958", "+442079460958"])
def test_one_number_has_one_key_however_it_is_written(other: str) -> None:
    """With the calling code of the site, national and international forms are the same."""
    assert phone_key(other, SEED, "44") == phone_key(NUMBER, SEED)
    assert phone_key(NUMBER, b"t" * 32) != phone_key(NUMBER, SEED)


@pytest.mark.parametrize("text", ["", "withheld", "12345", "1" * 30, "+44 20 x", "٠١٢٣٤٥٦٧"])
def test_what_is_no_number_is_refused_and_not_repeated(text: str) -> None:
    """The message says what to hand in."""
    with pytest.raises(BadInput) as raised:
        phone_key(text, SEED)
    assert raised.value.code == "meta"
    assert not text or text not in str(raised.value)


@given(st.from_regex(r"\+?[0-9]{6,20}", fullmatch=True))
def test_a_key_has_no_digits(number: str) -> None:
    """Nothing downstream can take it for a number."""
    assert KEY.fullmatch(phone_key(number, SEED))


def test_calls_from_a_number_are_found_and_erased(tmp_path: Path) -> None:
    """The number is in no file of the data folder; its calls go, others stay."""
    with running(tmp_path / "data") as api, api.client("admin") as admin:
        mine = [hand_in(admin, f"a{n}".encode(), phone=NUMBER) for n in range(2)]
        other = hand_in(admin, b"b", phone="+44 20 7946 0001")
        for call in (*mine, other):
            shown = settled(admin, call)
            assert KEY.fullmatch(shown["metadata"]["phone_key"])
            assert "phone" not in shown["metadata"]
        assert admin.post("/v1/calls", files={"file": ("a.wav", b"x")},
                          data={"metadata": '{"phone": "nobody"}'}).status_code == 422  # fmt: skip
        digits = "".join(sign for sign in NUMBER if sign.isdigit())
        for file in (tmp_path / "data").rglob("*"):
            if file.is_file():
                held = file.read_bytes()
                assert NUMBER.encode() not in held
                assert digits.encode() not in held
        asked = {"phone": "0044 2079460958", "reason": "asks to be forgotten"}
        preview = admin.post("/v1/erasures", json={**asked, "preview": True}).json()
        assert sorted(preview["calls"]) == sorted(mine)
        assert admin.post("/v1/erasures", json=asked).json()["state"] == "done"
        assert [admin.get(f"/v1/calls/{call}").json()["status"] for call in (*mine, other)] == [
            "erased", "erased", "done",
        ]  # fmt: skip
        assert admin.post("/v1/erasures", json=asked).status_code == 404
