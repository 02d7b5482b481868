"""Policy packs: what is asked for, what is risky, where it goes. Data that people can read.

A pack is a folder of YAML; `load` makes it a frozen `Pack` or refuses it, `check` says what is
wrong line by line, `facts` and `rules` apply it to a call. Nothing here calls a model.
"""
