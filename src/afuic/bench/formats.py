"""Tables as Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from afuic.bench import late, statistics
from afuic.bench.document import Document
from afuic.bench.late import LATE
from afuic.bench.measures import BY_PHASE, COSTS, CURVED, SPENT
from afuic.bench.statistics import Summary
from afuic.bench.tables import FLOOR, Cell, Table

HEAD = (
    "case", "row", "method", "oracle", "phase", "measure", "n", "mean", "sd",
    "z_mean", "z_sd", "z_worst", "not_apart", "of",
    "difference", "difference_low", "difference_high", "p", "p_holm",
)  # fmt: skip
TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", "≤": r"$\le$", "≥": r"$\ge$",
    "−": "$-$", "–": "--", "…": r"\ldots{}", "†": r"$\dagger$", "ⁿ": "$^n$", "|": r"\textbar{}",
    "\N{NO-BREAK SPACE}": "~",
}  # fmt: skip


def markdown(tables: Sequence[Table]) -> str:
    """All tables as GitHub reads them; what is told apart from retraining in no seed is bold."""
    return "\n".join(_markdown(table) for table in tables)


def _markdown(table: Table) -> str:
    return f"## {table.title}\n\n{table.note}\n\n{grid(table)}"


def grid(table: Table) -> str:
    """The table alone as Markdown, without title and note."""
    lines = [["method", *table.columns], ["---", *("---:" for _ in table.columns)]]
    lines += [[row.label, *(_marked(cell) for cell in row.cells)] for row in table.rows]
    return "\n".join(f"| {' | '.join(part.replace('|', chr(92) + '|') for part in line)} |" for line in lines) + "\n"


def _marked(cell: Cell) -> str:
    text = f"**{cell.text}**" if cell.strong else cell.text
    return f"{text}<br>{cell.words}" if cell.words else text


def latex(tables: Sequence[Table]) -> str:
    """One ``table`` for each, with ``\\hline`` and ``\\shortstack``: nothing beyond LaTeX itself is needed."""
    return "\n".join(_latex(table) for table in tables)


def _latex(table: Table) -> str:
    rows: list[list[str | Cell]] = [[row.label, *row.cells] for row in table.rows]
    body = "\n".join(" & ".join(_tex_cell(part) for part in row) + r" \\" for row in rows)
    heads = " & ".join(["method", *(_tex(column) for column in table.columns)])
    return (
        f"\\begin{{table}}\n\\caption{{{_tex(table.title)}. {_tex(table.note)}}}\n\\label{{tab:{table.name}}}\n"
        f"\\begin{{tabular}}{{l{'r' * len(table.columns)}}}\n\\hline\n{heads} \\\\\n\\hline\n{body}\n\\hline\n"
        "\\end{tabular}\n\\end{table}\n"
    )


def _tex_cell(part: str | Cell) -> str:
    if isinstance(part, str):
        return _tex(part)
    text = f"\\textbf{{{_tex(part.text)}}}" if part.strong else _tex(part.text)
    return f"\\shortstack[r]{{{text}\\\\{_tex(part.words)}}}" if part.words else text


def _tex(text: str) -> str:
    return "".join(TEX.get(character, character) for character in text)


def summaries_csv(document: Document) -> str:
    """One line for each case, row, phase and measure: numbers in full, so that other tables can be made of it."""
    return _csv(HEAD, _summaries(document))


def _summaries(document: Document) -> Iterator[list[object]]:
    keys = [(phase, s.key) for phase, shown in BY_PHASE.items() for s in shown]
    keys += [(statistics.COST, s.key) for s in COSTS] + [(statistics.SPENT, s.key) for s in SPENT]
    for name, case in document.cases.items():
        tests = statistics.tests(case)
        for phase, key in keys:
            for row, found in case.rows.items():
                c = tests.get(f"{phase} {key}", {}).get(row)
                ends = (None, None) if c is None or c.interval is None else c.interval
                test = [None] * 5 if c is None else [c.difference, *ends, c.p, c.corrected]
                summary = statistics.of_row(case, row, phase, key)
                if summary.n:
                    yield [name, row, found.method, int(found.oracle), phase, key, *_numbers(summary), *test]
            floor = statistics.of_retraining(case, phase, key)
            if floor.n:
                yield [name, FLOOR, "retrain", 0, phase, key, *_numbers(floor), *[None] * 5]


def _numbers(s: Summary) -> list[object]:
    return [s.n, s.mean, s.sd, s.z_mean, s.z_sd, s.z_worst, s.within, s.of]


def seeds_csv(document: Document) -> str:
    """One line for each value of each seed, retrained models included."""
    return _csv(("case", "seed", "row", "outcome", "phase", "measure", "value", "z", "apart"), _seeds(document))


def _seeds(document: Document) -> Iterator[list[object]]:
    for name, case in document.cases.items():
        for seed, found in case.seeds.items():
            for row, arm in found.arms.items():
                measured = [(phase, key, value) for phase, values in arm.phases.items() for key, value in values.items()]
                measured += [(LATE, key, mean) for key in CURVED if (mean := late.of_arm(arm, key)) is not None]
                for phase, key, value in measured:
                    yield [name, seed, row, arm.outcome, phase, key, value, *_judged(statistics.of_arm(found, row, phase, key))]
                for s in COSTS:
                    yield [name, seed, row, arm.outcome, statistics.COST, s.key, getattr(arm.costs, s.key), None, None]
            keys = [(phase, key) for phase, measures in found.retrained.phases.items() for key in measures]
            for phase, key in [*keys, *((LATE, key) for key in CURVED)]:
                each, left_out = statistics.of_models(found.retrained, phase, key), statistics.left_out(found, phase, key)
                for i, (value, gap) in enumerate(zip(each, left_out, strict=True)):
                    yield [name, seed, f"retrain/{i}", "released", phase, key, value, *_judged(gap)]


def _judged(gap: statistics.Gapped) -> tuple[float | None, int | None]:
    return gap[0], None if gap[1] is None else int(gap[1].apart)


def _csv(head: Sequence[str], lines: Iterator[list[object]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(lines)
    return buffer.getvalue()
