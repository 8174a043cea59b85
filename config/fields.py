"""What every setting is made of: exact numbers, percents, times, names, each with its rule; and the marks on a key.

Rules of this file: a wrong value is refused with the rule it breaks; no number is a float but a length of time.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

HOURS_A_DAY = 24
CANDLES_MINUTES = (1, 3, 5, 15, 30, 60, 120, 240)
LEAST_LOG_DAYS = 7
LONGEST_S = 100_000_000  # three years: far longer than anything waits, and nothing that reckons with times overflows
LARGEST = 10**15  # likewise for money and factors


@dataclass(frozen=True, slots=True, kw_only=True)
class Hot:
    """The key may change while the service runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """The key is known but has no effect before `comes_with` exists."""

    comes_with: str


HOT = Hot()


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")  # pydantic reads it as a rule broken
    return value


def _truth(value: object) -> object:
    if value is True or value is False:
        return value
    if value in ("0", "1", 0, 1):  # DRY_RUN=1 and the like come from the environment
        return value in ("1", 1)
    raise ValueError("must be true or false")


def truth_or_unset(value: object) -> object:
    return None if value in ("", None) else _truth(value)


def _waited(value: float) -> float:
    if value > LONGEST_S:
        raise ValueError(f"must be at most {LONGEST_S}: nothing waits longer")
    return value


def _candle_minutes(value: int) -> int:
    if value not in CANDLES_MINUTES:
        raise ValueError(f"must be one of {', '.join(map(str, CANDLES_MINUTES))}: the candles that every venue has")
    return value


def log_days(value: int) -> int:
    """Forgetting too soon would let a spool that was found late be written twice."""
    if 0 < value < LEAST_LOG_DAYS:
        raise ValueError(f"must be 0 (for ever) or at least {LEAST_LOG_DAYS}")
    return value


def log_size(value: str) -> str:
    words = value.split()
    if len(words) != 2 or not words[0].isdigit() or words[0] == "0" or words[1] not in ("KB", "MB", "GB"):
        raise ValueError('must be a size such as "50 MB"')
    return value


def log_age(value: str) -> str:
    words = value.split()
    if len(words) != 2 or not words[0].isdigit() or words[0] == "0" or words[1] not in ("hours", "days", "weeks"):
        raise ValueError('must be a time such as "14 days"')
    return value


def websocket_url(value: str) -> str:
    if value and not value.startswith(("ws://", "wss://")):
        raise ValueError("must start with ws:// or wss://")
    return value


def http_url(value: str) -> str:
    if value and not value.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    return value


def database_url(value: SecretStr) -> SecretStr:
    if value.get_secret_value() and not value.get_secret_value().startswith(("postgresql://", "postgres://")):
        raise ValueError("must be empty (the embedded database) or start with postgresql://")
    return value


Exact = Annotated[Decimal, BeforeValidator(_number), Field(allow_inf_nan=False)]
Percent = Annotated[Exact, Field(gt=0, lt=100)]
PercentOrOff = Annotated[Exact, Field(ge=0, lt=100)]
Positive = Annotated[Exact, Field(gt=0, le=LARGEST)]
PositiveOrOff = Annotated[Exact, Field(ge=0, le=LARGEST)]
Seconds = Annotated[float, BeforeValidator(_number), Field(gt=0, allow_inf_nan=False), AfterValidator(_waited)]
SecondsOrOff = Annotated[float, BeforeValidator(_number), Field(ge=0, allow_inf_nan=False), AfterValidator(_waited)]
Whole = Annotated[int, BeforeValidator(_number)]
Flag = Annotated[bool, BeforeValidator(_truth)]
SymbolName = Annotated[str, Field(pattern=r"^[^\s,=\p{C}]{2,40}$")]  # venues list names in other alphabets too
CandleMinutes = Annotated[Whole, AfterValidator(_candle_minutes)]
Hour = Annotated[Whole, Field(ge=0, le=HOURS_A_DAY)]
Level = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


class Section(BaseModel):
    """Common to all: nothing unknown, nothing changed afterwards, no value repeated in an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Unfurnished(Section):
    """A section whose name is reserved and which takes no key yet; `Later` on its field says what brings them."""
