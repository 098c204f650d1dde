"""Makes an SVG picture of a terminal from ANSI text on standard input (tmux capture-pane -pe), standard library only.

    tmux capture-pane -pet demo | python3 tools/terminal_svg.py 'sweep run sweeps/beam_grid.yaml' > docs/quickstart.svg
"""
import html, re, sys

COLOURS = ["#3b4252", "#bf616a", "#a3be8c", "#ebcb8b", "#81a1c1", "#b48ead", "#88c0d0", "#e5e9f0",
           "#616e88", "#d08770", "#b5d19a", "#f0d399", "#93b3d6", "#c79fc0", "#9fd3e0", "#ffffff"]
CELL, LINE, PAD, TOP = 8.43, 18, 16, 40


def spans(line):
    style = {"fg": None, "bold": False, "dim": False, "reverse": False}
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        match = re.fullmatch(r"\x1b\[([0-9;]*)m", part)
        if not match:
            text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\(B", "", part)
            if text:
                yield text, dict(style)
            continue
        codes = [int(c or 0) for c in match.group(1).split(";")]
        while codes:
            c = codes.pop(0)
            if c == 0:
                style.update(fg=None, bold=False, dim=False, reverse=False)
            elif c in (1, 2, 7):
                style[{1: "bold", 2: "dim", 7: "reverse"}[c]] = True
            elif c == 22:
                style.update(bold=False, dim=False)
            elif c == 27:
                style["reverse"] = False
            elif c == 39:
                style["fg"] = None
            elif 30 <= c <= 37 or 90 <= c <= 97:
                style["fg"] = COLOURS[c - 30 if c < 40 else c - 82]
            elif c == 38 and codes[:1] == [5]:
                n = codes[1]
                codes = codes[2:]
                style["fg"] = COLOURS[n] if n < 16 else "#%02x%02x%02x" % (
                    tuple([0, 95, 135, 175, 215, 255][i] for i in ((n - 16) // 36, (n - 16) // 6 % 6, (n - 16) % 6))
                    if n < 232 else (8 + 10 * (n - 232),) * 3)


def main():
    title = sys.argv[1] if len(sys.argv) > 1 else ""
    lines = sys.stdin.read().rstrip("\n").split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    width = max([len(re.sub(r"\x1b[^m]*m", "", line)) for line in lines] + [80])
    w, h = 2 * PAD + CELL * width, TOP + LINE * len(lines) + PAD
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w:.0f} {h:.0f}" width="{w:.0f}" height="{h:.0f}" '
           'font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,\'DejaVu Sans Mono\',monospace" font-size="14">',
           f'<rect width="100%" height="100%" rx="8" fill="#242933"/>']
    for i, colour in enumerate(["#bf616a", "#ebcb8b", "#a3be8c"]):
        out.append(f'<circle cx="{20 + 20 * i}" cy="18" r="6" fill="{colour}"/>')
    out.append(f'<text x="{w / 2:.0f}" y="23" fill="#8a93a5" text-anchor="middle">{html.escape(title)}</text>')
    for row, line in enumerate(lines):
        x = 0
        for text, style in spans(line):
            attributes = f'fill="{style["fg"] or "#d8dee9"}"'
            if style["bold"]:
                attributes += ' font-weight="bold"'
            if style["dim"]:
                attributes += ' opacity="0.6"'
            if text.strip():
                out.append(f'<text x="{PAD + CELL * x:.1f}" y="{TOP + LINE * (row + 0.75):.1f}" xml:space="preserve" '
                           f'textLength="{CELL * len(text):.1f}" {attributes}>{html.escape(text)}</text>')
            x += len(text)
    out.append("</svg>")
    print("\n".join(out))


main()
