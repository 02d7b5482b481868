"""The vault: held recordings for those who must judge them, with a reason, and on record."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from quick import Running, hand_in, running, settled

from voice_pipeline.access.log import AccessLog
from voice_pipeline.api import vault


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("vault") / "data") as found:
        yield found


def test_a_held_recording_is_opened_with_a_reason(
    api: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compliance hears the original for a quarter of an hour; every step is on record, redacted."""
    with api.client("compliance") as judge, api.client("admin") as admin:
        call = hand_in(admin, b"doubtful original")
        assert settled(admin, call)["status"] == "held"
        url = f"/v1/calls/{call}/vault"
        assert judge.post(url, json={"reason": "no"}).status_code == 422
        assert admin.post(url, json={"reason": "I am curious"}).status_code == 403
        given = judge.post(url, json={"reason": "complaint of John Smith"})
        assert given.status_code == 201
        grant = given.json()["grant"]
        answer = judge.get(f"{url}/audio", params={"grant": grant})
        assert answer.content == b"doubtful original"
        assert answer.headers["cache-control"] == "no-store"
        with api.client("compliance") as other:
            assert other.get(f"{url}/audio", params={"grant": grant}).status_code == 403
        until, _, seal = grant.partition(".")
        for forged in (f"{int(until) + 9}.{seal}", f"{until}.{'0' * 64}", "", "x", "٣.x"):
            assert judge.get(f"{url}/audio", params={"grant": forged}).status_code == 403, forged
        monkeypatch.setattr(vault, "LASTS", -1.0)
        late = judge.post(url, json={"reason": "once more"}).json()["grant"]
        assert judge.get(f"{url}/audio", params={"grant": late}).json()["code"] == "vault_grant"
    store = api.service.kit.store
    rows = AccessLog(store.database, store.signing_seed()).rows(call=call)
    told = [(row.what, row.why) for row, _ in rows if "vault" in row.what]
    assert [what for what, _ in told] == ["vault-grant", "vault-audio", "vault-grant"]
    assert "Smith" not in told[0][1] and "complaint" in told[0][1]


def test_only_held_calls_are_opened(api: Running) -> None:
    """A call that was released has results; its original is nobody's to hear any more."""
    with api.client("compliance") as judge, api.client("admin") as admin:
        call = hand_in(admin)
        settled(admin, call)
        answer = judge.post(f"/v1/calls/{call}/vault", json={"reason": "just to see"})
        assert (answer.status_code, answer.json()["code"]) == (409, "not_held")
        assert judge.post("/v1/calls/none/vault", json={"reason": "x" * 9}).status_code == 404
    with api.client("compliance", tenant="other") as stranger:
        answer = stranger.post(f"/v1/calls/{call}/vault", json={"reason": "x" * 9})
        assert answer.status_code == 404
