"""The comparison of methods: suites as data, their runs, the document they are written to, and the tables and figures made from it.

In the order in which a suite passes through them:

- what is asked: ``suite`` (the types), ``suites`` (all there are), ``variants`` (their rows), ``preparing`` (what data have to say first);
- what it takes: ``planning`` (tasks and folders), ``task`` (one of them), ``extras`` (further measures: ``relearn``, ``ulira``);
- running it: ``running``, with ``room`` (enough of it?), ``remaining`` (how long yet), ``meter`` (CPU time that is the protocol's own);
- what came of it: ``gathering`` (from folders), ``document`` (bench.json);
- how it reads: ``measures`` (names), ``statistics``, with ``late`` and ``moments`` (from the curves), ``tables``, ``compact`` (the
  README's), ``formats``, ``figures``, ``page``, ``changes`` (between two documents).
"""
