"""Reading speech that was written down by a machine: words, phrases, numbers and dates.

Lower case, no punctuation and wrong words are the normal case. Nothing here judges what was said;
it only says what stands where. It imports the records of `redaction` and nothing else of ours.
"""
