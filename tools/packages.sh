# shellcheck shell=bash
# packages.sh - sourced by quickstart.sh and test.sh: Debian packages, installed only when missing.
#
#     . tools/packages.sh
#     need_packages build-essential cmake ...

need_packages() {
	local missing=() package as_root=() log
	for package in "$@"; do
		case "$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null)" in
		*" installed") ;;
		*) missing+=("$package") ;;
		esac
	done
	[ ${#missing[@]} -eq 0 ] && return 0
	if [ "$(id -u)" -ne 0 ]; then
		command -v sudo >/dev/null || {
			echo "these Debian packages are missing, install them as root: ${missing[*]}" >&2
			return 1
		}
		as_root=(sudo)
	fi
	echo "installing: ${missing[*]}" >&2
	log=$(mktemp)
	if ! { "${as_root[@]}" apt-get update -q && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y \
		--no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
		tail -n 20 "$log" >&2
		echo "apt-get could not install: ${missing[*]}" >&2
		return 1
	fi
	rm -f "$log"
}

# What sweep is built from (docs/ARCHITECTURE.md says why each is there).
BUILD_PACKAGES=(gcc libc6-dev cmake ninja-build pkg-config libblis-openmp-dev libyaml-dev libsqlite3-dev
	libcurl4-openssl-dev libcjson-dev libpcre2-dev libutf8proc-dev zlib1g-dev libssl-dev)

# build_preset NAME [TARGETS]: configures where that is needed, then builds what changed; quiet unless it fails. Without
# targets everything is built, tests too (and configured again: their packages may have come since).
build_preset() {
	local preset=$1 log
	shift
	log=$(mktemp)
	if [ $# -eq 0 ] || [ ! -f "build/$preset/build.ninja" ]; then
		cmake --preset "$preset" >"$log" 2>&1 || { cat "$log" >&2; return 1; }
	fi
	cmake --build "build/$preset" ${1:+--target "$@"} >"$log" 2>&1 || { tail -n 60 "$log" >&2; return 1; }
	rm -f "$log"
}
