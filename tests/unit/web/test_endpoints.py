"""Who is let in, what is answered, and what is never said."""

from __future__ import annotations

import socket
import time

import pytest

from adapters.web.server import Address, PortTaken, WebServer
from adapters.web.source import BadQuestion, EventFilter, NotNow, UnknownThing
from tests.unit.web.conftest import KEY, SECRET, Scripted, Site


def test_it_is_alive_whatever_else_is_wrong(site: Site) -> None:
    site.source.trouble = NotNow("nobody answers")
    assert (site.get("/live").status, site.get("/live").json) == (200, {"status": "alive"})


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.", "", "[::1"]
)
def test_a_name_that_is_not_ours_is_turned_away(site: Site, host: str) -> None:
    said = site.get("/api/positions", Host=host)
    assert said.status == 421
    assert site.source.asked == []


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:9", "[::1]:80", "holdfast.lan"])
def test_our_own_names_are_let_in(site: Site, host: str) -> None:
    assert site.get("/live", Host=host).status == 200


def test_two_hosts_or_none_are_turned_away(site: Site) -> None:
    for hosts in ("", "Host: localhost\r\nHost: evil.example\r\n"):
        with socket.create_connection(("127.0.0.1", site.port), timeout=5) as plain:
            plain.sendall(f"GET /live HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n".encode())
            assert plain.recv(100).split()[1] in (b"400", b"421")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/", "/api/positions", "/api/diagnostics/alerts_audit"])
def test_it_is_only_looked_at(site: Site, method: str, path: str) -> None:
    said = site.get(path, method=method)
    assert (said.status, said.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/", "/live", "/health", "/metrics", "/api/positions", "/nothing"])
def test_head_is_answered_as_get_is_without_a_body(site: Site, path: str) -> None:
    got, said = site.get(path), site.get(path, method="HEAD")
    assert (said.status, said.text) == (got.status, "")
    lengths = {int(each.headers["content-length"]) for each in (got, said)}
    assert min(lengths) > 0
    assert len(lengths) == 1 or path not in ("/", "/nothing"), "the others have figures that change meanwhile"


def test_head_of_what_has_no_end_is_not_waited_for(site: Site) -> None:
    said = site.get("/api/stream", method="HEAD")
    assert (said.status, said.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize("path", ["/", "/live", "/metrics", "/nothing", "/page/app.js"])
def test_every_answer_tells_the_browser_to_trust_nobody_else(site: Site, path: str) -> None:
    headers = site.get(path).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "http" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "access-control-allow-origin" not in headers
    assert headers["cache-control"] in ("no-store", "no-cache")


def test_what_cannot_be_answered_now_is_503_with_the_reason(site: Site) -> None:
    site.source.trouble = NotNow("the database cannot be reached: no route")
    said = site.get("/api/events")
    assert (said.status, said.json) == (503, {"error": "the database cannot be reached: no route"})


def test_a_wrong_question_is_400_and_an_unknown_thing_404(site: Site) -> None:
    site.source.trouble = BadQuestion("type = x: is no event type")
    assert site.get("/api/events?type=x").status == 400
    site.source.trouble = UnknownThing("position 1: there is no such position")
    assert site.get("/api/positions/1/drawing").status == 404


@pytest.mark.parametrize(
    ("query", "named"),
    [("limit=0", "limit"), ("limit=1001", "limit"), ("severity=loud", "severity"), ("since=x", "since")],
)
def test_a_parameter_against_its_rule_is_named(site: Site, query: str, named: str) -> None:
    said = site.get(f"/api/events?{query}")
    assert said.status == 400
    assert said.json["error"].startswith(f"{named} = ")
    assert site.source.asked == []


def test_filters_reach_the_book(site: Site) -> None:
    site.get("/api/events?since=3&limit=5&symbol=BTCUSDT&type=fill&severity=error&position=7&correlation=c")
    wanted = EventFilter(
        since=3, limit=5, symbol="BTCUSDT", type="fill", severity="error", position=7, correlation="c"
    )
    assert site.source.asked == [wanted]


def test_no_secret_leaves_not_even_out_of_an_error(site: Site) -> None:
    assert "***" in site.get("/api/events").text
    for path in ("/api/events", "/stats", f"/api/events?type={SECRET}", f"/api/events?limit={SECRET}"):
        assert SECRET not in site.get(path).text, path
    assert site.get("/stats").status == 500


def test_money_is_exact_text_without_an_exponent(site: Site) -> None:
    assert site.get("/api/events").json["events"][0]["data"]["price"] == "10"


@pytest.mark.parametrize("key", ["", "wrong", KEY[:-1], KEY + "x", KEY.upper(), "ключ"])
def test_the_audit_is_closed_without_its_key(site: Site, key: str) -> None:
    sent = {"X_API_Key": key} if key.isascii() else {"X_API_Key": key.encode().decode("latin-1")}
    said = site.get("/api/diagnostics/alerts_audit", **sent)
    assert said.status == 403
    assert KEY not in said.text


def test_the_audit_opens_with_its_key(site: Site) -> None:
    assert site.get("/api/diagnostics/alerts_audit", X_API_Key=KEY).json["symbols"] == []


def test_without_a_key_set_the_audit_is_closed_to_everybody() -> None:
    server = WebServer(Address(host="127.0.0.1", port=0), Scripted(), version="1", audit_key="")
    site = Site(server, Scripted(), server.start())
    assert site.get("/api/diagnostics/alerts_audit", X_API_Key="").status == 403
    assert site.get("/api/diagnostics/alerts_audit").status == 403
    assert server.stop()


def test_openapi_describes_every_endpoint(site: Site) -> None:
    paths = site.get("/openapi.json").json["paths"]
    expected = {
        "/live", "/health", "/stats", "/metrics", "/api/positions", "/api/positions/{position_id}/drawing",
        "/api/events", "/api/trend", "/api/diagnostics/alerts_audit", "/api/stream",
    }  # fmt: skip
    assert paths.keys() == expected
    for path in expected - {"/metrics", "/api/stream"}:
        schema = paths[path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert schema["$ref"].startswith("#/components/schemas/"), path


def test_nothing_of_a_path_is_looked_for_on_the_disk(site: Site) -> None:
    for path in ("/page/../server.py", "/page/%2e%2e/server.py", "/page//etc/passwd", "/docs", "/redoc"):
        assert site.get(path).status == 404, path


def test_metrics_are_prometheus_text(site: Site) -> None:
    said = site.get("/metrics")
    assert said.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = said.text.splitlines()
    assert r'holdfast_up{a="x\"\n"} 1.0' in lines
    assert [line for line in lines if line.startswith("holdfast_trip_seconds_bucket")] == [
        'holdfast_trip_seconds_bucket{le="0.1"} 2.0',
        'holdfast_trip_seconds_bucket{le="1.0"} 2.0',
        'holdfast_trip_seconds_bucket{le="+Inf"} 3.0',
    ]
    assert any(line.startswith("holdfast_process_resident_memory_bytes") for line in lines)


def test_a_taken_port_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = WebServer(Address(host="127.0.0.1", port=port), Scripted(), version="1", audit_key="")
        with pytest.raises(PortTaken, match=f"127.0.0.1:{port}"):
            server.start()
        assert server.stop(), "what never served stops at once"


def test_it_stops_at_once_with_open_pages_and_frees_its_port() -> None:
    server = WebServer(Address(host="127.0.0.1", port=0), Scripted(), version="1", audit_key="")
    site = Site(server, Scripted(), server.start())
    connections = []
    for _ in range(3):
        connection = site.connect()
        connection.request("GET", "/api/stream")
        assert connection.getresponse().status == 200
        connections.append(connection)
    begun = time.monotonic()
    assert server.stop()
    assert time.monotonic() - begun < 5
    again = WebServer(Address(host="127.0.0.1", port=site.port), Scripted(), version="1", audit_key="")
    again.start()
    assert again.stop()
