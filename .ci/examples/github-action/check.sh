#!/bin/sh
# Check an image: the report into the log and the job's summary, the verdict into the outputs, the exit code to the job.
set -eu
set -- --as "$AS" --fail-on "$FAIL_ON"
[ -z "$WAIVERS" ] || set -- "$@" --waivers "$WAIVERS"
[ -z "$BASELINE" ] || set -- "$@" --baseline "$BASELINE"
while IFS= read -r pair; do
    [ -z "$pair" ] || set -- "$@" --report "$pair"
done <<PAIRS
$REPORTS
PAIRS
text=$(mktemp)
code=0
vhdprep check "$@" -- "$IMAGE" >"$text" || code=$?
# The report quotes the image, and the runner takes commands from the log: not between these two lines.
token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
echo "::stop-commands::$token"
cat "$text"
echo "::$token::"
sed 's/^/    /' "$text" >>"$GITHUB_STEP_SUMMARY" # a block of code, which no line can end
case $code in 0) verdict=ready ;; 1) verdict=not-ready ;; 3) verdict=inconclusive ;; *) verdict=none ;; esac
echo "verdict=$verdict" >>"$GITHUB_OUTPUT"
rm -f "$text"
exit "$code"
