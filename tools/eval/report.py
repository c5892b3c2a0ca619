"""Writes the measured rows as Markdown tables."""
import math

from tools.eval.judge import FACTS
from tools.eval.measure import QUALITIES

NORMAL_95 = 1.96


def interval(right, asked):
    """The 95 % interval of a share (Wilson)."""
    z = NORMAL_95 ** 2
    share = right / asked
    middle = (share + z / (2 * asked)) / (1 + z / asked)
    reach = NORMAL_95 / (1 + z / asked) * math.sqrt(share * (1 - share) / asked + z / (4 * asked ** 2))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def share(right, asked):
    """A share in per cent with its interval."""
    low, high = interval(right, asked)
    return f"{100 * right / asked:.1f} ({100 * low:.0f}-{100 * high:.0f})"


def table(head, lines):
    """A Markdown table."""
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *lines)]


def accuracy_table(name, results):
    """One set: a line for each row, a column for each fact that its prompts state."""
    facts = [fact for fact in FACTS if any(fact in result["accuracies"].get(name, {}) for result in results)]
    lines = []
    for result in results:
        counts = result["accuracies"][name]
        lines.append([result["row"], *(share(*counts[fact]) if fact in counts else "" for fact in facts)])
    return table(["row", *facts], lines)


def quality_table(results):
    """How the rows' pictures compare with real ones."""
    lines = [[r["row"], *(f"{r['qualities'][name]:.4g}" for name in QUALITIES)] for r in results]
    return table(["row", *QUALITIES], lines)


def report(results, preset, sets, counts):
    """The whole report."""
    text = [f"# Evaluation, preset `{preset}`", ""]
    text += ["Shares are in per cent, with 95 % intervals. `ceiling` are real pictures of the same prompts: it shows "
             "what the measures themselves get wrong. `retrieval` are real pictures of the nearest training caption.",
             ""]
    for name in sets:
        asked = counts[name]
        text += [f"## {name} ({asked} prompts)", "", *accuracy_table(name, results), ""]
    text += ["## Pictures", "", *quality_table(results), "", "## Meaning", ""]
    text += [f"* {name}: {meaning}" for name, meaning in (FACTS | QUALITIES).items()]
    return "\n".join(text) + "\n"
