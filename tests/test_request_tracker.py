"""Notes as tickets of a real Request Tracker: one call one ticket, through faults and rights."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fault_proxy import FAULTS, LASTING, PASSING, Proxy, proxy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from request_tracker import PASSWORD, QUEUE, RIGHTS, Tracker, request_tracker, values

from voice_pipeline import adapters
from voice_pipeline.connectors._tickets import LIMITS, equals, fit
from voice_pipeline.connectors.request_tracker import RequestTracker
from voice_pipeline.errors import Misconfigured, Permanent, PipelineError, Retryable
from voice_pipeline.ports import Parcel
from voice_pipeline.testing import connector_contract, parcel

__all__ = ["request_tracker"]  # a fixture

FIELDS = {"Subject": "Call: my parcel is late", "Content": "The caller's parcel is late."}
KINDS = [name for name in PASSING if not name.startswith(("429_", "502", "504"))]  # else alike
NASTY = [
    "C-77", "O'Brien", 'say "no"', "back\\slash", "\\' OR id > 0 OR Subject = '", "x' OR 'a' = 'a",
    "'; DROP TABLE Tickets; --", "CF.{Customer}", "cf.{Customer}.Content", "NULL", "%", "_", "*",
    "😀 שלום", "x) OR (id > 0", "{{ 7 * 7 }}", "__Active__", "0", "a\\", "id", "Ünïcode",
]  # fmt: skip


def built(url: str, /, **options: Any) -> RequestTracker:
    """Return a connector with the least rights; credentials are given by the name in `env:`."""
    given = {"url": url, "private": True, "queue": QUEUE, "timeout": 20, "user": "voice",
             "password": "env:PASSWORD", **options}  # fmt: skip
    secrets = {"env:PASSWORD": PASSWORD, "env:WRONG": "wrong"}
    offer = {"secret": lambda reference: secrets.get(reference, reference[4:])}
    made = adapters.load("connectors", "request-tracker").build(given, offer=offer)
    assert isinstance(made, RequestTracker)
    return made


def note(key: str, call: str, **other: Any) -> Parcel:
    return parcel(key, call, **{"fields": FIELDS} | other)


def later(first: Parcel, key: str, record: str | None, number: int = 2) -> Parcel:
    return replace(first, key=key, number=number, event="call.note.updated", record=record)


def sent(connector: RequestTracker, parcel: Parcel, tries: int = 6) -> str:
    """Deliver as an outbox does: the first try is one, then it is looked for first."""
    for attempt in range(tries):
        try:
            receipt = connector.deliver(replace(parcel, first_try=attempt == 0))
        except Retryable:
            continue
        assert receipt.key == parcel.key
        return receipt.external_id
    raise AssertionError(f"not delivered in {tries} tries")


def of(tracker: Tracker, call: str) -> dict[str, Any]:
    """Return the only ticket of a call."""
    found = tracker.tickets(f"'CF.{{CallId}}' = '{call}'")
    (ticket,) = [one for one in found if values(one).get("CallId") == call]
    return ticket


@pytest.fixture(scope="module")
def faulty(request_tracker: Tracker) -> Iterator[Proxy]:
    with proxy(request_tracker.url) as made:
        yield made


# ---------------------------------------------------------------- without a server


def test_options_that_do_not_fit_are_refused() -> None:
    """Credentials are references, one kind of them; a customer's field goes with its look-up."""
    for wrong in (
        {"password": "secret"}, {"password": ""}, {"token": "env:T"}, {"customer": "field"},
        {"customer_field": "Customer"}, {"call_field": "x}' OR id > 0"}, {"url": "nowhere"},
        {"user": "", "password": "", "token": "1-2-secret"},
    ):  # fmt: skip
        with pytest.raises(Misconfigured) as caught:
            built("http://127.0.0.1:1", **wrong)
        assert "secret" not in str(caught.value)


def test_a_preview_sends_nothing_and_hides_the_secret() -> None:
    """People see what a target would get, before it is switched on."""
    connector = built("http://127.0.0.1:1")
    one = note("k1", "c1", fields={**FIELDS, "CF.{Reason}": "late"}, test=True)
    (new,) = connector.preview(one)
    assert (new.method, new.url) == ("POST", "http://127.0.0.1:1/REST/2.0/ticket")
    for said in ("[TEST] Call: my parcel is late", '"Reason": "late"', '"DeliveryKey": "1:k1"'):
        assert said in new.body
    (update,) = connector.preview(later(one, "k2", "17"))
    assert update.url.endswith("/ticket/17/comment") and '"DeliveryKey": "2:k2"' in update.body
    assert PASSWORD not in repr(new) and new.headers["Authorization"] == "(secret)"


@given(st.text(max_size=400), st.sampled_from(["Subject", "Content", "CF.{Reason}"]))
def test_texts_fit_their_field(text: str, name: str) -> None:
    """A subject is one line; nothing has a control character; nothing is longer than taken."""
    short = fit(name, text * 40, "https://calls.example/c1")
    assert len(short) <= LIMITS.get(name, 10_000)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", short)
    assert name != "Subject" or "\n" not in short


@given(st.text())
def test_a_value_ends_where_it_ends(value: str) -> None:
    """No reference that somebody said or typed becomes part of a query."""
    condition = equals("Subject", value)
    if condition is not None:
        quoted = condition.removeprefix("Subject = ")
        assert re.fullmatch(r"'(?:[^'\\]|\\['\\])*'", quoted)
        assert re.sub(r"\\(.)", r"\1", quoted[1:-1]) == value


# ---------------------------------------------------------------- with the real one


@pytest.mark.slow
def test_request_tracker_keeps_the_contract(request_tracker: Tracker) -> None:
    """With a password and with a token: one call one ticket, a revision one comment."""
    connector_contract(lambda: built(request_tracker.url), FIELDS)
    ticket = of(request_tracker, "call-1")
    assert values(ticket)["DeliveryKey"] == "2:contract-3"
    said = request_tracker.said(ticket["id"])
    assert [(one["Content"], one["ContentType"]) for one in said] == [
        (FIELDS["Content"], "text/plain")
    ] * 2
    token = built(request_tracker.url, user="", password="", token=f"env:{request_tracker.token}")
    assert token.deliver(note("by-token", "by-token")).external_id


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_a_fault_anywhere_makes_no_second_ticket(
    request_tracker: Tracker, faulty: Proxy, name: str
) -> None:
    """Each request of a delivery in turn meets the fault; a ticket and a comment come of it."""
    slow = FAULTS[name].end in ("hang", "drip", "slow_head")
    connector = built(faulty.url, timeout=2 if slow else 15)
    assert all(check.good for check in connector.check())
    for place in range(3):  # to make: write, read; to revise: read, write, read the comment, read
        call = f"fault {name} {place}"
        one = note(f"{name}-{place}-1", call)
        faulty.script(*["pass"] * place, name)
        record = sent(connector, one)
        faulty.script(*["pass"] * (place + 1), name)
        assert sent(connector, later(one, f"{name}-{place}-2", record)) == record
        faulty.script()
        ticket = of(request_tracker, call)
        assert ticket["id"] == record
        assert values(ticket)["DeliveryKey"] == f"2:{name}-{place}-2"
        assert len(request_tracker.said(record)) == 2, faulty.seen[-20:]


@pytest.mark.slow
@pytest.mark.parametrize("name", LASTING)
def test_a_fault_that_lasts_is_told_and_doubles_nothing(
    request_tracker: Tracker, faulty: Proxy, name: str
) -> None:
    """Somebody has to act; when they have, the same parcel makes the same ticket."""
    connector = built(faulty.url)
    for place in range(3):
        one = note(f"{name}-{place}", f"lasting {name} {place}")
        faulty.script(*["pass"] * place, name)
        try:
            connector.deliver(one)
        except (Misconfigured, Permanent) as error:
            assert error.code in ("target_denied", "target_moved", "target_refused")
        faulty.script()
        record = connector.deliver(replace(one, first_try=False)).external_id
        assert of(request_tracker, one.call)["id"] == record


@pytest.mark.slow
def test_many_faults_at_random(request_tracker: Tracker, faulty: Proxy) -> None:
    """A third of all requests meet some fault; forty calls are forty tickets."""
    connector = built(faulty.url, timeout=2)
    faulty.chance(0.33, seed=11)
    for number in range(40):
        sent(connector, note(f"chance-{number}", f"chance {number}"), tries=40)
    faulty.script()
    calls = [values(one).get("CallId", "") for one in request_tracker.tickets()]
    assert sorted(call for call in calls if call.startswith("chance ")) == sorted(
        f"chance {number}" for number in range(40)
    )


@pytest.mark.slow
@pytest.mark.parametrize("missing", RIGHTS)
def test_every_right_is_needed(request_tracker: Tracker, missing: str) -> None:
    """A user that lacks one right cannot deliver, and the error says what to look at."""
    connector = built(request_tracker.url, user=f"no {missing}")
    one = note(f"without {missing}", f"without {missing}")
    with pytest.raises(PipelineError) as caught:
        record = connector.deliver(one).external_id
        connector.deliver(later(one, f"without {missing} 2", record))
    assert not isinstance(caught.value, Retryable)
    assert caught.value.code in ("target_denied", "target_field", "target_refused")
    if missing in ("SeeQueue", "SeeCustomField", "CreateTicket", "CommentOnTicket"):
        built(request_tracker.url).deliver(note(f"seen {missing}", f"seen {missing}"))
        (wrong, *_) = [check for check in connector.check() if not check.good]
        assert missing in wrong.detail


@pytest.mark.slow
def test_a_check_says_what_is_wrong(request_tracker: Tracker) -> None:
    """Before anything is sent: wrong password, queue or field; a good target passes."""
    url = request_tracker.url
    wrong: list[tuple[Mapping[str, Any], str]] = [
        ({"password": "env:WRONG"}, "credentials"),
        ({"queue": "Nowhere / else"}, "queue Nowhere / else"),
        ({"key_field": "Nothing"}, "custom field Nothing"),
        ({"url": f"{url}/rt"}, "credentials"),
    ]
    for options, what in wrong:
        failed = [check for check in built(url, **options).check() if not check.good]
        assert [check.what for check in failed] == [what] and failed[0].detail
    assert all(check.good for check in built(url).check())
    assert [check.what for check in built("http://127.0.0.1:9").check()] == ["credentials"]


@pytest.mark.slow
def test_a_field_that_is_not_there_is_refused_before_anything_is_written(
    request_tracker: Tracker,
) -> None:
    """The server would drop it without a word."""
    before = len(request_tracker.tickets())
    for name in ("subject", "CF.{Nothing}", "CustomFields"):
        with pytest.raises(Misconfigured) as caught:
            built(request_tracker.url).deliver(note("f", "f", fields={**FIELDS, name: "x"}))
        assert caught.value.code == "target_field"
    assert len(request_tracker.tickets()) == before
    good = built(request_tracker.url)
    record = good.deliver(note("reason", "reason", fields={**FIELDS, "CF.{Reason}": "late"}))
    assert values(of(request_tracker, "reason"))["Reason"] == "late" and record.external_id


@pytest.mark.slow
def test_what_was_said_stays_text(request_tracker: Tracker) -> None:
    """Emoji and right-to-left text arrive as they are; HTML and templates are shown, not run."""
    text = "😀 שלום \u202eabc\u202c\n<script>alert(1)</script>\n{{ 7 * 7 }} <img src=x onerror=y>"
    subject = "😀 שלום <b>bold</b>\r\nX-Injected: yes"
    one = note("text", "text", fields={"Subject": subject, "Content": text + "\x00\x07"})
    record = built(request_tracker.url).deliver(one).external_id
    (said,) = request_tracker.said(record)
    assert (said["Content"], said["ContentType"]) == (text, "text/plain")
    ticket = of(request_tracker, "text")
    assert ticket["Subject"] == "😀 שלום <b>bold</b> X-Injected: yes"
    with httpx.Client(base_url=request_tracker.url, trust_env=False, timeout=60) as browser:
        login = {"user": "root", "pass": "password"}
        browser.post("/NoAuth/Login.html", data=login, follow_redirects=True)
        page = browser.get(f"/Ticket/History.html?id={record}").text
    assert "&lt;script&gt;alert&#40;1&#41;&lt;/script&gt;" in page
    for live in ("<script>alert", "<img src=x", "<b>bold</b>"):
        assert live not in page


@pytest.mark.slow
def test_a_note_of_ten_megabytes_is_cut_with_a_link(request_tracker: Tracker) -> None:
    """The ticket says where the rest is; nothing is refused and nothing fills the server."""
    link = "https://calls.example/calls/big"
    one = note("big", "big", link=link, fields={**FIELDS, "Content": "😀 so " * 2_500_000})
    record = built(request_tracker.url).deliver(one).external_id
    (said,) = request_tracker.said(record)
    assert len(said["Content"]) == LIMITS["Content"]
    assert said["Content"].endswith(f"[cut here; all of it: {link}]")


@pytest.mark.slow
def test_what_people_did_to_a_ticket_stands(request_tracker: Tracker) -> None:
    """Moved, merged, resolved, deleted: a later revision follows, or says why it does not."""
    connector = built(request_tracker.url)
    one, two, three, four = (note(f"p{n}", f"people {n}") for n in range(4))
    records = [connector.deliver(parcel).external_id for parcel in (one, two, three, four)]
    with request_tracker.root() as root:
        root.put(f"/ticket/{records[0]}", json={"Subject": "Ours now", "Status": "resolved"})
        root.put(f"/ticket/{records[1]}", json={"MergeInto": records[0]})
        root.put(f"/ticket/{records[2]}", json={"Status": "deleted"})
        root.put(f"/ticket/{records[3]}", json={"Queue": "Elsewhere"})
    connector.deliver(later(one, "p0-2", records[0]))
    for _ in range(2):
        retried = replace(later(two, "p1-2", records[1]), first_try=False)
        assert connector.deliver(retried).external_id == records[0]
    ticket = of(request_tracker, "people 0")
    assert (ticket["Subject"], ticket["Status"]) == ("Ours now", "resolved")
    assert values(ticket)["DeliveryKey"] == "2:p0-2", "another call's revision changes no field"
    comments = [one["Subject"] for one in request_tracker.said(records[0])]
    assert comments.count("Call note, revision 2 [p1-2]") == 1
    for gone, record in ((three, records[2]), (four, records[3])):
        with pytest.raises(Permanent, match=f"ticket {record} of this call is gone or out"):
            connector.deliver(later(gone, "again", record))


@pytest.mark.slow
def test_an_older_revision_never_goes_over_a_newer_one(request_tracker: Tracker) -> None:
    """Whatever comes late: the ticket shows the last word."""
    connector = built(request_tracker.url)
    first = note("old-1", "old")
    record = connector.deliver(first).external_id
    connector.deliver(later(first, "old-3", record, number=3))
    for late in (replace(first, first_try=False), later(first, "old-2", record)):
        assert connector.deliver(late).external_id == record
    assert values(of(request_tracker, "old"))["DeliveryKey"] == "3:old-3"
    assert len(request_tracker.said(record)) == 2


@pytest.mark.slow
def test_a_test_ticket_is_taken_away_or_named(request_tracker: Tracker) -> None:
    """`targets test` leaves nothing behind, or says what stays and which right would do."""
    least = built(request_tracker.url)
    receipt = least.deliver(note("stays", "stays", test=True))
    with pytest.raises(Permanent, match=f"ticket {receipt.external_id} stays") as caught:
        least.remove(receipt)
    assert caught.value.code == "not_removed"
    tidy = built(request_tracker.url, user="tidy")
    tidy.remove(receipt)
    tidy.remove(tidy.deliver(note("goes", "goes", test=True)))
    assert not [one for one in request_tracker.tickets() if "[TEST]" in one["Subject"]]


# ---------------------------------------------------------------- whose call it is


@pytest.fixture(scope="module")
def customers(request_tracker: Tracker) -> Tracker:
    """Earlier tickets: two of Ann's, one of Bob's, and a number that both were given."""
    with request_tracker.root() as root:
        for who, number in (("C-1042", "A-1"), ("C-1042", "A-1"), ("C-1043", "B-1"),
                            ("C-1042", "shared"), ("C-1043", "shared")):  # fmt: skip
            root.post(
                "/ticket",
                json={"Queue": QUEUE, "Subject": "earlier", "Requestor": who,
                      "CustomFields": {"Customer": number}},
            ).raise_for_status()  # fmt: skip
        for number, ref in enumerate(NASTY):
            who = f"person-{number}@invented.example"
            root.post(
                "/ticket",
                json={"Queue": QUEUE, "Subject": "nasty", "Requestor": who,
                      "CustomFields": {"Customer": ref}},
            ).raise_for_status()  # fmt: skip
    return request_tracker


def asked(connector: RequestTracker, ref: str) -> tuple[str, str | None]:
    match = connector.match(note("m", "m", metadata={"customer_ref": ref}))
    assert ref not in match.how or len(ref) < 3
    return match.found, match.customer


@pytest.mark.slow
def test_a_customer_is_found_by_requestor(customers: Tracker) -> None:
    """By name or address; the ticket then belongs to them, and known values can be compared."""
    connector = built(customers.url, customer="requestor")
    assert connector.traits.matches
    for ref in ("C-1042", "c-1042", "ann@invented.example"):
        assert asked(connector, ref) == ("one", "C-1042")
    assert asked(connector, "C-9999") == ("none", None) == asked(connector, " ")
    one = note("ann", "ann", metadata={"customer_ref": "C-1042"})
    match = connector.match(one)
    assert match.known == {
        "name": "Ann Invented", "email": "ann@invented.example", "open_tickets": "3",
    }  # fmt: skip
    connector.deliver(replace(one, customer=match.customer))
    assert [user["id"] for user in of(customers, "ann")["Requestor"]] == ["C-1042"]


@pytest.mark.slow
def test_a_customer_is_found_by_a_custom_field(customers: Tracker) -> None:
    """One number, one customer; a number of several is said to be of several."""
    connector = built(customers.url, customer="field", customer_field="Customer")
    assert asked(connector, "A-1") == ("one", "C-1042")
    assert asked(connector, "B-1") == ("one", "C-1043")
    assert asked(connector, "shared") == ("several", None)
    assert asked(connector, "A-") == ("none", None)


@pytest.mark.slow
@pytest.mark.parametrize("ref", NASTY)
def test_a_reference_finds_its_own_customer_or_nobody(customers: Tracker, ref: str) -> None:
    """SQL, quotes and Request Tracker's own words in a reference are only text."""
    connector = built(customers.url, customer="field", customer_field="Customer")
    found = asked(connector, ref)
    own = ("one", f"person-{NASTY.index(ref)}@invented.example")
    assert found == (("none", None) if ref.upper().startswith("CF.") else own)


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ref=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_no_reference_breaks_a_query(customers: Tracker, ref: str) -> None:
    """Whatever is looked for, the server understands the question and nobody else is found."""
    for options in ({"customer": "field", "customer_field": "Customer"}, {"customer": "requestor"}):
        found = asked(built(customers.url, **options), ref)
        assert ref in [*NASTY, "shared", "A-1", "B-1"] or found == ("none", None)
