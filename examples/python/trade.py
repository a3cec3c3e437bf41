"""Ten lines that trade: buys at the market, waits for the fill, prints what the account holds."""

import os

import requests

api = os.environ.get("VELOZ_URL", "http://127.0.0.1:8080") + "/api"
order = {"side": "BUY", "symbol": "BTCUSDT", "qty": "0.001", "type": "MARKET"}
placed = requests.post(f"{api}/order", json=order, timeout=5).json()
print("placed", placed)
query = {"client_order_id": placed["client_order_id"]}
state = requests.get(f"{api}/order_state", params=query, timeout=5).json()
print("executed", state["executed_qty"], "at", state["avg_price"])
for balance in requests.get(f"{api}/account", timeout=5).json()["balances"]:
    print(balance["asset"], balance["free"])
