#!/usr/bin/env bash
# What code and docs point at is there: sections of docs/REFERENCE.md, invariants and headings of docs/ARCHITECTURE.md,
# links between pages, files named in backticks, and the arrows that ARCHITECTURE.md shows beside layers.sh's table.
set -u
cd "$SOURCE_DIR" || exit 1
command -v python3 >/dev/null || { echo "skipped: needs python3"; exit 77; }
exec python3 - <<'END'
import glob, os, re, sys

bad = 0
def complain(where, what):
    global bad
    bad = 1
    print(f"{where}: {what}")

def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()

def files(folders, endings):
    for folder in folders:
        for root, folders_, names in os.walk(folder):
            folders_[:] = [f for f in folders_ if f not in ("build", "__pycache__")]
            for name in names:
                if name.endswith(endings):
                    yield os.path.join(root, name)

def headings(page):
    text = re.sub(r"^```.*?^```", "", read(page), flags=re.M | re.S)
    return re.findall(r"^#+ +(.*)$", text, flags=re.M)

pages = ["README.md"] + sorted(files(["docs"], (".md",)))
code = sorted(files(["src", "runner", "tests", "tools", "bench", "sweeps", "docs"],
              (".c", ".h", ".def", ".sh", ".py", ".yaml", ".txt", ".md"))) + glob.glob("*.sh") + ["README.md", "CMakeLists.txt"]
code = [f for f in code if not f.endswith((".txt",)) or f.endswith("CMakeLists.txt")]
code.remove("tests/style/citations.sh")
titles = {page: headings(page) for page in pages}
sections = {m.group(1) for h in titles["docs/REFERENCE.md"] if (m := re.match(r"(\d+(?:\.\d+)?)\.? ", h))}
part = re.search(r"^## Invariants$(.*?)^## ", read("docs/ARCHITECTURE.md"), flags=re.M | re.S)
invariants = set(re.findall(r"^(\d+)\. ", part.group(1), flags=re.M)) if part else set()
here = {os.path.basename(f) for f in files(["src", "runner", "tests", "tools", "bench", "sweeps", "docs"], "")}
cited = 0

for path in code:
    text = read(path)
    for match in re.finditer(r"\b(DESIGN|DEFECTS|STYLE)\b(?!S)|§ ?\d|\bshared/[A-Z]\w*\.md|\bREFERENCE (?:§|\d)", text):
        complain(path, f"cites {match.group(0)!r}, which is no file of this repository")
    joined = re.sub(r"\s*\n[ \t]*(?:\*|#|//)?[ \t]+", " ", text)  # a citation may go on in the next line of a comment
    for page, rest in re.findall(r"\b(docs/[\w/]+\.\w+)((?:, (?:invariant \d+|\"[^\"]+\"|\d[\d., to]*))?)", joined):
        cited += 1
        rest = rest[2:]
        if not os.path.exists(page):
            complain(path, f"names {page}, which is not there")
        elif rest.startswith('"'):
            if rest.strip('"') not in titles[page]:
                complain(path, f"{page} has no heading {rest}")
        elif rest.startswith("invariant"):
            if page != "docs/ARCHITECTURE.md" or rest.split()[1] not in invariants:
                complain(path, f"{page} has no {rest}")
        elif rest and page == "docs/REFERENCE.md":
            for number in re.findall(r"\d+(?:\.\d+)?", rest):
                if number not in sections:
                    complain(path, f"{page} has no section {number}")

for page in pages + ["runner/demo/README.md", "tests/golden/README.md"]:
    text = re.sub(r"^```.*?^```", "", read(page), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        full = os.path.normpath(os.path.join(os.path.dirname(page), name)) if name else page
        if not os.path.exists(full):
            complain(page, f"links to {target}, which is not there")
        elif anchor and full.endswith(".md"):
            slugs = [re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings(full)]
            if anchor not in slugs:
                complain(page, f"links to {target}: {full} has no such heading")
    for name in re.findall(r"`([\w./*-]+\.(?:c|h|def|sh|py|md|svg|yaml))`", text):
        if "/" in name and re.match(r"(src|runner|tests|tools|bench|docs|sweeps|reports)/", name):
            if not glob.glob(name):
                complain(page, f"names {name}, which is not there")
        elif "/" not in name and name.endswith((".c", ".h", ".def")):
            if name not in here and not (set(here) & set(f for f in here if re.fullmatch(name.replace("*", ".*"), f))):
                complain(page, f"names {name}, which is in no folder")

table = re.search(r"arrows='\n(.*?)'", read("tests/style/layers.sh"), flags=re.S).group(1)
shown = re.search(r"<!-- arrows: as in tests/style/layers.sh -->\n```\n(.*?)```", read("docs/ARCHITECTURE.md"), flags=re.S)
rows = lambda text: sorted(" ".join(line.split()) for line in text.splitlines() if line.strip())
if not shown:
    complain("docs/ARCHITECTURE.md", "shows no arrows")
elif rows(table) != rows(shown.group(1)):
    complain("docs/ARCHITECTURE.md", "its arrows are not those of tests/style/layers.sh: change both tables alike")

if cited < 50:
    complain("tests/style/citations.sh", f"found only {cited} citations: it does not see what it should")
sys.exit(bad)
END
