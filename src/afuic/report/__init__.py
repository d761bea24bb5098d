"""The report on a run, for people: one page, its figures and a table for the terminal, from results.json and events.jsonl alone."""

from afuic.report.journal import unusable
from afuic.report.page import write
from afuic.report.terminal import table

__all__ = ["table", "unusable", "write"]
