"""Numbers in the form the report prints them: fractions as per cent or points, a missing value as a dash."""

from collections.abc import Mapping
from math import isnan
from typing import Any

from analysis.stats.paired_tests import ALPHA, PairedInterval, Spread
from study.schema import CONTAMINATED_BY, GROUPS, LENGTH_NOT_MEASURED, NOT_TRAINED_OUT

MISSING = "–"

#: Group of classes -> its heading.
GROUP_HEADINGS = {name: name.capitalize() for name in GROUPS}

_TINY = 0.001

#: Digits of a p value: the fewest, and the most that a p near a level gets.
_FEWEST_DIGITS, _MOST_DIGITS = 3, 7

_NO_MARKS = dict.fromkeys((0x2068, 0x2069))


def stamp(manifest: Mapping[str, Any]) -> str:
    """Return what stands before the caption of every result: why its numbers are not what they seem; or ''."""
    length = length_not_measured(manifest)
    data = "these images" if length and "these images" in length else "this cut"
    stamps = {
        "Selected on test.": manifest["data"].get("selected_on") == "test",
        "Contaminated teacher.": isinstance(manifest.get(CONTAMINATED_BY), str),
        "Not trained out.": not_trained_out(manifest) is not None,
        f"Length not measured for {data}.": length is not None,
    }
    return " ".join(text for text, holds in stamps.items() if holds)


def not_trained_out(manifest: Mapping[str, Any]) -> str | None:
    """Return why the students are not trained out, where study.json says so; a stranger's may hold anything."""
    return _of_recipe(manifest, NOT_TRAINED_OUT)


def length_not_measured(manifest: Mapping[str, Any]) -> str | None:
    """Return the sentence of study.json that says so where the recipe's length is not known for the study's data."""
    return _of_recipe(manifest, LENGTH_NOT_MEASURED)


def _of_recipe(manifest: Mapping[str, Any], key: str) -> str | None:
    recipe = manifest.get("recipe")
    reason = recipe.get(key) if isinstance(recipe, dict) else None
    return reason if isinstance(reason, str) else None


def percent(fraction: float | None, *, decimals: int = 1) -> str:
    """Return 0.7062 as '70.6', -0.03 as '−3.0', -0.0001 as '0.0'."""
    return MISSING if fraction is None or isnan(fraction) else f"{_percents(fraction):z.{decimals}f}".replace("-", "−")


def points(fraction: float) -> str:
    """Return a difference of fractions with its sign, 0.041 as '+4.1', -0.014 as '−1.4', -0.0001 as '0.0'."""
    if isnan(fraction):
        return MISSING
    text = f"{_percents(fraction):+.1f}".replace("-", "−")
    return "0.0" if text[1:] == "0.0" else text


def _percents(fraction: float) -> float:
    """Return 0.7955 as 79.55 to nine decimals, so that two ways of computing it are not written as 79.5 and 79.6."""
    return round(100 * fraction, 9)


def span(interval: PairedInterval) -> str:
    """Return '+3.0 to +5.2', or 'n too small' below two pairs."""
    if interval.n < 2:
        return "n too small"
    return f"{points(interval.low)} to {points(interval.high)}"


def bounds(interval: PairedInterval) -> str:
    """Return '(95 % interval +3.0 to +5.2)', or why there is no interval."""
    return "(n too small for an interval)" if interval.n < 2 else f"(95 % interval {span(interval)})"


def mean_sd(summary: Spread) -> str:
    """Return '70.6 ± 1.2', '70.6' where one value has no spread, or a dash."""
    return plus_minus(summary.mean, summary.sd)


def plus_minus(mean: float, sd: float) -> str:
    """Return '70.6 ± 1.2' of two fractions, '70.6' where `sd` is NaN, or a dash where `mean` is NaN."""
    return percent(mean) if isnan(sd) else f"{percent(mean)} ± {percent(sd)}"


def gain_text(mean: float, low: float, high: float) -> str:
    """Return '+4.1 (+3.0 to +5.2)' of three fractions, '+4.1' where there is no interval, or a dash."""
    return points(mean) if isnan(low) else f"{points(mean)} ({points(low)} to {points(high)})"


def percent_within(value: float, low: float, high: float) -> str:
    """Return '70.6 (69.1 to 72.0)' of three fractions, or a dash where `value` is NaN."""
    return MISSING if isnan(value) else f"{percent(value)} ({percent(low)} to {percent(high)})"


def p_value(p: float, *, level: float = ALPHA) -> str:
    """Return a p value as papers print it; near `level` with the digits that show on which side of it p lies."""
    if isnan(p):
        return MISSING
    if p < min(_TINY, level):
        return f"< {min(_TINY, level):g}"
    kept = (n for n in range(_FEWEST_DIGITS, _MOST_DIGITS) if (round(p, n) <= level) == (p <= level))
    return f"{p:.{next(kept, _MOST_DIGITS)}f}"


def listing(parts: list[str]) -> str:
    """Join with commas and a last 'and'."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


def still_climb(names: list[str]) -> str:
    """Return 'kd still climbs', 'la and kd still climb'."""
    return f"{listing(names)} still {'climbs' if len(names) == 1 else 'climb'}"


def isolated(name: str) -> str:
    """Return a name that a data set or a user chose, marked so that its direction of writing ends with it.

    The marks are Unicode's isolates; the page shows them as `<bdi>`, and Markdown leaves them out.
    """
    return f"\u2068{name.translate(_NO_MARKS)}\u2069"


#: Significant digits that print a number as it was typed or rounded.
EXACT = 10


def value_text(value: object, *, digits: int = 4) -> str:
    """Return a knob's value or a fact: a float with `digits` significant digits, a dash where there is none."""
    if value is None or value == "" or value != value:
        return MISSING
    # Formatted twice: '120', not '1.2e+02'.
    return f"{float(f'{value:.{digits}g}'):.{EXACT}g}" if isinstance(value, float) else str(value)


def time_unit(longest_s: float) -> tuple[float, str]:
    """Return the unit of durations up to `longest_s`: its seconds, and its name in the plural."""
    return (1.0, "seconds") if longest_s < 120 else (60.0, "minutes")


def plural(n: int, noun: str, nouns: str | None = None) -> str:
    """Return '1 seed', '6 seeds'; `nouns` is the plural of a noun that does not end in s."""
    return f"{n} {noun}" if n == 1 else f"{n} {nouns or f'{noun}s'}"
