"""The blocks of a report: folds hold what they are given, in order."""

from analysis.page.document import Folded, Paragraph, fold, unfolded

ONE, TWO, THREE = (Paragraph(text) for text in "abc")


def test_nothing_is_folded_where_there_is_nothing() -> None:
    assert fold("title", []) == ()
    assert fold("title", (block for block in [ONE])) == (Folded("title", (ONE,)),)


def test_folds_within_folds_lose_no_block_and_keep_the_order() -> None:
    blocks = [ONE, *fold("outer", [TWO, *fold("inner", [THREE, ONE]), TWO]), THREE]
    assert list(unfolded(blocks)) == [ONE, TWO, THREE, ONE, TWO, THREE]
