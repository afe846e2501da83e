"""Sentences are told apart, and what follows a colon does not count."""

from tests.support.prose import MOST_WORDS, long_sentences


def test_a_sentence_is_long_by_its_words_before_the_colon() -> None:
    most = " ".join(["word"] * MOST_WORDS)
    assert long_sentences(f"{most}. {most}: {most}. best1 is 0.5 above, {most}.") == [f"best1 is 0.5 above, {most}."]
