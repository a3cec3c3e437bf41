#!/usr/bin/env python3
"""Quotes both sides of one symbol at the best prices, as a maker only, within a limit of inventory.

    veloz replay capture.gz --strategy 'python3 market_maker.py BTCUSDT 0.01 0.05'

The arguments are the symbol, the quantity of a quote, and the most that is held above or below the start.
"""
import json
import sys
from decimal import Decimal


def say(**line):
    print(json.dumps(line, separators=(",", ":"), default=str))


class MarketMaker:
    def __init__(self, symbol, qty, limit):
        self.symbol, self.qty, self.limit = symbol, qty, limit
        self.inventory = Decimal(0)
        self.book = None
        self.quotes = {"BUY": None, "SELL": None}  # side -> (client_order_id, price)
        self.count = 0

    def on_fill(self, fill):
        self.inventory += fill["qty"] if fill["side"] == "BUY" else -fill["qty"]

    def on_order_state(self, order):
        if order["status"] in ("FILLED", "CANCELLED", "REJECTED", "EXPIRED"):
            for side, quote in self.quotes.items():
                if quote and quote[0] == order["client_order_id"]:
                    self.quotes[side] = None

    def on_turn(self):
        if not self.book or not self.book["bids"] or not self.book["asks"]:
            return
        for side, levels in (("BUY", "bids"), ("SELL", "asks")):
            full = self.inventory >= self.limit if side == "BUY" else self.inventory <= -self.limit
            self.quote(side, None if full else self.book[levels][0][0])

    def quote(self, side, price):
        standing = self.quotes[side]
        if standing and standing[1] != price:
            say(cancel={"client_order_id": standing[0]})
            self.quotes[side] = standing = None
        if price and not standing:
            self.count += 1
            order_id = f"mm-{self.count}"
            self.quotes[side] = (order_id, price)
            say(order={"client_order_id": order_id, "symbol": self.symbol, "side": side,
                       "qty": self.qty, "price": price, "post_only": True})


def main():
    symbol, qty, limit = sys.argv[1], Decimal(sys.argv[2]), Decimal(sys.argv[3])
    maker = MarketMaker(symbol, qty, limit)
    say(hello={"types": ["fill", "order_state"], "wake": ["fill"], "symbols": [symbol],
               "book": [symbol], "every_ms": 100})
    for line in sys.stdin:
        event = json.loads(line, parse_float=Decimal)  # exact numbers, as they are on the wire
        name, data = event["event"], event["data"]
        if name == "fill":
            maker.on_fill(data)
        elif name == "order_state":
            maker.on_order_state(data)
        elif name == "book":
            maker.book = data
        elif name == "turn":
            maker.on_turn()
            say(done=data["turn"])
        elif name == "answer" and data["status"] != 200:
            print(data["body"]["message"], file=sys.stderr)


main()
