#!/usr/bin/env bash
# Workers that live on without a word: one that closes its events is asked to end and counts as failed.
. "$SOURCE_DIR/tests/lib.sh"
. "$SOURCE_DIR/tests/fake_lib.sh"
have_sqlite3
write_sweep grid.yaml
RUN_LIMIT=40
FAKE_RULES="num_virtual_tokens=5:close:1" run "$SWEEP" run grid.yaml --set "num_beams=3"
expect_status 0
expect_err "killed by signal 15"
expect_query 12 "SELECT count(*) FROM leaderboard WHERE status = 'done'"
finish
