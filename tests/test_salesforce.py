"""Salesforce, as its guide documents it: one record a call, the right customer, tokens renewed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from salesforce_server import CLIENT, QUERY, SECRET, USER, Salesforce, error, text_field
from targets import Told

from voice_pipeline.adapters import load
from voice_pipeline.config import Settings
from voice_pipeline.connectors._crm import cut
from voice_pipeline.connectors._salesforce import quoted
from voice_pipeline.connectors.salesforce import Options, SalesforceConnector, create
from voice_pipeline.delivery.targets import Targets
from voice_pipeline.errors import Misconfigured, Permanent, PipelineError, Retryable
from voice_pipeline.testing import connector_contract, parcel

FIELDS = {"Subject": "Call", "Description": "A parcel is late.", "Status": "Completed"}


@pytest.fixture
def org() -> Iterator[Salesforce]:
    with Salesforce() as found:
        found.only = lambda asked: asked.path != "/services/oauth2/token"
        yield found


def connector(org: Salesforce, **options: Any) -> SalesforceConnector:
    given = {
        "client_id": CLIENT, "client_secret": "env:SF", "secret": {"env:SF": SECRET}.__getitem__,
        "private": True, "timeout": 2,
    }  # fmt: skip
    return create(Options(**{"url": org.url} | given | options))


def note(key: str = "k", call: str = "c", **other: Any) -> Any:
    return parcel(key, call, **{"fields": FIELDS} | other)


def task(org: Salesforce) -> dict[str, Any]:
    (record,) = org.records["Task"]
    return record


def with_contract_fields(org: Salesforce) -> Salesforce:
    org.fields["Task"] |= {"subject": text_field(255), "text": text_field(32000)}
    return org


@pytest.mark.parametrize("revision_field", [None, "Revision__c"])
def test_it_keeps_the_contract(org: Salesforce, revision_field: str | None) -> None:
    """One record a call, whether or not it keeps the revision's key."""
    with_contract_fields(org)
    connector_contract(lambda: connector(org, revision_field=revision_field))
    assert len(org.records["Task"]) == 2


def test_a_later_revision_leaves_alone_what_people_change(org: Salesforce) -> None:
    """The text is brought up to date; a status that somebody has set since stays."""
    first = connector(org).deliver(note())
    task(org)["Status"] = "In Progress"
    later = note("k2", number=2, record=first.external_id, fields=FIELDS | {"Description": "New."})
    connector(org).deliver(later)
    assert task(org)["Status"] == "In Progress" and task(org)["Description"] == "New."


@pytest.mark.parametrize("lost", [Told(drop=True), Told(500), Told(503), Told(200, b"<html>")],
                         ids=["cut", "500", "503", "html"])  # fmt: skip
def test_an_answer_lost_after_the_write_makes_no_second_record(org: Salesforce, lost: Told) -> None:
    """Salesforce has committed, we never heard: the retry finds and changes the same record."""
    org.after = [lost]
    with pytest.raises(Retryable):
        connector(org).deliver(note())
    receipt = connector(org).deliver(note(first_try=False))
    assert receipt.external_id == task(org)["Id"]


def test_an_answer_that_comes_too_late_makes_no_second_record(org: Salesforce) -> None:
    """Salesforce takes the note and answers after we have given up waiting."""
    org.after = [Told(201, delay=1.5)]
    with pytest.raises(Retryable) as told:
        connector(org, timeout=0.75).deliver(note())
    assert told.value.code == "no_answer"
    assert connector(org).deliver(note(first_try=False)).external_id == task(org)["Id"]


def test_many_workers_on_one_call_make_one_record(org: Salesforce) -> None:
    """One token, one record, however many threads share a connector."""
    target = connector(org)
    with ThreadPoolExecutor(8) as pool:
        receipts = set(pool.map(lambda _: target.deliver(note()), range(24)))
    assert len(receipts) == 1 and task(org) and org.issued == 1


def test_a_race_of_two_inserts_ends_in_one_record(org: Salesforce) -> None:
    """DUPLICATE_VALUE means that somebody else was first; it is written once more, as a change."""
    org.before = [error(400, "DUPLICATE_VALUE", ["Voice_Pipeline_Call__c"])]
    assert connector(org).deliver(note()).external_id == task(org)["Id"]
    org.before = [error(400, "DUPLICATE_VALUE")] * 2
    with pytest.raises(Permanent, match="DUPLICATE_VALUE"):
        connector(org).deliver(note("k2", "c2"))


def test_expired_tokens_are_renewed_once(org: Salesforce) -> None:
    """A session that ran out costs one request more; one that is refused anew is a setting."""
    target = connector(org)
    target.deliver(note())
    org.tokens.clear()
    target.deliver(note("k2", "c2"))
    assert org.issued == 2 and len(org.records["Task"]) == 2
    org.before = [error(401, "INVALID_SESSION_ID")] * 2
    with pytest.raises(Misconfigured) as told:
        target.deliver(note("k3", "c3"))
    assert told.value.code == "target_denied" and org.issued == 3


def test_one_new_token_serves_all_workers(org: Salesforce) -> None:
    """Eight find at once that the session has run out: one of them asks, the others take that."""
    target = connector(org)
    target.deliver(note("k0", "c0"))
    org.tokens.clear()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: target.deliver(note(f"k{n}", f"c{n}")), range(1, 33)))
    assert org.issued == 2 and len(org.records["Task"]) == 33


def test_wrong_credentials_are_said_without_them(org: Salesforce) -> None:
    """A wrong or withdrawn secret pauses the target; nobody reads it, or what the server wrote."""
    target = connector(org, secret=lambda _: "withdrawn secret")
    with pytest.raises(Misconfigured) as told:
        target.deliver(note())
    assert told.value.code == "target_denied" and "invalid_client" in str(told.value)
    assert "withdrawn" not in str(told.value) and "Invented" not in str(told.value)
    (seen,) = target.check()
    assert not seen.good and seen.what == "credentials"


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (Told(400, {"error": "unknown_error"}), Retryable, "target_failed"),
        (Told(200, {"access_token": "two\r\nlines"}), Retryable, "bad_answer"),
        (Told(200, b"<html>"), Retryable, "bad_answer"),
        (Told(403, b"<html>"), Misconfigured, "target_denied"),
        (Told(503), Retryable, "target_busy"),
    ],
)
def test_a_token_that_does_not_come(
    org: Salesforce, answer: Told, kind: type[PipelineError], code: str
) -> None:
    """Whether to wait or to look at the settings is told apart here as well."""
    org.only = lambda _: True
    org.before = [answer]
    with pytest.raises(kind) as told:
        connector(org).deliver(note())
    assert told.value.code == code and not org.records["Task"]


def test_a_key_signs_in_place_of_a_secret(tmp_path: Path) -> None:
    """The JWT bearer flow: the private key never leaves, another key is refused."""
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (tmp_path / "key.pem").write_bytes(pem)
    signing = {"client_secret": None, "user": USER, "private_key": tmp_path / "key.pem"}
    with Salesforce(public.decode()) as org:
        connector(org, **signing).deliver(note())
        assert task(org)
    with Salesforce() as other, pytest.raises(Misconfigured):
        connector(other, **signing).deliver(note())
    (tmp_path / "key.pem").write_text("no key")
    with pytest.raises(Misconfigured) as told:
        connector(org, **signing)
    assert told.value.code == "key_file"


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (error(403, "REQUEST_LIMIT_EXCEEDED"), Retryable, "target_busy"),
        (error(400, "UNABLE_TO_LOCK_ROW"), Retryable, "target_failed"),
        (Told(429, headers={"Retry-After": "9"}), Retryable, "target_busy"),
        (error(403, "INSUFFICIENT_ACCESS"), Misconfigured, "target_field"),
        (error(403, "SOMETHING_NEW"), Misconfigured, "target_denied"),
        (error(400, "INVALID_FIELD", ["No__c"]), Misconfigured, "target_field"),
        (error(400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", ["Subject"]), Permanent, "target_refused"),
        (error(400, "FIELD_INTEGRITY_EXCEPTION", ["WhoId"]), Permanent, "target_refused"),
        (error(400, "DUPLICATES_DETECTED"), Permanent, "target_refused"),
        (error(400, "Ada Invented", ["12 Example Road"]), Permanent, "target_refused"),
        (Told(400, b"Ada Invented"), Permanent, "target_refused"),
        (Told(404, b"[]"), Permanent, "target_refused"),
        (Told(201, b"{}"), Retryable, "bad_answer"),
        (Told(201, {"id": "Ada Invented"}), Retryable, "bad_answer"),
        (Told(302, headers={"Location": "/"}), Misconfigured, "target_moved"),
    ],
)
def test_each_error_says_who_has_to_act(
    org: Salesforce, answer: Told, kind: type[PipelineError], code: str
) -> None:
    """Codes and fields are named; what Salesforce wrote, with customers' values, never is."""
    org.before = [answer]
    with pytest.raises(kind) as told:
        connector(org).deliver(note())
    assert told.value.code == code
    assert "Invented" not in str(told.value) and "Example Road" not in str(told.value)


def test_two_records_of_one_call_are_left_to_people(org: Salesforce) -> None:
    """Where the field is not unique and somebody copied a record, none of the two is changed."""
    for _ in range(2):
        org.add("Task", "00T", Voice_Pipeline_Call__c="c", Subject="kept")
    with pytest.raises(Permanent, match="unique"):
        connector(org).deliver(note())
    assert {one["Subject"] for one in org.records["Task"]} == {"kept"}


# ---------------------------------------------------------------- the customer


MATCHING = {"match_by": {"customer_ref": "No__c", "phone_hash": "Phone_Hash__c"},
            "known": {"name": "Name", "postcode": "MailingPostalCode"}}  # fmt: skip


def test_the_customer_is_found_and_linked(org: Salesforce) -> None:
    """By reference, else by the hash of the phone; what is known of them can be compared."""
    ada = org.add("Contact", No__c="A-1", Name="Ada Invented", MailingPostalCode="XX1 1XX")
    ben = org.add("Contact", Phone_Hash__c="f00d", Name="Ben Invented")
    target = connector(org, **MATCHING)
    one = target.match(note(metadata={"customer_ref": "A-1"}))
    assert (one.found, one.customer) == ("one", ada)
    assert one.known == {"name": "Ada Invented", "postcode": "XX1 1XX"}
    assert "A-1" not in one.how and one.how == "by customer_ref in Contact.No__c"
    other = target.match(note(metadata={"customer_ref": "A-9", "phone_hash": "f00d"}))
    assert other.customer == ben and other.known == {"name": "Ben Invented"}
    target.deliver(note(customer=ada))
    assert task(org)["WhoId"] == ada
    connector(org, object="Case", **MATCHING).deliver(note(customer=ada))
    assert org.records["Case"][0]["ContactId"] == ada


def test_several_customers_are_not_guessed_at(org: Salesforce) -> None:
    """Two of one reference: a person decides. Case alone differs: the one to the letter."""
    first = org.add("Contact", No__c="ab-1")
    org.add("Contact", No__c="AB-1")
    target = connector(org, **MATCHING)
    assert target.match(note(metadata={"customer_ref": "ab-1"})).customer == first
    assert target.match(note(metadata={"customer_ref": "Ab-1"})).found == "several"
    assert target.match(note()).found == "none"


@pytest.mark.parametrize(
    "reference",
    ["' OR Name != '", "\\' OR Id != null --", "x\\", "'; DELETE FROM Contact; --", "%", "O'Neil",
     "a b", "ünï😀", "\u202eA-1", "A-1\n", "\x00", "x" * 300, "{{ 7*7 }}", "<b>"],
)  # fmt: skip
def test_references_cannot_ask_for_somebody_else(org: Salesforce, reference: str) -> None:
    """Quotes, backslashes, wildcards: at most the customer who has just this reference."""
    ada = org.add("Contact", No__c="A-1")
    neil = org.add("Contact", No__c="O'Neil")
    found = connector(org, **MATCHING).match(note(metadata={"customer_ref": reference}))
    assert found.customer == {"A-1\n": ada, "O'Neil": neil}.get(reference)


@given(st.text(max_size=40))
def test_a_quoted_text_never_leaves_its_quotes(text: str) -> None:
    """Whatever a reference holds, the query has one condition."""
    query = f"SELECT Id FROM Contact WHERE No__c = {quoted(text)} LIMIT 5"
    parsed = QUERY.fullmatch(query)
    assert parsed and re.sub(r"\\(.)", r"\1", parsed[4], flags=re.DOTALL) == text


# ---------------------------------------------------------------- fields


def test_hostile_texts_arrive_as_they_are(org: Salesforce) -> None:
    """Emoji, right-to-left, HTML: kept to the letter; the target shows them as text."""
    text = "😀 \u202eעברית <script>alert(1)</script> '; DROP TABLE--\n{!$User.Id}"
    connector(org).deliver(note(fields={"Description": text}))
    assert task(org)["Description"] == text
    connector(org).deliver(note(fields={"Description": "\ud800 lone"}))
    assert task(org)["Description"] == "? lone"


def test_ten_megabytes_are_cut_to_what_the_field_takes(org: Salesforce) -> None:
    """By the standard lengths; by the org's own where somebody made a field shorter."""
    text = "😀" * (5 << 19)
    connector(org).deliver(note(fields=FIELDS | {"Description": text}))
    assert task(org)["Description"].endswith("😀…")
    org.fields["Task"]["Description"]["length"] = 100
    target = connector(org)
    target.deliver(note(fields=FIELDS | {"Description": text}))
    assert len(task(org)["Description"]) == 50
    assert target.traits.limits["Description"] == 100


@given(st.text(), st.integers(1, 30))
def test_a_cut_text_fits_and_says_that_it_was_cut(text: str, most: int) -> None:
    """Never longer than the field, never half an emoji, unchanged where it fits."""
    short = cut(text, most)
    units = len(short.encode("utf-16-le", "replace")) // 2
    assert units <= most
    assert short == text or (short.endswith("…") and text.startswith(short[:-1]))


def test_calls_of_any_name_stay_in_their_place(org: Salesforce) -> None:
    """An id with a slash or a space is one external id, not another path."""
    connector(org).deliver(note(call="a/../b c?x=1'"))
    assert task(org)["Voice_Pipeline_Call__c"] == "a/../b c?x=1'"


def test_a_check_names_each_field_that_does_not_fit(org: Salesforce) -> None:
    """Before the first note: what is missing, read-only, or not an external id."""
    assert all(one.good for one in connector(org, **MATCHING).check())
    org.fields["Task"]["Voice_Pipeline_Call__c"]["unique"] = False
    org.fields["Task"]["Status"]["updateable"] = False
    del org.fields["Contact"]["Phone_Hash__c"]
    bad = [one for one in connector(org, mapped=["Status", "No_Such__c"], **MATCHING).check()
           if not one.good]  # fmt: skip
    assert [one.what for one in bad] == [
        "field Task.Voice_Pipeline_Call__c", "field Task.Status", "field Task.No_Such__c",
        "field Contact.Phone_Hash__c",
    ]  # fmt: skip
    assert not all(one.good for one in connector(org, object="Nothing__c").check())
    assert not org.records["Task"], "a check writes nothing"


def test_a_check_looks_at_the_fields_of_ones_own_mapping(
    org: Salesforce, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misspelt field of the mapping is found before a note stops at it."""
    monkeypatch.setenv("SF", SECRET)
    (tmp_path / "crm.yaml").write_text("Subject: Call\nSubjetc__c: Call\n")
    options = {"url": org.url, "private": True, "client_id": CLIENT, "client_secret": "env:SF"}
    settings = Settings.model_validate(
        {"targets": {"crm": {"use": "salesforce", "options": options,
                             "mapping": tmp_path / "crm.yaml"}}}
    )  # fmt: skip
    checks = Targets(settings).get("crm").connector.check()
    assert [one.what for one in checks if not one.good] == ["field Task.Subjetc__c"]


def test_a_preview_is_what_is_sent(org: Salesforce) -> None:
    """Byte for meaning; nothing was asked, and no token is shown."""
    target = connector(org, revision_field="Revision__c")
    (shown,) = target.preview(note())
    assert not org.asked
    target.deliver(note())
    sent = org.asked[-1]
    assert shown.url == org.url + sent.path and json.loads(shown.body) == sent.json
    assert "token" not in str(shown)


def test_a_tests_record_is_taken_away(org: Salesforce) -> None:
    """`targets test` leaves nothing, or names what it left."""
    target = connector(org)
    receipt = target.deliver(note(test=True))
    target.remove(receipt)
    target.remove(receipt)
    assert not org.records["Task"]
    org.before = [error(403, "INSUFFICIENT_ACCESS_OR_READONLY")]
    with pytest.raises(Permanent, match=receipt.external_id) as told:
        target.remove(receipt)
    assert told.value.code == "not_removed"


@pytest.mark.parametrize(
    "options",
    [
        {"client_secret": None},
        {"private_key": "key.pem"},
        {"object": "Task WHERE"},
        {"external_id": "a/b"},
        {"object": "Thing__c", "match_by": {"customer_ref": "No__c"}},
        {"api_version": "62"},
        {"url": "https://user:secret@example.com"},
        {"client_secret": SECRET},
    ],
)
def test_settings_that_do_not_fit_are_refused(options: dict[str, Any]) -> None:
    """At start-up, with the option's name and without its value."""
    given = {"url": "https://example.com", "client_id": CLIENT, "client_secret": "env:SF"}
    with pytest.raises(Misconfigured) as told:
        load("connectors", "salesforce").build(given | options, offer={"secret": str})
    assert SECRET not in str(told.value)


def test_an_older_version_that_names_no_id_is_asked_for_it(org: Salesforce) -> None:
    """204 without a body: the record is looked up by its external id."""
    org.after = [Told(204)]
    assert connector(org).deliver(note()).external_id == task(org)["Id"]


def test_a_private_address_is_refused_unless_allowed(org: Salesforce) -> None:
    """A target's URL cannot lead into the house by mistake."""
    with pytest.raises(Misconfigured) as told:
        connector(org, private=False)
    assert told.value.code == "target_address"
    other = connector(org, url="https://127.0.0.1:1", private=False)
    with pytest.raises(Misconfigured) as told:
        other.deliver(replace(note(), first_try=False))
    assert told.value.code == "target_address"
