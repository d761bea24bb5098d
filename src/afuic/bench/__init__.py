"""The comparison of methods: suites as data, their runs, the document they are written to, and the tables and figures made from it."""
