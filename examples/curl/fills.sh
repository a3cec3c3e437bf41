#!/usr/bin/env bash
# Prints fills as they happen. jq reads lines of JSON, so the stream is asked for NDJSON.
set -euo pipefail
url=${VELOZ_URL:-http://127.0.0.1:8080}
curl --silent --no-buffer -H 'Accept: application/x-ndjson' "$url/api/stream" |
    jq --unbuffered --compact-output 'select(.event == "fill")'
