"""Published methods to be measured beside ours, each in one file from its paper, each with a page in docs/methods."""
