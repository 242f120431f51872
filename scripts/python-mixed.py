"""The sequence of operations of scripts/python-mixed, which prepares its environment."""

import os
import random
import subprocess
import sys
from pathlib import Path

import boto3
from click.testing import CliRunner
from deltaglider.app.cli.main import cli

home, seed, steps, wanted, room = (
    sys.argv[1],
    int(sys.argv[2]),
    int(sys.argv[3]),
    sys.argv[4],
    Path(sys.argv[5]),
)
LIST = Path("scripts/python-mixed.exceptions")
# The sections are those of our notes on the Python tool, 6.2.0.
SHADOWED = (
    "2.1",
    "the Python tool stored a delta of a name that is stored directly, and leaves that object, "
    "which it reads first (1.3)",
)
NAMES = [
    "app-1.zip",
    "app-2.zip",
    "lib.jar",
    "notes.txt",
    "rel/app-1.zip",
    "rel/app-2.zip",
    "rel/data.tar",
    "rel/notes.txt",
    "rel/1.0/app.zip",
    "rel/1.1/app.zip",
    "rel/1.1/notes.txt",
    "rel10/app.zip",
    "日本/app.zip",
    "rel/naïve.zip",
    "rel/日本.txt",
    "with space+%/a b.zip",
]
bucket = f"mixed-{home}"
r = random.Random(seed)
s3 = boto3.client("s3")
s3.create_bucket(Bucket=bucket)
model = {}
rows = []
counts = {
    "steps": 0,
    "by the Python tool": 0,
    "by ours": 0,
    "read by ours": 0,
    "read by the Python tool": 0,
}


def python(*arguments):
    return CliRunner().invoke(cli, list(arguments))


def ours(*arguments):
    done = subprocess.run([os.environ["OURS"], *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(
            f"step {counts['steps']}: deltaglider {' '.join(arguments)}: {done.stdout}{done.stderr}"
        )


def version(number):
    """Returns one of the versions of a file of 40 KB."""
    data = bytearray(random.Random(99).randbytes(40_000))
    edit = random.Random(number)
    for _ in range(4):
        at = edit.randrange(39_000)
        data[at : at + 50] = edit.randbytes(50)
    return b"PK\x03\x04" + bytes(data)


def content(by_python):
    dice = r.random()
    if home == "no" or dice < 0.75:
        return version(r.randrange(12))
    if dice < 0.9:
        return r.randbytes(20_000)
    # An empty file makes the Python tool divide by zero (2.1).
    return b"short" if dice < 0.95 or by_python else b""


def absent(name):
    heads = [f"s3://{bucket}/{name}"]
    for uri in heads:
        done = subprocess.run(
            [os.environ["OURS"], "cp", uri, str(room / "back")], capture_output=True, text=True
        )
        if done.returncode == 0:
            sys.exit(f"step {counts['steps']}: ours reads {name}, which was deleted")


def read_by_ours(name):
    back = room / "back"
    back.unlink(missing_ok=True)
    ours("cp", f"s3://{bucket}/{name}", str(back))
    counts["read by ours"] += 1
    if back.read_bytes() != model[name]:
        sys.exit(f"step {counts['steps']}: ours reads another content of {name}")


def read_by_python(name):
    back = room / "back"
    back.unlink(missing_ok=True)
    done = python("cp", f"s3://{bucket}/{name}", str(back))
    counts["read by the Python tool"] += 1
    if done.exit_code == 0 and back.read_bytes() == model[name]:
        return
    plain = stored(name)
    if (
        name in shadowed
        and done.exit_code == 0
        and plain is not None
        and back.read_bytes() == plain
    ):
        rows.append((counts["steps"], name, *SHADOWED))
        return
    sys.exit(f"step {counts['steps']}: the Python tool does not read {name}: {done.output}")


def stored(key):
    try:
        return s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except s3.exceptions.NoSuchKey:
        return None


shadowed = set()
for step in range(1, steps + 1):
    counts["steps"] = step
    name = r.choice(NAMES)
    by_python, delete = r.random() < 0.5, r.random() < 0.2
    counts["by the Python tool" if by_python else "by ours"] += 1
    uri = f"s3://{bucket}/{name}"
    if delete:
        if by_python:
            done = python("rm", uri)
            if done.exit_code != 0:
                sys.exit(f"step {step}: {done.output}")
        elif name in model:
            ours("rm", uri)
        model.pop(name, None)
        shadowed.discard(name)
        absent(name)
    else:
        file = room / "in" / Path(name).name
        data = content(by_python)
        file.write_bytes(data)
        if by_python:
            done = python("cp", str(file), uri)
            # Metadata contains the name and must be ASCII (1.1); otherwise nothing is stored.
            if Path(name).name.isascii() and name.isascii():
                if done.exit_code != 0:
                    sys.exit(f"step {step}: {name}: {done.output}")
                model[name] = data
                if name.endswith((".zip", ".jar", ".tar")) and stored(name) is not None:
                    shadowed.add(name)
            elif done.exit_code == 0:
                model[name] = data
        else:
            whole = ["--no-delta"] if home == "yes" and r.random() < 0.15 else []
            ours("cp", *whole, str(file), uri)
            model[name] = data
            shadowed.discard(name)
        if name in model:
            read_by_ours(name)
    if step % 20 == 0 or step == steps:
        for name in sorted(model):
            read_by_ours(name)
            read_by_python(name)

print(
    f"{bucket}, seed {seed}: "
    + ", ".join(f"{n} {what}" for what, n in counts.items())
    + f", {len(rows)} exceptions"
)
if home == "no":
    if rows:
        sys.exit(f"exceptions, but none is allowed: {rows}")
    sys.exit()
table = "".join(f"{step}\t{name}\t{section}\t{why}\n" for step, name, section, why in rows)
head = "# Wrong reads of the Python tool in scripts/python-mixed, seed 1: step, name, section, reason\n"
if wanted == "write":
    LIST.write_text(head + table)
elif wanted == "print":
    print(table, end="")
else:
    lines = LIST.read_text().splitlines(keepends=True)
    expected = "".join(
        line for line in lines if line[0] != "#" and int(line.split("\t")[0]) <= steps
    )
    if table != expected:
        sys.exit(f"the exceptions are not those of {LIST}:\n{table}")
