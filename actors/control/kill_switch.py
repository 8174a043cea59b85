"""The operator's red button: armed, confirmed within a minute, reset; and everything closed without it."""

from __future__ import annotations

from actors.control.answering import ANSWER_S, Answering
from actors.switch_messages import KILL_SWITCH, ArmSwitch, CloseAll, ConfirmSwitch, ResetSwitch, SwitchRefused
from adapters.admin.parameters import Parameters, required
from adapters.admin.protocol import REFUSED, AdminError, Caller

# Each step is written to the disk before it is answered.
SWITCH_S = 3 * ANSWER_S


def arm(house: Answering, params: Parameters, caller: Caller) -> object:
    account, reason = _account(house, params), params.text("reason")
    params.done()
    return _ask(house, ArmSwitch(account=account, reason=reason or "", uid=caller.uid))


def confirm(house: Answering, params: Parameters, caller: Caller) -> object:
    code = required("code", params.text("code"))
    params.done()
    return {"accounts": _ask(house, ConfirmSwitch(code=code, uid=caller.uid))}


def reset(house: Answering, params: Parameters, caller: Caller) -> object:
    account = _account(house, params)
    params.done()
    return {"accounts": _ask(house, ResetSwitch(account=account, uid=caller.uid))}


def close_all(house: Answering, params: Parameters, caller: Caller) -> object:
    account, strangers = _account(house, params), params.flag("all")
    params.done()
    return {"closing": _ask(house, CloseAll(account=account, strangers=bool(strangers), uid=caller.uid))}


def _account(house: Answering, params: Parameters) -> str | None:
    account = params.text("account")
    return None if account is None else house.known_account(account)


def _ask(house: Answering, wanted: object) -> object:
    try:
        return house.directory.ask(KILL_SWITCH, wanted, SWITCH_S)
    except SwitchRefused as refusal:
        raise AdminError(REFUSED, str(refusal)) from refusal
