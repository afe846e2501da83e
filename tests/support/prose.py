"""The length of sentences in what a report says."""

import re

#: The most words of a sentence; a list after a colon may be longer.
MOST_WORDS = 25

_BETWEEN = re.compile(r"(?<=\.)\s+(?=[A-Za-z])")


def long_sentences(text: str) -> list[str]:
    """Return the sentences of `text` with more than MOST_WORDS words before their first colon."""
    sentences = _BETWEEN.split(text)
    return [sentence for sentence in sentences if len(sentence.split(": ")[0].split()) > MOST_WORDS]
