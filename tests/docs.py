#!/usr/bin/env python3
"""Runs what README.md and docs/ show: tests/cli/docs.sh calls it in a scratch folder with a results.db of 36 small runs.

    tests/docs.py SOURCE_DIR PAGE...

    ```sh     run by bash, in the order of the page; each command must succeed
    ```sql    asked of results.db; must give rows, and a table that is shown below must have the same columns
    ```yaml   a sweep file: must pass `sweep run --dry-run`
    anything else is text, and must not begin like a command

A comment in front of a block changes that:

    <!-- not run: WHY -->      (sh, sql, yaml, python)
    <!-- dry run: WHY -->      `sweep run` gets --dry-run
    <!-- may be empty: WHY -->       the block's last query may have no rows
    <!-- commands of this page are not run: WHY -->       at the head of a page
"""
import os, re, sqlite3, subprocess, sys

MARK = re.compile(r"^<!-- (not run|dry run|may be empty): (.+) -->$")
COMMAND = re.compile(r"^(\$ |\./|sweep (run|report|show|compare|status|fetch|score|generate|params|check)\b|sweep-runner |cmake |ctest |tools/|bench/|build/|sqlite3 |python)")
DRY = 'sweep() { if [ "$1" = run ]; then command sweep "$@" --dry-run; else command sweep "$@"; fi; }\n'


class Block:
    def __init__(self, where, language, text, mark, why):
        self.where, self.language, self.text, self.mark, self.why = where, language, text, mark, why


def blocks(path, name, complain):
    """The fenced blocks of a page, in order, each with the mark in front of it."""
    lines = open(path, encoding="utf-8").read().split("\n")
    mark = why = fence = None
    in_list = False
    for number, line in enumerate(lines, 1):
        if fence is not None:
            if line.strip() == "```":
                yield Block(f"{name}:{start}", fence, "\n".join(text) + "\n", mark, why)
                fence = mark = why = None
            else:
                text.append(line)
            continue
        if line.lstrip().startswith("```"):
            fence, text, start = line.strip()[3:].strip(), [], number
        elif found := MARK.match(line):
            mark, why = found.groups()
        elif line.strip():
            if line.startswith("    ") and not in_list and not lines[number - 2].strip():
                complain(f"{name}:{number}", "an indented block: fence it, as sh, sql, yaml or text")
            if not line.startswith(" "):
                in_list = bool(re.match(r"([-*]|\d+\.) ", line))
            mark = why = None


def columns_shown(text):
    for line in text.split("\n"):
        if line.startswith("│"):
            return [cell.strip() for cell in line.strip("│").split("│")]
    return None


def main():
    source, pages = sys.argv[1], sys.argv[2:]
    ran = {"sh": 0, "sql": 0, "yaml": 0, "not run": 0}
    bad = 0

    def complain(where, what):
        nonlocal bad
        bad += 1
        print(f"FAIL: {where}: {what}")

    def shell(block, script):
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], stdin=subprocess.DEVNULL, timeout=120,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        if done.returncode:
            complain(block.where, f"exit status {done.returncode}\n{block.text}{done.stdout[-2000:]}")

    for page in pages:
        path = os.path.join(source, page)
        quiet = re.search(r"^<!-- commands of this page are not run: (.+) -->$", open(path, encoding="utf-8").read(), re.M)
        asked = None
        for block in blocks(path, page, complain):
            if block.language in ("sh", "sql", "yaml", "python") and (block.mark == "not run" or quiet):
                ran["not run"] += 1
                print(f"not run: {block.where}: {block.why or quiet.group(1)}")
                asked = None
                continue
            if block.language == "sh":
                shell(block, (DRY if block.mark == "dry run" else "") + block.text)
            elif block.language == "sql":
                db = sqlite3.connect("file:results.db?mode=ro", uri=True)
                queries = [q for q in re.sub(r"--[^\n]*", "", block.text).split(";") if q.strip()]
                for query in queries:
                    try:
                        cursor = db.execute(query)
                        rows = cursor.fetchall()
                    except sqlite3.Error as error:
                        complain(block.where, f"{error}\n{query.strip()}")
                        continue
                    if not rows and not (block.mark == "may be empty" and query is queries[-1]):
                        complain(block.where, f"no rows\n{query.strip()}")
                    asked = [column[0] for column in cursor.description]
                db.close()
            elif block.language == "yaml":
                with open("docs_block.yaml", "w", encoding="utf-8") as file:
                    file.write(block.text)
                shell(block, "sweep run docs_block.yaml --dry-run --db docs_block.db")
            elif block.language == "python":
                complain(block.where, "Python is not run here: say so in front of the block")
            else:
                if COMMAND.match(block.text) and not (block.mark == "not run" or quiet):
                    complain(block.where, "begins like a command: fence it as sh, or say in front why it is not run")
                shown = columns_shown(block.text)
                if asked and shown and shown != asked:
                    complain(block.where, f"shows the columns {', '.join(shown)}; the query gives {', '.join(asked)}")
                asked = None
            if block.language in ran:
                ran[block.language] += 1
            if block.language != "sql":
                asked = None
    print(", ".join(f"{count} {kind}" for kind, count in ran.items()))
    if min(ran["sh"], ran["sql"], ran["yaml"]) == 0:
        complain("README.md, docs/", "nothing was found to run")
    return 1 if bad else 0


sys.exit(main())
