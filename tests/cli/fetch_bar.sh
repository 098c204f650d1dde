#!/usr/bin/env bash
# What a person sees: on a terminal a bar with speed and ETA that fits its width, elsewhere plain lines only.
. "$SOURCE_DIR/tests/lib.sh"
. "$SOURCE_DIR/tests/hub_lib.sh"
python3 -c 'import pty; pty.openpty()' 2>/dev/null || skip 'this machine gives no pseudo-terminals (is /dev/pts mounted?)'

hub_start --repo m="$DEMO"
SLOW='[{"method": "GET", "path": "cdn", "do": "slow", "rate": 4000000}]'
# terminal COLUMNS COMMAND...: runs it with stderr on a terminal of that width; what it drew is on stdout
cat >terminal.py <<'P'
import fcntl, os, pty, struct, subprocess, sys, termios
main, side = pty.openpty()
fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, int(sys.argv[1]), 0, 0))
child = subprocess.Popen(sys.argv[2:], stderr=side, stdout=subprocess.DEVNULL)
os.close(side)
try:
    while data := os.read(main, 65536):
        sys.stdout.buffer.write(data)
except OSError:
    pass
sys.exit(child.wait())
P
export TERM=xterm
fresh "$SLOW"
run python3 terminal.py 100 "$SWEEP" fetch m
expect_status 0; expect_out "model.safetensors ["; expect_out "#"; check grep -Eq "MB/s  ETA [0-9]+ s" <<<"$OUT"; expect_out "fetched model.safetensors"
# no line is wider than the terminal less one column; every bar is wiped before the line that stays
printf '%s' "$OUT" | tr '\r' '\n' | sed 's/\x1b\[K//g' >lines
check [ "$(awk '{ if (length($0) > n) n = length($0) } END { print n }' lines)" -le 99 ]
check [ "$(grep -c 'ETA' lines)" -ge 5 ]
check [ "$(printf '%s' "$OUT" | tr '\n' '\r' | tr '\r' '\n' | grep -a 'fetched model' | grep -c ETA)" -eq 0 ]
fresh "$SLOW"; run python3 terminal.py 40 "$SWEEP" fetch m
check [ "$(printf '%s' "$OUT" | tr '\r' '\n' | sed 's/\x1b\[K//g' | grep -v ^fetched | awk '{ if (length($0) > n) n = length($0) } END { print n }')" -le 39 ]

# no bar: asked for, a dumb terminal, a pipe
fresh "$SLOW"; run env HF_HUB_DISABLE_PROGRESS_BARS=1 python3 terminal.py 100 "$SWEEP" fetch m
expect_status 0; check [ "${OUT#*ETA}" = "$OUT" ]; expect_out "fetched model.safetensors  6."
fresh "$SLOW"; run env TERM=dumb python3 terminal.py 100 "$SWEEP" fetch m
expect_status 0; check [ "${OUT#*ETA}" = "$OUT" ]
fresh "$SLOW"; run "$SWEEP" fetch m
expect_status 0; check [ "$(printf '%s\n' "$ERR" | wc -l)" -eq 7 ]; check [ "${ERR#*$'\r'}" = "$ERR" ]
check [ "$(printf '%s\n' "$OUT" | wc -l)" -eq 1 ]
finish
