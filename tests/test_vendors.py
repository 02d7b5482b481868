"""HubSpot, Zendesk, ServiceNow as their references document them: once, inside, or said why not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from targets import Target, Told
from vendor_servers import TOKEN, Hubspot, Servicenow, Zendesk

from voice_pipeline.adapters import load
from voice_pipeline.config import NOTE_FIELDS
from voice_pipeline.delivery.mapping import NAMES, Mapped
from voice_pipeline.errors import Misconfigured, Permanent, PipelineError, Retryable
from voice_pipeline.ports import Connector
from voice_pipeline.testing import connector_contract, parcel

SERVERS: dict[str, Callable[[], Any]] = {
    "hubspot": Hubspot, "zendesk": Zendesk, "servicenow": Servicenow,
}  # fmt: skip
OPTIONS: dict[str, dict[str, Any]] = {
    "hubspot": {"token": "env:T", "match_by": {"customer_ref": "customer_no"},
                "known": {"name": "firstname", "postcode": "zip"}},
    "zendesk": {"user": "agent@example.com", "token": "env:T", "match_by": "customer_ref",
                "known": {"name": "name"}},
    "servicenow": {"user": "integration", "password": "env:T",
                   "match_by": {"customer_ref": "employee_number"}, "known": {"name": "name"}},
}  # fmt: skip
TEXT = {"hubspot": "content", "zendesk": "comment", "servicenow": "description"}


@pytest.fixture(params=list(SERVERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(name: str) -> Iterator[Any]:
    with SERVERS[name]() as found:
        yield found


def connector(name: str, server: Target, **other: Any) -> Any:
    given = {"url": server.url, "private": True, "timeout": 2} | OPTIONS[name] | other
    return load("connectors", name).build(given, offer={"secret": {"env:T": TOKEN}.__getitem__})


def note(name: str, key: str = "k", call: str = "c", text: str = "Late.", **other: Any) -> Any:
    return parcel(key, call, **{"fields": {TEXT[name]: text}} | other)


def kept(name: str, server: Any) -> list[str]:
    """The texts that the target has, one a write that shows."""
    if name == "zendesk":
        return [one["body"].partition("\n\n[voice-pipeline ")[0] for one in server.comments()]
    return [one[TEXT[name]] for one in server.records]


def test_each_keeps_the_contract(name: str, server: Any) -> None:
    """One record a call, a later revision on the same record."""
    connector_contract(lambda: connector(name, server))
    assert len(server.records) == 2
    if name == "zendesk":
        assert len(server.comments()) == 3, "a revision is one more comment, and only one"


def test_an_answer_that_comes_too_late_writes_nothing_twice(name: str, server: Any) -> None:
    """The target takes the note and answers after we have given up waiting."""
    server.only = lambda asked: asked.method == "POST"
    server.after = [Told(201, delay=1.5)]
    with pytest.raises(Retryable) as told:
        connector(name, server, timeout=0.75).deliver(note(name))
    assert told.value.code == "no_answer"
    connector(name, server).deliver(note(name, first_try=False))
    assert len(server.records) == len(kept(name, server)) == 1


def test_traits_say_that_none_was_run_live(name: str, server: Any) -> None:
    """Whoever chooses one knows what was tried and what was not."""
    made: Connector = connector(name, server)
    assert made.traits.live is False and made.traits.scopes and made.traits.matches
    assert TEXT[name] in made.traits.mapping and not server.asked


@pytest.mark.parametrize("kind", ["salesforce", *SERVERS])
@pytest.mark.parametrize("request_type", [None, {"label": "billing_dispute"}])
def test_the_mapping_that_each_brings_makes_fields_of_any_note(
    kind: str, request_type: Any
) -> None:
    """Without a mapping of one's own, and for a call of which nothing could be said."""
    options = {"salesforce": {"client_id": "x", "client_secret": "env:T"}} | OPTIONS
    given = {"url": "https://example.com"} | options[kind]
    traits = load("connectors", kind).build(given, offer={"secret": lambda _: TOKEN}).traits
    values = dict.fromkeys(NAMES) | {"note": {"request_type": request_type}, "call": "c"}
    fields = Mapped(traits.mapping, NOTE_FIELDS, traits.limits).fields(values | {"text": "Late."})
    assert "Late." in fields.values()
    assert ("Call: billing dispute" if request_type else "Call: note") in fields.values()


@pytest.mark.parametrize("lost", [Told(drop=True), Told(500), Told(502), Told(200, b"<html>")],
                         ids=["cut", "500", "502", "html"])  # fmt: skip
@pytest.mark.parametrize("number", [1, 2])
def test_an_answer_lost_after_the_write_writes_nothing_twice(
    name: str, server: Any, lost: Told, number: int
) -> None:
    """The target has committed and we never heard: new records and later revisions alike."""
    record = None
    if number == 2:
        record = connector(name, server).deliver(note(name, "k0")).external_id
    server.only = lambda asked: asked.method in ("POST", "PUT", "PATCH")
    server.after = [lost]
    one = note(name, number=number, record=record)
    with pytest.raises(Retryable):
        connector(name, server).deliver(one)
    receipt = connector(name, server).deliver(replace(one, first_try=False))
    assert len(server.records) == 1
    if record is not None:
        assert receipt.external_id == record
    assert len(kept(name, server)) == (number if name == "zendesk" else 1)


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [(401, Misconfigured, "target_denied"), (403, Misconfigured, "target_denied"),
     (429, Retryable, "target_busy"), (500, Retryable, "target_failed"),
     (503, Retryable, "target_busy"), (504, Retryable, "target_unreachable"),
     (302, Misconfigured, "target_moved")],
)  # fmt: skip
def test_each_status_says_who_has_to_act(
    name: str, server: Any, status: int, kind: type[PipelineError], code: str
) -> None:
    """Wait or look at the settings; nothing of what the vendor wrote is repeated."""
    server.before = [Told(status, {"message": "Ada Invented"}, {"Retry-After": "3"})]
    with pytest.raises(kind) as told:
        connector(name, server).deliver(note(name))
    assert told.value.code == code and "Invented" not in str(told.value)
    assert not server.records


@pytest.mark.parametrize("body", [b"", b"[]", b'{"results":[{}],"ticket":{},"result":{}}',
                                  b'{"results":[{"id":"a/b"}],"ticket":{"id":true}}'])  # fmt: skip
def test_wrong_json_is_no_receipt(name: str, server: Any, body: bytes) -> None:
    """An answer without a record's name is tried again, and never guessed at."""
    server.only = lambda asked: asked.method == "POST"
    server.before = [Told(200, body)]
    with pytest.raises((Retryable, Misconfigured)) as told:
        connector(name, server).deliver(note(name))
    assert told.value.code in ("bad_answer", "target_field")


def test_a_withdrawn_token_pauses_the_target(name: str, server: Any) -> None:
    """401 is for people, before and at the first note; the token is in no message."""
    adapter = load("connectors", name)
    given = {"url": server.url, "private": True} | OPTIONS[name]
    made = adapter.build(given, offer={"secret": lambda _: "withdrawn"})
    with pytest.raises(Misconfigured) as told:
        made.deliver(note(name))
    assert told.value.code == "target_denied" and "withdrawn" not in str(told.value)
    assert not all(one.good for one in made.check())
    with pytest.raises(Misconfigured) as told:
        adapter.build(given | {"token": TOKEN, "password": TOKEN})
    assert TOKEN not in str(told.value)


def test_a_private_address_is_refused_unless_allowed(name: str, server: Any) -> None:
    """As for every target."""
    with pytest.raises(Misconfigured) as told:
        connector(name, server, url="https://127.0.0.1:1", private=False).deliver(note(name))
    assert told.value.code == "target_address"


@pytest.mark.parametrize(
    "text", ["😀 \u202eעברית", "<script>alert(1)</script>", "'; DROP TABLE x;-- ^ORsys_id!="]
)
def test_hostile_texts_arrive_as_they_are(name: str, server: Any, text: str) -> None:
    """Kept to the letter."""
    connector(name, server).deliver(note(name, text=text))
    assert kept(name, server) == [text]


def test_ten_megabytes_are_cut_to_what_the_field_takes(name: str, server: Any) -> None:
    """The note is in the target, shorter, and says that it was cut."""
    made = connector(name, server)
    made.deliver(note(name, text="ü" * (5 << 20)))
    (text,) = kept(name, server)
    assert len(text) == made.traits.limits[TEXT[name]] and text.endswith("…")


def customer(name: str, server: Any, reference: str) -> str:
    if name == "hubspot":
        return str(server.add(customer_no=reference, firstname="Ada", zip="XX1"))
    if name == "servicenow":
        return str(server.add(employee_number=reference, name="Ada"))
    server.users.append({"id": 70 + len(server.users), "external_id": reference, "name": "Ada"})
    return str(server.users[-1]["id"])


def test_the_customer_is_found_and_named_on_the_record(name: str, server: Any) -> None:
    """By reference; several are not guessed at."""
    ada = customer(name, server, "A-1")
    made = connector(name, server)
    one = note(name, metadata={"customer_ref": "A-1"})
    found = made.match(one)
    assert (found.found, found.customer, found.known["name"]) == ("one", ada, "Ada")
    assert "A-1" not in found.how and found.how.startswith("by ")
    made.deliver(replace(one, customer=found.customer))
    if name == "hubspot":
        assert {other for _, other in server.links} == {ada}
    else:
        field = {"zendesk": "requester_id", "servicenow": "caller_id"}[name]
        assert str(server.records[0][field]) == ada
    customer(name, server, "A-1")
    assert made.match(one).found == "several"
    nobody = made.match(note(name))
    assert nobody.found == "none" and "customer_ref" in nobody.how


@pytest.mark.parametrize(
    "reference",
    ["' OR '1'='1", "x^ORsys_idISNOTEMPTY", "javascript:gs.getUserID()", "*", "%", "\\", "a b",
     "\u202eA-1", "\x00", "x" * 300, '" OR role:admin'],
)  # fmt: skip
def test_references_cannot_ask_for_somebody_else(name: str, server: Any, reference: str) -> None:
    """At most the customer who has just this reference, and that is nobody."""
    customer(name, server, "A-1")
    made = connector(name, server)
    assert made.match(note(name, metadata={"customer_ref": reference})).found == "none"
    assert not server.asked or (reference.isprintable() and len(reference) <= 255)


def test_previews_and_checks_change_nothing(name: str, server: Any) -> None:
    """What is shown is what is sent; secrets are left out."""
    made = connector(name, server)
    assert all(one.good for one in made.check()) and not server.records
    server.asked.clear()
    shown = made.preview(note(name))[0]
    assert not server.asked and TOKEN not in str(shown)
    made.deliver(note(name))
    sent = next(asked for asked in server.asked if asked.method == "POST")
    assert json.loads(shown.body) == sent.json and shown.url == server.url + sent.path


def test_a_tests_record_is_taken_away(name: str, server: Any) -> None:
    """`targets test` leaves nothing, or names what it left."""
    made = connector(name, server)
    receipt = made.deliver(note(name, test=True))
    server.before = [Told(403)]
    with pytest.raises(Permanent, match=receipt.external_id) as told:
        made.remove(receipt)
    assert told.value.code == "not_removed"
    made.remove(receipt)
    made.remove(receipt)
    assert not server.records


def test_what_people_set_stays(name: str, server: Any) -> None:
    """A status, a stage, a queue that somebody chose is not set back by a later revision."""
    field = {"hubspot": "hs_pipeline_stage", "zendesk": "status", "servicenow": "state"}[name]
    fields = {TEXT[name]: "Late.", field: "1"}
    made = connector(name, server)
    first = made.deliver(note(name, fields=fields))
    server.records[0][field] = "7"
    made.deliver(note(name, "k2", number=2, record=first.external_id, fields=fields))
    assert server.records[0][field] == "7"


def test_a_record_that_was_forgotten_is_found_by_its_call(name: str, server: Any) -> None:
    """A later revision whose record nobody remembers here still changes the call's own."""
    made = connector(name, server)
    first = made.deliver(note(name))
    assert made.deliver(note(name, "k2", number=2)).external_id == first.external_id
    assert len(server.records) == 1


# ---------------------------------------------------------------- each one's own


def test_hubspot_names_what_is_wrong_with_its_properties() -> None:
    """A property that is not there is a setting; a value that is refused is of this note."""
    with Hubspot() as server:
        made = connector("hubspot", server, mapped=["content", "nothing"])
        server.properties["tickets"]["voice_pipeline_call"]["hasUniqueValue"] = False
        assert [one.what for one in made.check() if not one.good] == [
            "property tickets.voice_pipeline_call", "property tickets.nothing",
        ]  # fmt: skip
        with pytest.raises(Misconfigured, match="PROPERTY_DOESNT_EXIST"):
            made.deliver(note("hubspot", fields={"nothing": "x"}))
        for status, kind in ((400, Permanent), (409, Retryable), (404, Misconfigured)):
            server.before = [Told(status, {"category": "Ada Invented", "errors": [7]})]
            with pytest.raises(kind) as told:
                made.deliver(note("hubspot"))
            assert "Invented" not in str(told.value)


def test_hubspots_search_is_not_believed_where_it_finds_somebody_else() -> None:
    """An answer for another reference is nobody."""
    with Hubspot() as server:
        other = [{"id": "7", "properties": {"customer_no": "A-2"}}]
        server.before = [Told(200, {"total": 1, "results": other})]
        found = connector("hubspot", server).match(note("hubspot", metadata={"customer_ref": "A"}))
        assert found.found == "none"


def test_hubspot_keeps_the_contract_with_a_revision_property() -> None:
    """Then a write can be looked up by another process."""
    with Hubspot() as server:
        connector_contract(lambda: connector("hubspot", server, revision_property="revision"))


def test_zendesk_comments_are_internal() -> None:
    """Customers get no mail and see nothing; new tickets and later revisions alike."""
    with Zendesk() as server:
        made = connector("zendesk", server)
        first = made.deliver(note("zendesk", fields={"comment": "a", "subject": "s", "360": "x"}))
        made.deliver(note("zendesk", "k2", number=2, record=first.external_id))
        assert [one["public"] for one in server.comments()] == [False, False]
        assert server.records[0]["custom_fields"] == [{"id": 360, "value": "x"}]
        server.role = "end-user"
        assert not made.check()[0].good


def test_zendesk_finds_a_write_many_pages_back() -> None:
    """A busy ticket has more audits than one page."""
    with Zendesk() as server:
        made = connector("zendesk", server)
        record = made.deliver(note("zendesk", "k1")).external_id
        for number in range(2, 8):
            made.deliver(note("zendesk", f"k{number}", number=number, record=record))
        assert made.find(note("zendesk", "k6", number=6)) is not None
        assert made.find(note("zendesk", "k8", number=8)) is None


def test_zendesk_says_that_a_closed_ticket_takes_no_more() -> None:
    """The fields are named, the values are not."""
    with Zendesk() as server:
        made = connector("zendesk", server)
        record = made.deliver(note("zendesk")).external_id
        server.records[0]["status"] = "closed"
        with pytest.raises(Permanent, match="closed") as told:
            made.deliver(note("zendesk", "k2", number=2, record=record))
        assert "Invented" not in str(told.value) and "status" in str(told.value)


def test_servicenow_never_takes_any_row_for_the_one_asked_for() -> None:
    """A condition that it leaves out would return anybody's record: nothing is written then."""
    with Servicenow() as server:
        made = connector("servicenow", server)
        made.deliver(note("servicenow", "k0", "other"))
        customer("servicenow", server, "A-1")
        server.fields -= {"correlation_id", "employee_number"}
        with pytest.raises(Misconfigured) as told:
            made.deliver(note("servicenow"))
        assert told.value.code == "target_field"
        with pytest.raises(Misconfigured):
            made.match(note("servicenow", metadata={"customer_ref": "A-2"}))
        assert len(server.records) == 1


def test_servicenow_does_not_add_to_its_journals_again() -> None:
    """A work note is added by every write: what is there already is not written."""
    with Servicenow() as server:
        made = connector("servicenow", server)
        made.deliver(note("servicenow"))
        server.asked.clear()
        made.deliver(note("servicenow", first_try=False))
        assert {asked.method for asked in server.asked} == {"GET"}


def test_servicenow_says_that_it_did_not_keep_the_calls_name() -> None:
    """On a table that is still empty this shows after the first write, and there is no second."""
    with Servicenow() as server:
        made = connector("servicenow", server)
        server.fields -= {"correlation_id"}
        for _ in range(3):
            with pytest.raises(Misconfigured) as told:
                made.deliver(note("servicenow", first_try=False))
            assert told.value.code == "target_field" and len(server.records) == 1


def test_servicenow_leaves_two_records_of_one_call_to_people() -> None:
    """And an id that a query would read as more than a value is refused."""
    with Servicenow() as server:
        made = connector("servicenow", server)
        server.tables["incident"] = [{"sys_id": "a" * 32, "correlation_id": "c"},
                                     {"sys_id": "b" * 32, "correlation_id": "c"}]  # fmt: skip
        for call in ("c", "x^ORsys_idISNOTEMPTY", "javascript:gs.getUserID()"):
            with pytest.raises(Permanent):
                made.deliver(note("servicenow", call=call))
        assert not connector("servicenow", server, table="nothing").check()[0].good
        with pytest.raises(Misconfigured):
            connector("servicenow", server, table="nothing").deliver(note("servicenow"))
