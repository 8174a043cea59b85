"""Each channel against a server that behaves like the real one: what is taken, and what is said of what is not."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from adapters.channels import http_post
from adapters.channels.factory import open_channel
from adapters.channels.interface import Message, NotDelivered
from domain.catalogue import Severity
from tests.persistence.samples import alert
from tests.unit.channels.servers import CHAT, TOKEN, Answer, Site, Slack, Telegram, refusal, serving, slack, telegram

__all__ = ["slack", "telegram"]

TEXT = "BTCUSDT long 0.003 has no stop: <5 s> & counting"


def message(text: str = TEXT) -> Message:
    return Message(text=text, severity=Severity.CRITICAL, alerts=(alert("a-1"),))


def failure(address: str, base: str = "http://127.0.0.1:1", text: str = TEXT) -> NotDelivered:
    with pytest.raises(NotDelivered) as caught:
        open_channel("ops", address, telegram_url=base).deliver(message(text))
    for secret in (TOKEN, "secretpart", "hunter22"):
        assert secret not in str(caught.value)
    return caught.value


GOOD = f"tgram://{TOKEN}/{CHAT}"


def test_telegram_takes_plain_text(telegram: Telegram) -> None:
    open_channel("ops", GOOD, telegram_url=telegram.url).deliver(message())
    path, body = telegram.requests[0]
    assert (body["chat_id"], body["text"]) == (CHAT, TEXT)
    assert "parse_mode" not in body  # a fault in mark-up would lose the message
    assert path.endswith("/sendMessage")


@pytest.mark.parametrize(
    ("answer", "reason", "wait_s", "refused"),
    [
        (refusal(429, "Too Many Requests: retry after 7", retry_after=7), "429: Too Many Requests", 7.0, False),
        (refusal(403, "Forbidden: bot was blocked by the user"), "403: Forbidden", None, False),
        (refusal(400, "Bad Request: can't parse entities"), "400: Bad Request: can't parse", None, True),
        (refusal(400, "Bad Request: chat not found"), "chat not found", None, False),
        (Answer(502, "<html>bad gateway</html>"), "502: <html>bad gateway", None, False),
        (Answer(200, '{"ok": tru', cut=5), "RemoteProtocolError", None, False),
        (Answer(200, "[]"), "HTTP 200: []", None, False),
        (Answer(200, '{"ok": false}'), "HTTP 200", None, False),
        (Answer(reset=True), "Error", None, False),
    ],
)
def test_telegram_says_why_not(
    telegram: Telegram, answer: Answer, reason: str, wait_s: float | None, refused: bool
) -> None:
    telegram.next.append(answer)
    said = failure(GOOD, telegram.url)
    assert reason in said.reason
    assert (said.retry_after_s, said.refused) == (wait_s, refused)


def test_a_wrong_token_is_named_without_being_shown(telegram: Telegram) -> None:
    assert "401: Unauthorized" in failure("tgram://999999:wrong_token/1", telegram.url).reason


def test_a_text_longer_than_telegram_takes_is_cut(telegram: Telegram) -> None:
    open_channel("ops", GOOD, telegram_url=telegram.url).deliver(message("x" * 10_000))
    assert len(telegram.texts()[0]) == 4096


def test_who_hangs_is_given_up(telegram: Telegram, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_post, "ANSWER_S", 0.2)
    telegram.next.append(Answer(hang=True))
    assert "no answer in time" in failure(GOOD, telegram.url).reason


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert "ConnectError" in failure(GOOD, f"http://127.0.0.1:{port}").reason


def test_httpx_does_not_log_the_token(telegram: Telegram, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        open_channel("ops", GOOD, telegram_url=telegram.url).deliver(message())
    assert TOKEN not in caplog.text


def test_slack_takes_it_and_says_ok(slack: Slack) -> None:
    address = f"slack+{slack.url}/services/T00/B00/secretpart"
    open_channel("ops", address, telegram_url="").deliver(message())
    assert slack.texts() == [TEXT.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")]


@pytest.mark.parametrize(
    ("answer", "reason", "wait_s", "refused"),
    [
        (Answer(429, "rate_limited", {"Retry-After": "30"}), "429: rate_limited", 30.0, False),
        (Answer(400, "invalid_payload"), "400: invalid_payload", None, True),
        (Answer(403, "action_prohibited"), "403: action_prohibited", None, False),
        (Answer(500, ""), "500: an empty answer", None, False),
        (Answer(200, "<html>captive portal</html>"), "200: <html>captive", None, False),
    ],
)
def test_slack_says_why_not(slack: Slack, answer: Answer, reason: str, wait_s: float | None, refused: bool) -> None:
    slack.next.append(answer)
    said = failure(f"slack+{slack.url}/services/T00/B00/secretpart")
    assert reason in said.reason
    assert (said.retry_after_s, said.refused) == (wait_s, refused)


def test_a_webhook_gets_the_alerts_with_their_ids() -> None:
    with serving(Site()) as site:
        open_channel("ops", f"{site.url}/hook?key=secretpart", telegram_url="").deliver(message())
        body = site.requests[0][1]
        assert (body["text"], body["severity"]) == (TEXT, "critical")
        assert [(each["id"], each["symbol"]) for each in body["alerts"]] == [("a-1", "BTCUSDT")]
        site.next.append(Answer(503, "busy", {"Retry-After": "9"}))
        said = failure(f"{site.url}/hook?key=secretpart")
        assert ("503: busy" in said.reason, said.retry_after_s) == (True, 9.0)
        site.next.append(Answer(302, "", {"Location": "http://127.0.0.1:9/elsewhere"}))
        assert "302" in failure(f"{site.url}/hook").reason  # a secret is not carried to another host


class Postbox:
    """What an SMTP server was given."""

    def __init__(self) -> None:
        self.letters: list[tuple[str | None, list[str], str]] = []
        self.says: str | None = None

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("nobody"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.says is not None:
            return self.says
        content = envelope.content.decode() if isinstance(envelope.content, bytes) else str(envelope.content)
        self.letters.append((envelope.mail_from, list(envelope.rcpt_tos), content))
        return "250 queued"


def authenticator(_server: Any, _session: Any, _envelope: Any, _mechanism: Any, given: Any) -> AuthResult:
    good = isinstance(given, LoginPassword) and (given.login, given.password) == (b"bot", b"hunter22")
    return AuthResult(success=good, handled=False)


@pytest.fixture
def post() -> Iterator[tuple[Postbox, str]]:
    box = Postbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(
        box, hostname="127.0.0.1", port=port, authenticator=authenticator, auth_require_tls=False, auth_required=True
    )
    controller.start()
    yield box, f"127.0.0.1:{port}"
    controller.stop()


def test_mail_is_sent_to_all_receivers(post: tuple[Postbox, str]) -> None:
    box, host = post
    address = f"smtp://bot:hunter22@{host}?from=holdfast@example.org&to=a@example.org,b@example.org"
    open_channel("mail", address, telegram_url="").deliver(message(f"{TEXT}\nmore"))
    sender, receivers, content = box.letters[0]
    assert (sender, receivers) == ("holdfast@example.org", ["a@example.org", "b@example.org"])
    assert "Subject: [Holdfast] CRITICAL: BTCUSDT long 0.003 has no stop" in content
    assert "more" in content


@pytest.mark.parametrize(
    ("user", "to", "says", "reason", "refused"),
    [
        ("bot:wrong", "a@example.org", None, "SMTPAuthenticationError 535", False),
        ("bot:hunter22", "nobody@example.org", None, "550 no such user", False),
        ("bot:hunter22", "a@example.org,nobody@example.org", None, "550 no such user", False),
        ("bot:hunter22", "a@example.org", "451 come back later", "451: come back later", False),
        ("bot:hunter22", "a@example.org", "554 looks like spam", "554: looks like spam", True),
    ],
)
def test_mail_says_why_not(
    post: tuple[Postbox, str], user: str, to: str, says: str | None, reason: str, refused: bool
) -> None:
    box, host = post
    box.says = says
    said = failure(f"smtp://{user}@{host}?from=holdfast@example.org&to={to}")
    assert reason in said.reason
    assert said.refused is refused


def test_any_other_service_goes_by_apprise() -> None:
    with serving(Site()) as site:
        address = site.url.replace("http://", "json://") + "/hook"
        open_channel("other", address, telegram_url="").deliver(message())
        assert TEXT in str(site.requests[0][1])
        site.next.append(Answer(500, "no"))
        assert failure(address).reason
    assert "knows no such address" in failure("nosuchthing://x/y").reason


@pytest.mark.parametrize("address", ["tgram://nonsense", "smtp://host?from=a@b.org", "smtp://host:port?from=a&to=b"])
def test_an_address_that_is_none_keeps_no_service_down(address: str) -> None:
    assert "the address must be" in failure(address).reason


def test_a_channel_may_be_used_by_several_threads(telegram: Telegram) -> None:
    channel = open_channel("ops", GOOD, telegram_url=telegram.url)
    threads = [threading.Thread(target=channel.deliver, args=(message(),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(telegram.requests) == 8
