"""Delivery: a released note goes to a target once in effect, on the right record, or to a person.

`targets` says what targets there are, `mapping` and `wording` what a target is told, `packing`
what of a note may leave, `guard` whose record it is, and `courier` sends.
"""
