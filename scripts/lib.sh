# shellcheck shell=bash
# Sourced by the other scripts.

# The folder of the installed tools. It is outside the project, so that a fresh clone finds them again.
tools=${XDG_CACHE_HOME:-$HOME/.cache}/ai-orchestrator
# Whether missing tools are installed.
install=true

# Says what is missing; ends the script if it may not install anything.
missing() { # WHAT
  if ! $install; then
    echo "missing: $1 (run scripts/test without --no-install, or install it yourself)" >&2
    exit 1
  fi
  echo "installing $1"
}

# Whether the folder of tools was installed from exactly this file.
installed() { # NAME LOCK_FILE
  [ "$(cat "$tools/$1/installed" 2>/dev/null)" = "$(sha256sum < "$2")" ]
}

# Installs scripts/tools/NAME.txt into the Python environment $tools/NAME, from files with the hashes of NAME.lock. To update
# such a file, install what its first paragraph names in a new environment, put the rest of `pip freeze` below, and run
# `uv pip compile --no-deps --universal --generate-hashes --no-annotate --no-header NAME.txt -o NAME.lock` beside it.
python_tools() { # NAME
  local list=scripts/tools/$1.txt lock
  ! installed "$1" "$list" || return 0
  lock=$(hashes "$1")
  missing "PyPI's packages of $list in $tools/$1"
  python3 -m venv --clear "$tools/$1"
  # The lock is complete, which `pip check` sees; asked for dependencies, pip would look at newer versions of them too.
  "$tools/$1/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement "$lock"
  "$tools/$1/bin/pip" --disable-pip-version-check check
  sha256sum < "$list" > "$tools/$1/installed"
}

# Downloads the packages of scripts/tools/NAME.txt, with the hashes of NAME.lock, into $tools/NAME, for their data.
python_files() { # NAME
  local list=scripts/tools/$1.txt lock
  ! installed "$1" "$list" || return 0
  lock=$(hashes "$1")
  missing "the files of $list in $tools/$1"
  rm -rf "${tools:?}/$1"
  "$tools/planner/bin/pip" download --quiet --disable-pip-version-check --no-deps --dest "$tools/$1" --require-hashes --requirement "$lock"
  sha256sum < "$list" > "$tools/$1/installed"
}

# Prints the lock of a list of Python packages, unless it is of other versions.
hashes() { # NAME
  local list=scripts/tools/$1.txt lock=scripts/tools/$1.lock
  if ! diff <(versions "$list") <(versions "$lock") >&2; then
    echo "$lock is not of the versions in $list; scripts/lib.sh says how to write it" >&2
    return 1
  fi
  echo "$lock"
}

# Prints the packages of a file, by their normal names (PEP 503).
versions() { # FILE
  awk -F== '/^[A-Za-z].*==/ { gsub(/[._]/, "-", $1); sub(/[ ;\\].*/, "", $2); print tolower($1) "==" $2 }' "$1" | sort
}

# Installs scripts/tools/NAME/package-lock.json into $tools/NAME/node_modules. To update it, edit package.json and run
# `npm install --package-lock-only --omit-lockfile-registry-resolved=true` beside it.
node_tools() { # NAME
  local lock=scripts/tools/$1/package-lock.json
  ! installed "$1" "$lock" || return 0
  missing "npm's packages of $lock in $tools/$1"
  rm -rf "${tools:?}/$1" && mkdir -p "$tools/$1"
  cp "scripts/tools/$1/package.json" "$lock" "$tools/$1/"
  npm ci --silent --no-audit --no-fund --ignore-scripts --prefix "$tools/$1"
  sha256sum < "$lock" > "$tools/$1/installed"
}

# Builds programs as `cargo test --workspace --all-features` does, so that the dependencies are compiled only once. A test
# among the targets makes cargo enable the features of dev-dependencies too. Without it, half of the dependencies would be
# compiled again with fewer features.
cargo_build() { # cargo's options, such as --bin NAME
  cargo build --quiet --locked --workspace --all-features --test process "$@"
}

# Waits until the server with this process id has written its address to this file, and prints the address.
listening() { # PID FILE
  local url
  for _ in $(seq 600); do
    url=$(sed -n 's/^AI Orchestrator is listening on //p' "$2")
    if [ -n "$url" ]; then
      echo "$url"
      return
    fi
    kill -0 "$1" 2>/dev/null || break
    sleep 0.5
  done
  echo "the server did not start" >&2
  return 1
}
