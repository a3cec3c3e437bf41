#!/usr/bin/env bash
# Follows the stream with curl and survives every disconnection: prints "ID TYPE JSON" for each event.
#   resume.sh [URL [LAST_ID]]        LAST_ID 0 is the oldest event kept
# An event counts when its blank line is there: what a cut leaves of one is dropped and comes again.
set -u
url=${1:-http://127.0.0.1:8080/api/stream}
last=${2:-}
while :; do
    id= event=message data=
    while IFS= read -r line; do
        case $line in
        'id: '*) id=${line#id: } ;;
        'event: '*) event=${line#event: } ;;
        'data: '*) data=${line#data: } ;;
        '')
            [ -z "$data" ] || printf '%s %s %s\n' "$id" "$event" "$data" || exit 0
            [ -z "$id" ] || last=$id
            id= event=message data=
            ;;
        esac
    done < <(exec curl --silent --no-buffer --fail --max-time 3600 ${last:+-H "Last-Event-ID: $last"} "$url")
    # Not all at once after a restart: wait 0.05 to 0.25 s.
    sleep "0.$(printf '%03d' $((50 + RANDOM % 200)))"
done
