"""Market lists of both venues as they name things: short, but with every manner of name that they really use.

Rows hold what tells one contract from another; prices and sizes are all alike. Names: multiplied coins before and after
the coin, digits, a name of one letter, index contracts, names in another alphabet, quarterly, USDC-margined and inverse
contracts, coins whose name ends like a currency.
"""

from __future__ import annotations

from decimal import Decimal

from adapters.exchange import binance_rows, bybit_rows
from domain.instrument import Instrument

_PERPETUALS = (
    *("BTC", "ETH", "SOL", "XRP", "DOGE", "BNB", "BCH", "LTC", "AVAX", "LINK", "ETC", "TRX", "TON", "NEAR", "APT"),
    *("1000PEPE", "1000BONK", "1000FLOKI", "1000SATS", "1INCH", "API3", "C98", "A", "S", "T", "USTC", "USUAL"),
)
_BINANCE = (*_PERPETUALS, "1000SHIB", "1MBABYDOGE", "1000000MOG", "BTCDOM", "USDC", "FDUSD", "币安人生", "4", "0G")
_BYBIT = (*_PERPETUALS, "SHIB1000", "10000LADYS", "1000000BABYDOGE", "1000000MOG", "USDC", "PERP", "0G")


def _binance_row(symbol: str, base: str, quote: str, margin: str, contract: str) -> dict[str, object]:
    names = {"symbol": symbol, "baseAsset": base, "quoteAsset": quote, "marginAsset": margin}
    return {**names, "contractType": contract, "status": "TRADING"}


def _bybit_row(symbol: str, base: str, quote: str, settle: str, contract: str) -> dict[str, object]:
    names = {"symbol": symbol, "baseCoin": base, "quoteCoin": quote, "settleCoin": settle}
    return {**names, "contractType": contract, "status": "Trading"}


BINANCE_ROWS = [
    *(_binance_row(f"{base}USDT", base, "USDT", "USDT", "PERPETUAL") for base in _BINANCE),
    *(_binance_row(f"{base}USDC", base, "USDC", "USDC", "PERPETUAL") for base in ("BTC", "ETH", "1000PEPE", "SOL")),
    *(_binance_row(f"{base}USDT_260327", base, "USDT", "USDT", "CURRENT_QUARTER") for base in ("BTC", "ETH")),
    *(_binance_row(f"{base}USDT_260626", base, "USDT", "USDT", "NEXT_QUARTER") for base in ("BTC", "ETH")),
    _binance_row("ETHBTC", "ETH", "BTC", "BTC", "PERPETUAL"),
    _binance_row("TSLAUSDT", "TSLA", "USDT", "USDT", "TRADIFI_PERPETUAL"),
    _binance_row("NEWUSDT", "NEW", "USDT", "USDT", ""),
]
BYBIT_ROWS = [
    *(_bybit_row(f"{base}USDT", base, "USDT", "USDT", "LinearPerpetual") for base in _BYBIT),
    *(_bybit_row(f"{base}PERP", base, "USDC", "USDC", "LinearPerpetual") for base in ("BTC", "ETH", "SOL", "1000PEPE")),
    *(_bybit_row(f"{base}-27MAR26", base, "USDC", "USDC", "LinearFutures") for base in ("BTC", "ETH")),
    *(_bybit_row(f"{base}USDT-27MAR26", base, "USDT", "USDT", "LinearFutures") for base in ("BTC", "ETH")),
    *(_bybit_row(f"{base}USD", base, "USD", base, "InversePerpetual") for base in ("BTC", "ETH", "XRP")),
    *(_bybit_row(f"{base}USDH26", base, "USD", base, "InverseFutures") for base in ("BTC", "ETH")),
]


def _instrument(symbol: object, base: object, quote: object) -> Instrument:
    one = Decimal(1)
    return Instrument(
        symbol=str(symbol),
        base=str(base),
        quote=str(quote),
        tick=one,
        step=one,
        min_quantity=one,
        max_market_quantity=one,
        min_notional=one,
    )


def binance() -> dict[str, Instrument]:
    """What is left of the list when the adapter has read it."""
    kept = binance_rows.usdt_perpetuals({"symbols": BINANCE_ROWS})
    return {r["symbol"]: _instrument(r["symbol"], r["baseAsset"], r["quoteAsset"]) for r in kept}


def bybit() -> dict[str, Instrument]:
    """What is left of the list when the adapter has read it."""
    kept = [row for row in BYBIT_ROWS if bybit_rows.usdt_perpetual(row)]
    return {str(r["symbol"]): _instrument(r["symbol"], r["baseCoin"], r["quoteCoin"]) for r in kept}
