# Sourced by the scripts beside this folder: sets $python to the interpreter that runs them.
# An interpreter is tried, not looked at: a shim without its version behind it, one whose files this user may not
# read, and Debian's without python3-venv all fail here, and the next is taken.

usable() {
    "$1" -c 'import sys, venv, ensurepip; ensurepip.version(); sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

python=
for candidate in .venv/bin/python python3.13 python3.12 python3.11 python3 /usr/bin/python3; do
    if usable "$candidate"; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "No usable Python: 3.11 or newer with venv and ensurepip is needed (Debian: apt-get install python3-venv)." >&2
    exit 1
fi
