"""A strategy that does all kinds of things by chance, from the seed that it is given."""
import json
import os
import random
import sys

chance = random.Random(int(os.environ["VELOZ_SEED"]))
print(json.dumps({"hello": {"types": ["market", "order_state"], "wake": ["order_state"], "every_ms": 200}}))
prices, opened = {}, {}
for line in sys.stdin:
    event = json.loads(line)
    data = event["data"]
    if event["event"] == "market":
        prices[data["symbol"]] = data["price"]
    elif event["event"] == "order_state":
        if data["status"] in ("ACCEPTED", "PARTIALLY_FILLED"):
            opened[data["client_order_id"]] = data
        else:
            opened.pop(data["client_order_id"], None)
    elif event["event"] == "turn":
        if opened and chance.random() < 0.3:
            print(json.dumps({"cancel": {"client_order_id": chance.choice(sorted(opened))}}))
        if prices and len(opened) < 20 and chance.random() < 0.7:
            symbol = chance.choice(sorted(prices))
            side = chance.choice(("BUY", "SELL"))
            order = {"symbol": symbol, "side": side, "qty": f"0.0{chance.randint(1, 99):02}"}
            if chance.random() < 0.2:
                order["type"] = "MARKET"
            else:
                away = chance.choice((-0.0002, 0, 0.0001, 0.0003, 0.002))
                order["price"] = f"{prices[symbol] * (1 - away if side == 'BUY' else 1 + away):.2f}"
                order["time_in_force"] = chance.choice(("GTC", "GTC", "GTC", "IOC"))
            print(json.dumps({"order": order}))
        print(json.dumps({"done": data["turn"]}))
