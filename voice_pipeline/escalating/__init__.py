"""Escalations in time: who has to see to a flag, by when, who is told, and what people decide.

`raising` says what follows from a call's flags, `timing` when the next notice is due, `keeper`
sends notices, and `desk` is for people.
"""
