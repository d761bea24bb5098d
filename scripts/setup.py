"""Make .venv with the pinned dependencies and this package; nothing when it is up to date. Runs on any Python 3, to say so if too old.

``TORCH_INDEX`` in the environment names a further package index, for example one with CPU-only builds of torch.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".ready"
LOCK = ROOT / "requirements.lock"
OLDEST = (3, 11)
COMPILE = """
import compileall, re, sysconfig
compileall.compile_dir(sysconfig.get_path("purelib"), quiet=2, workers=0, rx=re.compile(r"[/\\\\]tests?[/\\\\]"))
"""
STEPS = ("Collecting ", "Requirement already satisfied: ", "Processing ")


def main():
    """Set up, or end with a sentence that says why not."""
    state = "".join(path.read_text(encoding="utf-8") for path in (LOCK, ROOT / "pyproject.toml")) + str(VENV)
    if PYTHON.exists() and STAMP.exists() and STAMP.read_text(encoding="utf-8") == state:
        return
    if sys.version_info[:2] < OLDEST:
        here = "{}.{} ({})".format(*sys.version_info[:2], sys.executable)
        stop(f"Python 3.11 or newer is needed, this is {here}; name one: make setup PYTHON=python3.12")
    print("setup: making .venv and installing the pinned packages; some minutes the first time", flush=True)
    make_venv()
    index = os.environ.get("TORCH_INDEX")
    install(["--no-compile", "-r", str(LOCK)] + (["--extra-index-url", index] if index else []), count())
    compile_all()
    install(["--no-deps", "--no-build-isolation", "-e", str(ROOT)], 0)
    STAMP.write_text(state, encoding="utf-8")
    print("setup: done", flush=True)


def count():
    """How many packages the lock names."""
    return sum("==" in line for line in LOCK.read_text(encoding="utf-8").splitlines())


def make_venv():
    """The environment itself; on Debian and Ubuntu the module for it is a package of its own."""
    if STAMP.exists():
        STAMP.unlink()
    done = subprocess.run([sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout + done.stderr, file=sys.stderr)
        stop("python -m venv failed (see above); on Debian or Ubuntu: apt install python3-venv")


def install(arguments, total):
    """pip install, with a line for every ten packages and for every long download; its whole output if it fails."""
    command = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off", *arguments]
    lines, seen = [], 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        for line in pip.stdout:
            lines.append(line)
            seen += line.startswith(STEPS)
            tell(line.strip(), seen, total)
    if pip.returncode:
        print("".join(lines[-30:]), file=sys.stderr)
        stop("pip could not install the pinned packages (see above); is a package index reachable?")


def compile_all():
    """Bytecode of what was installed, on all cores, where pip uses one. Without it every process compiles anew wherever Python may not
    write it later.
    """
    print("setup: compiling", flush=True)
    subprocess.run([str(PYTHON), "-c", COMPILE], check=False)


def tell(line, seen, total):
    """One line of progress, now and then."""
    if line.startswith(STEPS) and seen % 10 == 1 and seen <= total:
        print(f"setup: package {seen} of {total}", flush=True)
    elif line.startswith("Downloading ") and (" MB)" in line or " GB)" in line):
        file, size = line.split()[1], line[line.rindex("(") :]
        print(f"setup: fetching {file.rsplit('/', 1)[-1].split('-')[0]} {size}", flush=True)
    elif line.startswith("Installing collected packages") and total:
        print("setup: unpacking", flush=True)


def stop(reason):
    """End with one sentence."""
    sys.exit(f"afuic setup: {reason}")


if __name__ == "__main__":
    main()
