"""Stands in for a broker: what the account holds, and what became of each order."""

import json
import sqlite3
from contextlib import closing
from decimal import Decimal

FEE_CENTS = 100

TABLES = [
    "orders (id TEXT PRIMARY KEY, outcome TEXT NOT NULL)",
    "positions (symbol TEXT PRIMARY KEY, quantity INTEGER NOT NULL)",
    "cash (cents INTEGER NOT NULL)",
    "closed (exchange TEXT PRIMARY KEY)",
]


class Broker:
    """An account, in broker.db of the instance. Each method is one transaction."""

    def __init__(self, instance):
        self.settings = json.loads((instance / "account.json").read_text())
        self.file = instance / "broker.db"

    def execute(self, order):
        """Execute an order, or tell again what became of it: its id is never executed twice."""
        with closing(self._open()) as db, db:
            known = db.execute("SELECT outcome FROM orders WHERE id = ?", [order["id"]]).fetchone()
            if known:
                return json.loads(known[0])
            exchange = self._exchange(order["symbol"])
            if db.execute("SELECT 1 FROM closed WHERE exchange = ?", [exchange]).fetchone():
                # Nothing has become of it yet, and nothing is noted.
                return {**order, "status": "closed", "reason": f"{exchange} is closed"}
            outcome = self._outcome(db, order, exchange)
            # In one transaction with what it has changed: after a kill there are both or neither.
            db.execute("INSERT INTO orders VALUES (?, ?)", [order["id"], json.dumps(outcome)])
            return outcome

    def account(self):
        """Return the cash, and how much of what is held."""
        with closing(self._open()) as db, db:
            (cash,) = db.execute("SELECT cents FROM cash").fetchone()
            held = db.execute("SELECT symbol, quantity FROM positions WHERE quantity > 0 ORDER BY symbol")
            return {"cash": f"{Decimal(cash) / 100:.2f}", "positions": dict(held.fetchall())}

    def close(self, exchanges):
        """Let these exchanges be closed, and all others open."""
        with closing(self._open()) as db, db:
            db.execute("DELETE FROM closed")
            db.executemany("INSERT INTO closed VALUES (?)", [[name] for name in exchanges])

    def _exchange(self, symbol):
        listed = self.settings["exchanges"].items()
        return next((exchange for exchange, symbols in listed if symbol in symbols), None)

    def _outcome(self, db, order, exchange):
        def refused(reason):
            return {**order, "status": "refused", "reason": reason}

        symbol, quantity = order["symbol"], order["quantity"]
        if exchange is None:
            return refused(f"unknown symbol {symbol}")
        try:
            price = cents(order["price"])
        except (ValueError, ArithmeticError):
            return refused(f"{order['price']} is no price")
        (cash,) = db.execute("SELECT cents FROM cash").fetchone()
        position = db.execute("SELECT quantity FROM positions WHERE symbol = ?", [symbol]).fetchone()
        held = position[0] if position else 0
        if order["side"] == "sell":
            if held == 0:
                return refused(f"no position in {symbol}")
            # What was bought had been rounded down, so there may be less of it than is to be sold.
            quantity = min(quantity, held)
        amount = quantity * price
        sign = 1 if order["side"] == "buy" else -1
        left = cash - sign * amount - FEE_CENTS
        if left < 0:
            return refused(f"insufficient funds: {symbol} is short of {Decimal(-left) / 100:.2f}")
        db.execute("UPDATE cash SET cents = ?", [left])
        db.execute("INSERT OR REPLACE INTO positions VALUES (?, ?)", [symbol, held + sign * quantity])
        filled = {"quantity": quantity, "amount_cents": amount, "fee_cents": FEE_CENTS}
        return {**order, **filled, "status": "filled"}

    def _open(self):
        db = sqlite3.connect(self.file, isolation_level=None)
        # From here to the end of the caller's `with`, whoever else comes waits, up to five seconds.
        db.execute("BEGIN IMMEDIATE")
        for table in TABLES:
            db.execute(f"CREATE TABLE IF NOT EXISTS {table}")
        start = cents(self.settings["cash"])
        db.execute("INSERT INTO cash SELECT ? WHERE NOT EXISTS (SELECT 1 FROM cash)", [start])
        return db


def cents(price):
    """Read an amount of money: exactly, or not at all."""
    exact = Decimal(price) * 100
    if exact != int(exact) or exact <= 0:
        raise ValueError(price)
    return int(exact)
