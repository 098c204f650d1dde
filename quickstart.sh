#!/usr/bin/env bash
# quickstart.sh - from a bare Debian 12 to the leaderboard of a real sweep: installs what is missing, builds, trains
# three prefixes for the bundled GPT-2, decodes and scores 36 runs, shows the best. Run it again: it only looks.
set -euo pipefail
cd "$(dirname "$0")"
. tools/packages.sh

need_packages "${BUILD_PACKAGES[@]}" sqlite3
[ -x build/release/sweep ] || echo "building sweep ..." >&2
build_preset release sweep sweep-runner

build/release/sweep run sweeps/beam_grid.yaml
echo
query='SELECT num_virtual_tokens, max_new_tokens, round(avg(dev_bleu), 2) AS mean_bleu FROM leaderboard GROUP BY 1, 2'
echo "\$ sqlite3 -box results.db '$query'"
sqlite3 -box results.db "$query"
