"""The app that Flower carries to every node: it holds no code of its own but names what the installed afuic brings."""

from __future__ import annotations

import tomli_w

from afuic.deploy.files import Tree, text

PACKAGE = "afuic_federation"
_MODULE = '''\
"""Flower looks for its apps here; they are part of the afuic that is installed on each machine."""

from afuic.engines.flower import client_app, server_app

__all__ = ["client_app", "server_app"]
'''
_LICENCE = """\
This app is a part of afuic and licensed, like afuic, under the Apache License, Version 2.0:
https://www.apache.org/licenses/LICENSE-2.0
"""


def files(version: str) -> Tree:
    """``pyproject.toml``, ``LICENSE`` and the module, below ``app/``."""
    project = {
        "build-system": {"requires": ["setuptools>=77"], "build-backend": "setuptools.build_meta"},
        "project": {
            "name": PACKAGE.replace("_", "-"),
            "version": version,
            "description": "A federation that can unlearn",
            "license": {"file": "LICENSE"},
            "dependencies": ["flwr>=1.41,<1.43"],
        },
        "tool": {
            "flwr": {
                "app": {
                    "publisher": "afuic",
                    "fab-format-version": 1,
                    "flwr-version-target": "1.41.0",
                    "components": {"serverapp": f"{PACKAGE}:server_app", "clientapp": f"{PACKAGE}:client_app"},
                    "config": {},
                }
            }
        },
    }
    return {
        "app/pyproject.toml": text(tomli_w.dumps(project)),
        "app/LICENSE": text(_LICENCE),
        f"app/{PACKAGE}/__init__.py": text(_MODULE),
    }
