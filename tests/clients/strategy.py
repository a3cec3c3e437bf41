"""A strategy that does what it is told: strategy.py SCRIPT LOG.

SCRIPT is JSON: {"hello": {...}, "turns": {"1": [COMMAND, ...], ...}, "exit": CODE}. Each line that
comes in is appended to LOG as it is.
"""
import json
import sys

script = json.loads(sys.argv[1])
print(json.dumps({"hello": script["hello"]}), flush=True)
with open(sys.argv[2], "w", encoding="utf-8") as log:
    for line in sys.stdin:
        log.write(line)
        event = json.loads(line)
        if event["event"] == "turn":
            turn = event["data"]["turn"]
            for command in script.get("turns", {}).get(str(turn), []):
                print(json.dumps(command))
            print(json.dumps({"done": turn}), flush=True)
sys.exit(script.get("exit", 0))
