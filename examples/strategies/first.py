#!/usr/bin/env python3
"""Ten lines that trade: buy a dip of 0.05 % below the average, sell at as much above it."""
import json
import sys

print(json.dumps({"hello": {"types": ["market"], "wake": [], "every_ms": 1000}}))
price = average = None
for line in sys.stdin:
    event = json.loads(line)
    if event["event"] == "market":
        price = event["data"]["price"]
        average = price if average is None else average + (price - average) / 500
    elif event["event"] == "turn":
        if price and abs(price / average - 1) > 0.0005:
            side = "BUY" if price < average else "SELL"
            print(json.dumps({"order": {"side": side, "symbol": "BTCUSDT", "qty": "0.001", "type": "MARKET"}}))
        print(json.dumps({"done": event["data"]["turn"]}))
