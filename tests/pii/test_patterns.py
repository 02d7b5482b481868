"""Patterns that an organisation writes itself never run for ever: a count of steps, not a clock."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from redaction.patterns import check_pattern

CATASTROPHIC = [
    "(a+)+b", "(a|aa)*c", "(.*)*x", r"(\d+)\1", "((a{1,9}){1,9}){1,9}", ".*a.*b", "(?=a)b",
    "a?" * 60 + "a" * 60,  # 2 to the power of 60, and not one star in it
    "(?:a|aa)" * 20 + "b", "(a|ab)" * 12 + "c", "(?:a?b?c?)" * 4 + "d",
    "a{1,100}a{1,100}a{1,100}a{1,100}b", r"\d{0,99}\d{0,99}\d{0,99}x",
    r"[a\]b]+[a\]b]+c", "x{,100}x{,100}y", r"\w+\s?\w{2,}z", "(?P<n>a)(?P=n)", "(?i)a",
]  # fmt: skip
EMPTY = ["a*", r"\b", "^$", "(a|)", "(?:a?)", r"\A", "x{0}", r"(\b|^)", "a{0,4}"]
BROKEN = ["[", "(", "x" * 300, "a{1,5000}", "*a", r"\p"]
ALLOWED = [
    r"[A-Z]{2}-\d{6}", r"ZX[0-9]{4,8}", r"\bEMP\d+\b", "(?:GB|IE|FR)[0-9]{9}",
    r"[^\W\d_]{2}\d{4}[A-Z]?",
    r"[]\[]\d{3}",
    r"\d{3}[- ]?\d{3}[- ]?\d{4}", "badge {}[0-9]{4}", r"(REF|TKT)[-/ ]?\d{4,12}",
]  # fmt: skip


@pytest.mark.parametrize("pattern", [*CATASTROPHIC, *EMPTY, *BROKEN])
def test_a_dangerous_pattern_is_refused(pattern: str) -> None:
    """What could run for ever, matches nothing, or does not compile is refused, with a reason."""
    with pytest.raises(ValueError, match="pattern"):
        check_pattern(pattern)


@pytest.mark.parametrize("pattern", ALLOWED)
def test_an_identifier_format_is_taken(pattern: str) -> None:
    """What an identifier format needs is allowed."""
    check_pattern(pattern)


# A pattern as a tree: ("char", text), ("cat", parts), ("or", parts), ("repeat", part, low, high).
Tree = tuple[object, ...]


def render(tree: Tree) -> str:
    """Write a tree down as a pattern."""
    match tree:
        case ("char", str(text)):
            return text
        case ("cat", list(parts)):
            return "".join(f"(?:{render(p)})" if p[0] == "or" else render(p) for p in parts)
        case ("or", list(parts)):
            return "|".join(map(render, parts))
        case ("repeat", tuple(part), int(low), high):
            inside = render(part) if part[0] == "char" else f"(?:{render(part)})"
            return f"{inside}{{{low},{'' if high is None else high}}}"
    raise AssertionError(tree)


class Exhausted(Exception):
    """The matcher took more steps than it may."""


def steps(tree: Tree, text: str, limit: int) -> int:
    """Count the steps of a plain backtracking matcher that searches `text` and fails."""
    count = 0

    def run(node: Tree, at: int, go_on: Callable[[int], bool]) -> bool:
        nonlocal count
        count += 1
        if count > limit:
            raise Exhausted
        match node:
            case ("char", str(char)):
                return at < len(text) and text[at] in char.strip("[]") and go_on(at + 1)
            case ("cat", list(parts)):
                if not parts:
                    return go_on(at)
                return run(parts[0], at, lambda end: run(("cat", parts[1:]), end, go_on))
            case ("or", list(parts)):
                return any(run(part, at, go_on) for part in parts)
            case ("repeat", tuple(part), int(low), high):
                more = ("repeat", part, max(0, low - 1), None if high is None else high - 1)
                if (high is None or high > 0) and run(
                    part, at, lambda end: end > at and run(more, end, go_on)
                ):
                    return True
                return low == 0 and go_on(at)
        raise AssertionError(node)

    for start in range(len(text)):
        run(tree, start, lambda _: False)  # the worst case: whatever matched, it was not enough
    return count


CHARS = st.tuples(st.just("char"), st.sampled_from(["a", "b", "[ab]"]))
BOUNDS = st.sampled_from([(0, 1), (1, 2), (0, 9), (1, 3), (2, 2), (0, None), (1, None), (1, 40)])
TREES: st.SearchStrategy[Tree] = st.recursive(
    CHARS,
    lambda inner: st.one_of(
        st.tuples(st.just("cat"), st.lists(inner, min_size=1, max_size=6)),
        st.tuples(st.just("or"), st.lists(inner, min_size=2, max_size=3)),
        st.builds(lambda part, bound: ("repeat", part, *bound), inner, BOUNDS),
    ),
    max_leaves=12,
)
TEXT = "a" * 40
LIMIT = 40 * 2000 * 60  # places, ways, steps of one way


@settings(max_examples=400, deadline=None)
@given(TREES)
@example(("cat", [("repeat", ("char", "a"), 0, 1)] * 40 + [("char", "b")]))
@example(("cat", [("repeat", ("char", "a"), 1, None)] * 4 + [("char", "b")]))
def test_what_is_allowed_takes_few_steps(tree: Tree) -> None:
    """No pattern that is allowed costs a backtracking matcher more than a fixed number of steps."""
    try:
        check_pattern(render(tree))
    except ValueError:
        return
    try:
        steps(tree, TEXT, LIMIT)
    except Exhausted:
        pytest.fail(f"allowed, but could run for ever: {render(tree)}")
