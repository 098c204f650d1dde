#!/usr/bin/env bash
# sweep-exec alone: whatever a program does, one clear sentence, an exit status, nobody left behind, nothing half made.
. "$SOURCE_DIR/tests/lib.sh"
command -v python3 >/dev/null || skip "python3 is not installed"
EXEC=$BUILD_DIR/sweep-exec
export MARK=77$$ # in the command lines of what must not be left behind: nobody else's

# job NAME ARGV...: writes NAME.json; $MORE is a JSON object of further members
cat >job.py <<'EOF'
import json, os, sys
name, argv = sys.argv[1], sys.argv[2:]
at = os.getcwd() + "/" + name
job = {"sweep_command": 1, "key": (name + os.environ["MARK"] + "0" * 64)[:64], "stage": "train", "seed": "9007199254740993", "argv": argv, "env": [],
       "workdir": os.getcwd(), "dir": at, "part": at + ".part", "scratch": at + ".attempt",
       "config": json.dumps({"lr": 0.1}), "grace_ms": 300, "patterns": []}
job.update(json.loads(os.environ.get("MORE", "{}")))
json.dump(job, open(name + ".json", "w"))
EOF
attempt() { "$EXEC" "$1.json" >"$1.events" 2>"$1.err"; status=$?; }
go() { CHECKS=$((CHECKS + 1)); python3 job.py "$@"; attempt "$1"; }
# fails NAME STATUS TEXT: the last attempt ended so, its sentence has TEXT, and nothing stands in the artifact's place
fails() {
	[ "$status" = "$2" ] || fail "$1: expected exit status $2, found $status: $(cat "$1.err")"
	grep -qF -- "$3" "$1.err" || fail "$1: expected the sentence '$3', found: $(cat "$1.err")"
	[ ! -e "$1" ] || fail "$1: there is an artifact"
}
# says TEXT COMMAND...: the command prints just that
says() {
	local text=$1 found; shift
	CHECKS=$((CHECKS + 1)) found=$("$@")
	[ "$found" = "$text" ] || fail "expected $text, found $found"
}
good() { [ "$status" = 0 ] && [ -e "$1/artifact.json" ] && [ ! -e "$1.part" ] && [ ! -e "$1.attempt" ] || fail "$1: $status $(cat "$1.err")"; }
nobody() { ! pgrep -f "$1" >/dev/null || { pkill -9 -f "$1"; fail "a process was left behind: $1"; }; }

# all is well: the environment, values by three ways, the folder, the card
MORE='{"values_json": true, "patterns": [{"name": "acc", "regex": "acc=([0-9.]+)"}], "run": "12", "env": ["MINE=a b", "PATH='$PATH'"]}' \
	go well sh -c 'echo "$SWEEP_SEED $SWEEP_RUN $SWEEP_CONFIG $SWEEP_ATTEMPT $SWEEP_RESUME $MINE" >"$SWEEP_DIR/env"
		echo acc=0.5; echo "{\"val_loss\": 0.25, \"step\": 3}"; echo "{\"f1\": NaN}" >>"$SWEEP_METRICS"; mkdir "$SWEEP_DIR/sub"
		echo x >"$SWEEP_DIR/sub/y"; ln -s y "$SWEEP_DIR/sub/z"'
good well
says "9007199254740993 12 {\"lr\": 0.1} 1 0 a b" cat well/env
says '{"acc":0.5,"val_loss":0.25,"f1":null}' python3 -c '
import json; c = json.load(open("well/artifact.json")); print(json.dumps({k: v["last"] for k, v in c["values"].items()}, separators=(",", ":")))'
says '[".sweep/log.txt", ".sweep/values.jsonl", "env", "sub/y", "sub/z"]' python3 -c '
import json; print(json.dumps(sorted(json.load(open("well/artifact.json"))["files"])))'

go missing no-such-program-here; fails missing 2 'there is no program `no-such-program-here` on the PATH'
go absent ./no-such-file; fails absent 2 'there is no program `./no-such-file`'
echo true >plain; go plainfile ./plain; fails plainfile 2 '`./plain` is not executable'
go three sh -c 'echo the reason is this >&2; exit 3'
fails three 1 '` ended with exit status 3'; fails three 1 'the reason is this'
go killed sh -c 'kill -9 $$'; fails killed 1 'was killed by signal 9 (Killed), perhaps for lack of memory'
MORE='{"time_ms": 300}' go late sh -c 'trap "" TERM; echo started; sleep '$MARK'01 & sleep '$MARK'01'
fails late 1 'took longer than its time (1 s)'; nobody "sleep ${MARK}01"
go daemon sh -c 'setsid sleep '$MARK'02 >/dev/null 2>&1 </dev/null & (setsid sh -c "trap \"\" TERM; while :; do sleep '$MARK'02; done" &); exit 0'
good daemon; nobody "${MARK}02"
go closes sh -c 'exec >&- 2>&-; sleep 0.2; echo kept >"$SWEEP_DIR/file"'; good closes; [ -e closes/file ] || fail "what came after it closed its output is lost"
MORE='{"metric": "val_loss"}' go mute sh -c 'echo "{\"acc\": 1}" >>$SWEEP_METRICS'
fails mute 2 'did not report the value `val_loss`; it reported acc'
go invalid sh -c 'echo "{val_loss: 1" >>$SWEEP_METRICS; echo "{\"name\": \"text\", \"ok\": 2}" >>$SWEEP_METRICS'
good invalid; grep -q 'a line of $SWEEP_METRICS is no JSON object' invalid.events || fail "no word about invalid JSON"
grep -q '"ok"' invalid/artifact.json || fail "a value beside a text is lost"
go gone sh -c 'rm -rf "$SWEEP_DIR"'; fails gone 2 'removed its own folder'
go again sh -c 'rm -rf "$SWEEP_DIR"; mkdir "$SWEEP_DIR"; echo x >"$SWEEP_DIR/x"'; good again
go card sh -c 'echo x >"$SWEEP_DIR/artifact.json"'; fails card 2 'wrote a file artifact.json'
go fifo sh -c 'mkfifo "$SWEEP_DIR/p"'; fails fifo 2 'neither a file nor a folder'; [ ! -e fifo.part/.sweep ] || fail "our files stay in its folder"
MORE='{"patterns": [{"name": "l", "regex": "(("}]}' go regex true; fails regex 2 'values.l: `((` is no regular expression'
MORE='{"memory": 300000000}' go greedy python3 -c 'x = bytearray(10**9)'; fails greedy 1 'MemoryError'
go spaces sh -c 'printf "%s|" "$@" >"$SWEEP_DIR/args"' sh 'a b' '"q"' $'new\nline' '-x' 'ü' '' '$HOME `id`'
good spaces; says $'a b|"q"|new\nline|-x|ü||$HOME `id`|' cat spaces/args

# 300 MB of output is a log of at most a megabyte; a million values are kept, a few of them are told
go loud sh -c 'head -c 300000000 /dev/zero | tr "\0" "x"; echo; echo the end'
good loud; [ "$(stat -c %s loud/.sweep/log.txt)" -lt 1000000 ] || fail "the log is $(stat -c %s loud/.sweep/log.txt) bytes"
tail -n 1 loud/.sweep/log.txt | grep -q 'the end' || fail "the log's end is not the end"
go many python3 -c 'import os
f = open(os.environ["SWEEP_METRICS"], "a")
for i in range(1000000): f.write("{\"x\":%d}\n" % i)'
good many; says 1000000 sh -c 'wc -l <many/.sweep/values.jsonl'
[ "$(wc -l <many.events)" -lt 1000 ] || fail "$(wc -l <many.events) events for a million values"

# stopped: it ends by the signal, its program too; the next attempt knows of the last one and goes on
python3 job.py stop sh -c 'echo "{\"n\": $SWEEP_RESUME, \"step\": $SWEEP_ATTEMPT}" >>$SWEEP_METRICS
	if [ $SWEEP_RESUME = 0 ]; then echo half >"$SWEEP_DIR/checkpoint"; sleep '$MARK'03; else cp "$SWEEP_DIR/checkpoint" "$SWEEP_DIR/model"; fi'
"$EXEC" stop.json >stop.events 2>stop.err & pid=$!
until [ -e stop.part/checkpoint ]; do sleep 0.05; done
kill -TERM $pid; wait $pid; status=$?
[ $status = 143 ] || fail "stopped by SIGTERM, it ended with $status"
nobody "sleep ${MARK}03"
SWEEP_ATTEMPT=2 attempt stop; good stop; says half cat stop/model
says $'{"name":"n","step":1,"value":0}\n{"name":"n","step":2,"value":1}' cat stop/.sweep/values.jsonl

# killed: the program dies with it, what that had started is ended by the next attempt
python3 job.py kill sh -c 'if [ $SWEEP_RESUME = 0 ]; then setsid sleep '$MARK'04 & echo half >"$SWEEP_DIR/checkpoint"; sleep '$MARK'05; fi'
"$EXEC" kill.json >kill.events 2>kill.err & pid=$!
until [ -e kill.part/checkpoint ] && pgrep -f "sleep ${MARK}04" >/dev/null && pgrep -f "sleep ${MARK}05" >/dev/null; do sleep 0.05; done
kill -KILL $pid; wait $pid 2>/dev/null
for _ in $(seq 100); do pgrep -f "sleep ${MARK}05" >/dev/null || break; sleep 0.05; done
pgrep -f "sleep ${MARK}04" >/dev/null || fail "the test has nothing to show: the helper is gone already"
attempt kill; good kill; nobody "sleep ${MARK}0[45]"

# two at once: one does the work, the other says so
python3 job.py two sh -c 'echo x >"$SWEEP_DIR/begun"; until [ -e go ]; do sleep 0.05; done'
"$EXEC" two.json >/dev/null 2>&1 & pid=$!
until [ -e two.part/begun ]; do sleep 0.05; done
"$EXEC" two.json >two.events 2>two.err; status=$?; touch go; wait $pid
[ $status = 1 ] && grep -q 'another worker is at work' two.err || fail "two at once: $status $(cat two.err)"
[ -e two/begun ] || fail "the first was disturbed"
finish
