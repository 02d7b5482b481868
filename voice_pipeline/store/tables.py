"""Our tables. No column ever holds call content: bytes live in sealed blobs, rows name them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

metadata = sa.MetaData()


def where(condition: str) -> dict[str, Any]:
    """Return the arguments of an index over some rows only."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


# one row a call; wrapped_key is NULL once the call was erased, and so is what was said about it
calls = sa.Table(
    "calls",
    metadata,
    sa.Column("call", sa.String(64), primary_key=True),
    sa.Column("wrapped_key", sa.LargeBinary, nullable=True),
    sa.Column("received_sha256", sa.String(64), nullable=True),  # its Received record
    sa.Column(
        "received_at", sa.Float, nullable=False
    ),  # seconds since the epoch; raw audio ages from it
    sa.Column("tenant", sa.String(64), nullable=False, server_default="default"),
    # received running held done failed cancelled erased
    sa.Column("status", sa.String(12), nullable=False, server_default="received"),
    sa.Column("version", sa.Integer, nullable=False, server_default="1"),  # grows with each change
    sa.Column("plan", sa.String(64), nullable=True),  # that it waits for, or that it ran under
    sa.Column("run", sa.String(160), nullable=True),  # of the engine; NULL: not handed over yet
    sa.Column("attempt", sa.Integer, nullable=False, server_default="1"),  # number of that run
    sa.Column("targets", sa.Text, nullable=False, server_default="[]"),  # JSON list
    sa.Column("revision", sa.Integer, nullable=False, server_default="0"),  # newest that ended
    sa.Column("backfill", sa.Boolean, nullable=False, server_default=sa.false()),
    # as handed in, redacted: what lists filter by
    sa.Column("name", sa.String(400), nullable=True),
    sa.Column("sha256", sa.String(64), nullable=True),  # of the file's bytes
    sa.Column("size", sa.BigInteger, nullable=True),  # bytes
    sa.Column("queue", sa.String(200), nullable=True),
    sa.Column("agent", sa.String(200), nullable=True),
    sa.Column("team", sa.String(200), nullable=True),
    sa.Column("customer_ref", sa.String(200), nullable=True),
    sa.Column("call_ref", sa.String(200), nullable=True),
    sa.Column("started_at", sa.String(40), nullable=True),  # ISO 8601
    sa.Column("phone_key", sa.String(40), nullable=True),  # of the number, which is not kept
    sa.Column("uploaded_by", sa.String(200), nullable=True),
    sa.Column("duplicate_of", sa.String(64), nullable=True),
    # as found out
    sa.Column("duration", sa.Float, nullable=True),  # seconds
    sa.Column("ended_at", sa.Float, nullable=True),  # seconds since the epoch
    sa.Column("code", sa.String(60), nullable=True),  # why it failed or is held
    sa.Column("detail", sa.Text, nullable=True),  # one sentence, never call content
    sa.Column("request_type", sa.String(80), nullable=True),
    sa.Column("urgency", sa.String(10), nullable=True),
    sa.Column("flags", sa.Text, nullable=True),  # categories, sorted, between commas
    sa.Column("warnings", sa.Text, nullable=True),  # JSON: codes and details, no content
    sa.Column("review", sa.String(12), nullable=True),  # required approved rejected; NULL: none
    sa.Column("trace", sa.String(55), nullable=True),  # W3C traceparent of its upload
    # of all tenants, for figures: what is open can be counted without what has ended
    sa.Index(
        "calls_by_state", "status", "backfill", "code", "received_at", **where("plan is not null")
    ),
    sa.Index("calls_in_review", "received_at", **where("review = 'required'")),
    sa.Index("calls_by_time", "tenant", "received_at", "call"),
    sa.Index("calls_by_status", "tenant", "status", "received_at"),
    sa.Index("calls_by_phone", "tenant", "phone_key"),
    sa.Index("calls_by_customer", "tenant", "customer_ref", "received_at", "call"),
    sa.Index("calls_by_sha256", "tenant", "sha256"),
    sa.Index("calls_by_work", "status", "backfill", "received_at", "run"),  # looked at each second
)

# every way in which a call has ended: another plan makes another revision, none is overwritten
revisions = sa.Table(
    "revisions",
    metadata,
    sa.Column("call", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),  # from 1
    sa.Column("plan", sa.String(64), nullable=False),
    sa.Column("run", sa.String(160), nullable=False),
    sa.Column("status", sa.String(12), nullable=False),  # done held
    sa.Column("outcome", sa.Text, nullable=False),  # JSON: names of kept records
    sa.Column("made_at", sa.Float, nullable=False),
    sa.UniqueConstraint("call", "run"),
)

# sums that only grow, for figures; no call is named
tallies = sa.Table(
    "tallies",
    metadata,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("label", sa.String(80), primary_key=True),
    sa.Column("amount", sa.Float, nullable=False),
)

# answers to uploads that carried a key, so that sending one again makes no second call
idempotency = sa.Table(
    "idempotency",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("key", sa.String(64), primary_key=True),  # sha256 of the header
    sa.Column("fingerprint", sa.String(64), nullable=False),  # of body and metadata
    sa.Column("call", sa.String(64), nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Index("idempotency_by_call", "call"),
)

# what is at rest until somebody lets it go on; a row is there while it rests
pauses = sa.Table(
    "pauses",
    metadata,
    sa.Column("what", sa.String(40), primary_key=True),  # backfill
    sa.Column("by", sa.String(200), nullable=False),
    sa.Column("at", sa.Float, nullable=False),  # seconds since the epoch
)

# what happened, in the order in which it became visible: integrations read it with a cursor
events = sa.Table(
    "events",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("queue", sa.String(200), nullable=True),
    sa.Column("type", sa.String(60), nullable=False),
    sa.Column("call", sa.String(64), nullable=False, index=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("data", sa.Text, nullable=False),  # JSON: codes and numbers
)

# processes that work on calls and when each was last seen
executors = sa.Table(
    "executors",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("seen", sa.Float, nullable=False),  # seconds since the epoch, database's clock
    sa.Column("started", sa.Float, nullable=False),
    sa.Column("host", sa.String(200), nullable=False),
    sa.Column("queues", sa.String(200), nullable=False),
)

# what a set of choices (models, policy, options) was when a call ran: named, never edited
plans = sa.Table(
    "plans",
    metadata,
    sa.Column("plan", sa.String(64), primary_key=True),
    sa.Column("settings", sa.Text, nullable=False),  # JSON
)

# the memo: this stage with this version on these inputs gave that record
results = sa.Table(
    "results",
    metadata,
    sa.Column("call", sa.String(64), primary_key=True),
    sa.Column("stage", sa.String(40), primary_key=True),
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("made_at", sa.Float, nullable=False),
)

# progress, overwritten in place: one row a call and stage
progress = sa.Table(
    "progress",
    metadata,
    sa.Column("call", sa.String(64), primary_key=True),
    sa.Column("stage", sa.String(40), primary_key=True),
    sa.Column("share", sa.Float, nullable=False),  # 0..1
    sa.Column("seconds", sa.Float, nullable=True),  # set when the stage is done
    sa.Column("at", sa.Float, nullable=False),
)

# the outbox: a row before the write, a receipt after; never twice
deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),  # from call, target, revision
    sa.Column("call", sa.String(64), nullable=False, index=True),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("revision", sa.String(64), nullable=False),
    # waiting sending delivered | refused unmatched unapproved | superseded cancelled
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("external_id", sa.String(400), nullable=True),
    sa.Column("reason", sa.Text, nullable=True),  # plain words: why it is not there yet
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("delivered_at", sa.String(40), nullable=True),
    sa.Column("tenant", sa.String(64), nullable=False, server_default="default"),
    sa.Column("queue", sa.String(200), nullable=True),  # of the call
    sa.Column("number", sa.Integer, nullable=False, server_default="1"),  # of call and target
    sa.Column("note", sa.String(64), nullable=True),  # sha256 of the CaseNote record
    sa.Column("decision", sa.Integer, nullable=False, server_default="0"),  # that it is as of
    sa.Column("next_at", sa.Float, nullable=False, server_default="0"),  # seconds, epoch
    sa.Column("leased_by", sa.String(64), nullable=True),  # id of an executor
    sa.Column("leased_until", sa.Float, nullable=True),
    sa.Column("code", sa.String(60), nullable=True),
    sa.Column("customer", sa.String(400), nullable=True),  # record that a person or match chose
    sa.Column("payload", sa.String(64), nullable=True),  # sha256 of what left
    sa.Column("remarks", sa.Text, nullable=True),  # JSON: what does not fit the target's record
    sa.Column("by", sa.String(200), nullable=True),  # who last decided about it
    sa.Column("why", sa.Text, nullable=True),  # redacted
    sa.UniqueConstraint("call", "target", "revision"),
    sa.Index("deliveries_open", "state", "created_at", **where("state <> 'delivered'")),
)

# how each target does; a row is there once something was wrong, or it has a rate
targets = sa.Table(
    "targets",
    metadata,
    sa.Column("target", sa.Text, primary_key=True),
    sa.Column("paused_by", sa.String(200), nullable=True),  # NULL: nobody paused it
    sa.Column("paused_at", sa.Float, nullable=True),
    sa.Column("why", sa.Text, nullable=True),  # redacted
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),  # in a row
    sa.Column("code", sa.String(60), nullable=True),  # of the last one
    sa.Column("detail", sa.Text, nullable=True),
    sa.Column("failing_since", sa.Float, nullable=True),
    sa.Column("rests_until", sa.Float, nullable=False, server_default="0"),
    sa.Column("next_at", sa.Float, nullable=False, server_default="0"),  # the rate's next slot
)

# API keys: what is needed to know one again, never the key
access_keys = sa.Table(
    "access_keys",
    metadata,
    sa.Column("id", sa.String(8), primary_key=True),  # part of the key, may be shown
    sa.Column("hash", sa.String(200), nullable=False),  # cost, salt and scrypt, see access/keys.py
    sa.Column("old_hash", sa.String(200), nullable=True),  # of the key before a rotation ...
    sa.Column("old_until", sa.Float, nullable=True),  # ... which is taken until then
    sa.Column("role", sa.String(20), nullable=False),
    sa.Column("tenant", sa.String(64), nullable=False, index=True),
    sa.Column("queues", sa.Text, nullable=True),  # JSON list; NULL: all
    sa.Column("created_at", sa.Float, nullable=False),  # seconds since the epoch, as all below
    sa.Column("expires_at", sa.Float, nullable=True),
    sa.Column("rotated_at", sa.Float, nullable=True),
    sa.Column("revoked_at", sa.Float, nullable=True),
    sa.Column("last_used_at", sa.Float, nullable=True),  # to the minute
)

# who looked at what; rows are only ever added, each names the hash of the one before
access_log = sa.Table(
    "access_log",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),  # 1, 2, 3, ...
    sa.Column("at", sa.String(40), nullable=False),  # ISO 8601, UTC
    sa.Column("kind", sa.String(10), nullable=False),  # key | token | local
    sa.Column("who", sa.String(200), nullable=False, index=True),
    sa.Column("role", sa.String(20), nullable=False),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("permission", sa.String(40), nullable=False),
    sa.Column("call", sa.String(64), nullable=True, index=True),
    sa.Column("what", sa.String(80), nullable=False),  # for example `note`; no content
    sa.Column("why", sa.String(500), nullable=False),
    sa.Column("address", sa.String(64), nullable=False),
    sa.Column("outcome", sa.String(20), nullable=False),
    sa.Column("previous", sa.String(64), nullable=False),  # hash of the row before
    sa.Column("sha256", sa.String(64), nullable=False),
)

# the end of the access log, signed, so that a chain made anew or cut short is found
access_log_head = sa.Table(
    "access_log_head",
    metadata,
    sa.Column("one", sa.Integer, primary_key=True, autoincrement=False),  # always 1
    sa.Column("number", sa.Integer, nullable=False),  # of the last row
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("signature", sa.String(128), nullable=False),  # Ed25519, hexadecimal
)

# corrections of routes, append-only; the record with its reason is a sealed blob of the call
route_changes = sa.Table(
    "route_changes",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("call", sa.String(64), nullable=False, index=True),
    sa.Column("before", sa.String(80), nullable=False),
    sa.Column("after", sa.String(80), nullable=False),
    sa.Column("by", sa.String(200), nullable=False),
    sa.Column("at", sa.String(40), nullable=False),  # ISO 8601, UTC
    sa.Column("undoes", sa.Integer, nullable=True),
    sa.Column("sha256", sa.String(64), nullable=False),  # of the RouteChange record
)

# one row a version of an article, never edited but for its state; articles hold no call content
articles = sa.Table(
    "articles",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("title", sa.String(200), nullable=False),
    sa.Column("owner", sa.String(200), nullable=False),
    sa.Column("audience", sa.String(40), nullable=False),  # sorted, between commas
    sa.Column("locale", sa.String(10), nullable=False),
    sa.Column("reviewed_until", sa.String(10), nullable=False),  # ISO date
    sa.Column("body", sa.Text, nullable=False),  # markdown
    # proposed | approved | superseded | retired
    sa.Column("state", sa.String(20), nullable=False, index=True),
)

# who did what to an article, when and why; rows are only ever added
article_events = sa.Table(
    "article_events",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("article", sa.String(64), nullable=False, index=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("event", sa.String(20), nullable=False),  # imported | approved | retired | undone
    sa.Column("was", sa.String(20), nullable=True),  # state of the version before it
    sa.Column("undoes", sa.Integer, nullable=True),  # number of the event that it takes back
    sa.Column("replaced", sa.Integer, nullable=True),  # version that an approval superseded
    sa.Column("by", sa.String(200), nullable=False),
    sa.Column("at", sa.Float, nullable=False),  # seconds since the epoch
    sa.Column("why", sa.String(1000), nullable=False),
)

# vectors of an article's passages; those of two models are never in one search
article_vectors = sa.Table(
    "article_vectors",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),  # of the article
    sa.Column("made_by", sa.String(200), primary_key=True),  # model, hash and dimension
    sa.Column("dimension", sa.Integer, nullable=False),
    sa.Column("vectors", sa.LargeBinary, nullable=False),  # float32, little endian, row by row
)

# what people say of a suggestion
article_marks = sa.Table(
    "article_marks",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("article", sa.String(64), nullable=False, index=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("call", sa.String(64), nullable=True, index=True),
    sa.Column("verdict", sa.String(10), nullable=False),  # useful | wrong
    sa.Column("by", sa.String(200), nullable=False),
    sa.Column("at", sa.Float, nullable=False),
)

# how much a person changed a draft before it went out: counts, never the texts
draft_edits = sa.Table(
    "draft_edits",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("call", sa.String(64), nullable=False, index=True),
    sa.Column("revision", sa.String(64), nullable=False),  # sha256 of the note with the draft
    sa.Column("characters", sa.Float, nullable=False),  # 0 as drafted .. 1 written anew
    sa.Column("words", sa.Float, nullable=False),
    sa.Column("by", sa.String(200), nullable=False),
    sa.Column("at", sa.Float, nullable=False),
)

# what must be kept for now, whatever retention or a customer says; rows are never removed
legal_holds = sa.Table(
    "legal_holds",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("call", sa.String(64), nullable=True, index=True),  # one of these two; both go
    sa.Column("customer_ref", sa.String(200), nullable=True, index=True),  # with what they name
    sa.Column("reason", sa.Text, nullable=False),  # redacted
    sa.Column("by", sa.String(200), nullable=False),
    sa.Column("at", sa.Float, nullable=False),  # seconds since the epoch
    sa.Column("released_at", sa.Float, nullable=True),  # NULL: it stands
    sa.Column("released_by", sa.String(200), nullable=True),
    sa.Column("release_reason", sa.Text, nullable=True),  # redacted
)

# who asked for which erasure, who agreed, what came of it; names calls, never people
erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("asked", sa.Text, nullable=False),  # JSON: calls, or a keyed hash of the customer
    sa.Column("reason", sa.Text, nullable=False),  # redacted
    sa.Column("asked_by", sa.String(200), nullable=False),
    sa.Column("at", sa.Float, nullable=False),  # seconds since the epoch
    sa.Column("approved_by", sa.String(200), nullable=True),
    sa.Column("ended_at", sa.Float, nullable=True),
    sa.Column("state", sa.String(12), nullable=False),  # proposed done refused
    sa.Column("receipt", sa.Text, nullable=True),  # signed JSON, once done
)

# what people decided about notes and held calls; what they wrote is redacted, edits are sealed
decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("call", sa.String(64), nullable=False, index=True),
    sa.Column("revision", sa.Integer, nullable=False),  # that was decided on
    sa.Column("kind", sa.String(10), nullable=False),  # review held
    # approved rejected edited | released rerun discarded
    sa.Column("decision", sa.String(12), nullable=False),
    sa.Column("by", sa.String(200), nullable=False),
    sa.Column("at", sa.Float, nullable=False),  # seconds since the epoch
    sa.Column("reason", sa.Text, nullable=False),  # empty once the call was erased
    sa.Column("sha256", sa.String(64), nullable=True),  # of the NoteEdit or Verification record
)
