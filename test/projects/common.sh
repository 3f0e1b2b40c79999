# SPDX-License-Identifier: Apache-2.0
#
# For the fresh projects: an empty folder with a copy of holt in it, as somebody
# would clone it, uncommitted work included.  Sourced by rebar3/run and mix/run.
#
#   $work   the folder; it goes when the script ends
#   $holt   the copy, a git repository of one commit on branch main
#
# check NAME COMMAND... runs a command, one test; finish says how many passed.
set -u

root=$(cd "$(dirname "$0")/../../.." && pwd) || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
holt=$work/holt
passed=0
failed=0

# Nobody's settings and caches, and no network: a dependency on holt brings in
# nothing but holt.
HOME=$work/home
HEX_OFFLINE=1
http_proxy=http://127.0.0.1:9
https_proxy=$http_proxy
GIT_CONFIG_NOSYSTEM=1
export HOME HEX_OFFLINE http_proxy https_proxy GIT_CONFIG_NOSYSTEM
unset REBAR_BASE_DIR REBAR_PROFILE MIX_ENV MIX_TARGET MIX_BUILD_PATH MIX_BUILD_ROOT ERL_LIBS
unset XDG_CONFIG_HOME XDG_CACHE_HOME MIX_XDG HEX_HOME MIX_HOME ERL_FLAGS ERL_AFLAGS ERL_ZFLAGS
mkdir -p "$HOME" "$holt"

copy() {
  (
    cd "$root" || exit 1
    if git rev-parse --git-dir >/dev/null 2>&1; then
      git ls-files -co --exclude-standard
    else
      find . -name _build -prune -o -type f -print
    fi | while read -r file; do
      [ -f "$file" ] && echo "$file"
    done >"$work/files"
    tar -cf - -T "$work/files"
  ) | tar -xf - -C "$holt" || return 1
  (
    cd "$holt" || exit 1
    git init -q . && git symbolic-ref HEAD refs/heads/main && git add -A &&
      git -c user.name=holt -c user.email=holt@localhost commit -q -m copy
  )
}

check() {
  name=$1
  shift
  if ( "$@" ) >"$work/log" 2>&1; then
    passed=$((passed + 1))
    echo "ok    $name"
  else
    failed=$((failed + 1))
    echo "FAIL  $name"
    sed 's/^/      /' "$work/log"
  fi
}

finish() {
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
  exit
}

# The block of a file, the README if none is given, that a comment <!-- snippet: NAME -->
# stands before.
snippet() { # name [file]
  awk -v mark="<!-- snippet: $1 -->" '
    inside && /^[ ]*```/ { exit }
    inside { print; next }
    marked && /^[ ]*```/ { inside = 1; next }
    index($0, mark) { marked = 1; next }
    marked && !/^[ ]*$/ { marked = 0 }
  ' "$holt/${2:-README.md}"
}

has_snippet() { [ -f "$holt/README.md" ] && [ -n "$(snippet "$1")" ]; }

copy || {
  echo 'could not copy the project'
  echo '0 passed, 1 failed'
  exit 1
}
