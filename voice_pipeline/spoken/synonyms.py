"""Words of customer service that mean the same, as groups: `lost card` is near `missing card`.

A resource for counting likeness where no embedding model is: a word or phrase stands for its
groups. It decides nothing by itself and knows English alone; words outside it count as they are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cache, lru_cache

from voice_pipeline.spoken.words import vocabulary

# Words that shape a sentence and say little about its subject.
FUNCTION_WORDS = vocabulary(
    "a an the this that these those i me my mine we us our you your he him his she her it its they"
    " them their is are am was were be been being do does did done has have had having will would"
    " can could should shall may might must to of in on at for from with by about into onto as and"
    " or but if so than then there here what which who whom whose when where why how not no yes"
    " please hi hello hey thanks thank just very really too also again still already get got some"
    " any all want like need know tell help okay ok well good morning afternoon evening one up out"
)

# NAME: words | phrase | phrase ...
GROUPS = """
cash_machine: atm cashpoint | cash machine | cash point | cash dispenser
money: money cash fund funds amount sum
add_money: topup topped topping reload deposit | top up | top-up | add money | add funds | load money | put money
withdraw: withdraw withdrawal withdrew withdrawn withdrawing | take out | took out | get cash | getting cash | cash out
transfer: transfer transferred transferring wire remit remittance | send money | sent money | sending money | move money | bank transfer
pay: pay paid paying payment payments settle
charge: charge charged charges fee fees cost costs costing price pricing surcharge
extra: extra additional hidden unexpected
bill: bill bills billing invoice invoices statement
refund: refund refunded refunds reimburse reimbursement repay repaid | money back | give back
twice: twice double duplicate duplicated | two times | more than once | multiple times
abroad: abroad overseas foreign international internationally country countries travel traveling travelling holiday vacation trip
currency: currency currencies dollar dollars euro euros pound pounds exchange conversion convert converted forex
receive: receive received receiving arrive arrived arrival arriving come came delivered | show up | showed up | turn up | turned up
wait: wait waiting waited pending processing delayed delay late slow still yet | so long | taking forever | hold up
how_long: | how long | how many days | how soon | when will | time frame | how much time | how quickly | how fast
lost: lost lose losing missing misplaced mislaid gone disappeared vanished | can not find | left behind
stolen: stolen steal stole theft thief robbed mugged pickpocket snatched
broken: broken broke damaged faulty defective stopped fault snapped cracked torn bent leaking dead | not work | does not work | not working | did not work | does not function
fail: fail failed failing decline declined declining reject rejected rejecting refuse refused denied unsuccessful error errors problem problems problem issue issues trouble wrong | not go through | did not go through | will not go through | went wrong
cancel: cancel cancelled canceled cancelling cancellation stop terminate end close closed closing closure revert reverse undo | call off | get rid
change: change changed changing update updated updating modify amend edit alter correct switch replace swap new different
delete: delete deleted remove removed erase
address: address moved moving relocated | new house | moved house
phone: phone mobile cell cellphone telephone smartphone number
email: email emails mail inbox
password: password passcode passphrase login log signin | sign in | log in | log on
pin: pin code
identity: identity identification id passport licence license verify verified verification verifying prove proof confirm document documents
unknown: unknown unrecognised unrecognized unfamiliar strange suspicious weird odd | not recognise | not recognize | do not know | did not make | did not authorise | did not authorize | not mine | was not me | never made | never bought
fraud: fraud fraudulent scam scammed hacked hack compromised phishing unauthorised unauthorized someone somebody
account: account accounts
open: open opened opening apply applying application register registering enroll enrol signup create set setup start | sign up | set up
limit: limit limits limited maximum minimum max min cap allowed restriction restrictions
person: agent person human representative rep someone advisor adviser operator staff
location: where location near nearest closest nearby branch store office shop
hours: hours open opening closing schedule | what time
place: where wherever place places which
reason: why reason explain understand explanation
order: order ordered buy bought purchase purchased purchases purchasing
deliver: deliver delivery delivered ship shipped shipping shipment post posted courier parcel package tracking track
appointment: appointment appointments visit engineer technician slot booking book booked reschedule
use: use used using usable accept accepted accepts work works
quote: quote estimate
cover: insurance coverage cover covered policy plan
claim: claim claims accident crash collision crashed
family: dependent dependant child daughter son baby wife husband spouse partner kid
balance: balance
unlock: forgot forgotten forget reset recover locked blocked unblock unlock
activate: activate activated activation activating enable
contactless: contactless tap | touch and pay
card: card cards plastic
virtual: virtual online disposable digital
automatic: automatic automatically auto autopay recurring regular subscription debit standing
complaint: complain complaint complaints unhappy angry upset disappointed terrible awful rude
network: internet broadband wifi router connection signal network
energy: electricity power gas meter energy heating boiler
device: device laptop computer tablet printer machine
leave: leave leaving quit
"""  # noqa: E501


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """Return a word without its plural, tense and silent endings; crude, and always the same."""
    if len(word) < 4 or not word.isalpha():
        return word
    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith("sses"):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed"):
        rest = word.removesuffix(ending)
        if rest != word and len(rest) >= 3 and set(rest) & set("aeiouy"):
            doubled = len(rest) > 3 and rest[-1] == rest[-2] and rest[-1] not in "lsze"
            word = rest[:-1] if doubled else rest
            break
    if word.endswith("e") and len(word) > 3:
        word = word[:-1]
    return word[:-1] + "i" if word.endswith("y") and len(word) > 3 else word


def synonyms(stems: Sequence[str]) -> list[str]:
    """Return the groups that words and phrases of a text stand for, as `#name`."""
    words, phrases = _groups()
    found: list[str] = []
    for start, word in enumerate(stems):
        found.extend(words.get(word, ()))
        for phrase, name in phrases.get(word, ()):
            if tuple(stems[start : start + len(phrase)]) == phrase:
                found.append(name)
    return found


def rare(stems: Sequence[str]) -> list[str]:
    """Return the stems that no group holds and that say something about the subject."""
    words, _ = _groups()
    return [word for word in stems if word not in words and word not in _shaping()]


@cache
def _groups() -> tuple[dict[str, list[str]], dict[str, list[tuple[tuple[str, ...], str]]]]:
    """Return the groups of each stem, and the phrases that begin with each stem."""
    words: dict[str, list[str]] = defaultdict(list)
    phrases: dict[str, list[tuple[tuple[str, ...], str]]] = defaultdict(list)
    for line in GROUPS.strip().splitlines():
        name, _, rest = line.partition(":")
        first, *others = rest.split("|")
        for word in dict.fromkeys(map(stem, first.split())):
            words[word].append(f"#{name}")
        for phrase in dict.fromkeys(_stems(other) for other in others):
            phrases[phrase[0]].append((phrase, f"#{name}"))
    return dict(words), dict(phrases)


def _stems(phrase: str) -> tuple[str, ...]:
    return tuple(map(stem, phrase.replace("-", " ").split()))


@cache
def _shaping() -> frozenset[str]:
    return frozenset(map(stem, FUNCTION_WORDS))
