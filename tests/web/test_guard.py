"""Who may see the page and who may act: tried and refused."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from fsm_exec.web.guard import ACTION_HEADER
from fsm_exec.web.sessions import CODE_S, SESSION_S, SESSIONS_MAX, Sessions
from tests.web.conftest import ORIGIN, PORT, PageOfDesk

COOKIE = f"fsm_exec_{PORT}"


async def test_without_a_session_nothing_is_seen(page: PageOfDesk) -> None:
    """Every address but the door and the style sheet answers 401 and says what opens the page; a wrong cookie, and a
    cookie twice, are none."""
    cookies = ("", f"{COOKIE}=wrong", f"{COOKIE}=", f"fsm_exec_1={'a' * 43}", "{}={}")
    async with page.stranger() as stranger:
        for path in ("/", "/nope", "/events/desk", "/enter/", "//", "/static"):
            for cookie in cookies:
                answer = await stranger.get(path, headers={"Cookie": cookie})
                assert (answer.status_code, "fsm-exec open" in answer.text) == (401, True), (path, cookie)
        assert (await stranger.post("/")).status_code == 401
    async with page.browser() as browser:
        secret = browser.cookies[COOKIE]
        doubled = await browser.get("/", headers={"Cookie": f"{COOKIE}={secret}; {COOKIE}=other"})
        assert "Desk" in doubled.text or doubled.status_code == 401
        two_headers = httpx.Headers([("Cookie", f"{COOKIE}={secret}"), ("Cookie", f"{COOKIE}={secret}")])
        async with page.stranger() as stranger:
            assert (await stranger.get("/", headers=two_headers)).status_code == 401


@pytest.mark.parametrize(
    "others",
    ['prefs={"a": 1, "b": 2}', "a b=1", "theme", "rows[0]=1", 'x="unclosed', "path=/x", "name=\u00e9", "=", "$"],
)
async def test_cookies_of_other_programs_shut_nobody_out(page: PageOfDesk, others: str) -> None:
    """A browser sends the cookies of all programs that serve on this host name, whatever their ports and forms."""
    async with page.browser() as browser:
        ours = f"{COOKIE}={browser.cookies[COOKIE]}"
        for cookies in (f"{others}; {ours}", f"{ours}; {others}", f"{others};{ours};{others}"):
            answer = await browser.get("/", headers=httpx.Headers([(b"Cookie", cookies.encode("latin-1"))]))
            assert answer.status_code == 200, cookies


async def test_a_code_opens_one_session(page: PageOfDesk) -> None:
    """With it comes a cookie that no script can read and no other site can send; the browser that has the session may
    come again with the used code."""
    code = page.draw_code()
    async with page.stranger() as browser:
        entered = await browser.get("/enter", params={"code": code})
        assert entered.status_code == 200
        (cookie,) = entered.headers.get_list("set-cookie")
        assert cookie.startswith(f"{COOKIE}=")
        assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(cookie.split("; "))
        assert (await browser.get("/")).status_code == 200
        assert (await browser.get("/enter", params={"code": code})).status_code == 200
        assert (await browser.get("/")).status_code == 200


async def test_a_stolen_code_opens_nothing_and_ends_what_it_opened(page: PageOfDesk) -> None:
    """Whoever of owner and thief comes second is refused, and the session of the first is over: the owner sees it, and
    opens another."""
    code = page.draw_code()
    async with page.stranger() as first, page.stranger() as second:
        assert (await first.get("/enter", params={"code": code})).status_code == 200
        assert (await first.get("/")).status_code == 200
        late = await second.get("/enter", params={"code": code})
        assert (late.status_code, late.headers.get("set-cookie")) == (401, None)
        assert (await first.get("/")).status_code == 401
        assert (await second.get("/")).status_code == 401
    assert "page_code_refused" in page.desk.log
    assert code not in page.desk.log


@pytest.mark.parametrize(
    "wrong", [{}, {"code": ""}, {"code": "x"}, {"code": "x" * 10_000}, {"code": "é"}, {"other": "x"}], ids=repr
)
async def test_what_is_no_code_opens_nothing(page: PageOfDesk, wrong: dict[str, str]) -> None:
    """None, an empty, a wrong, a long one, one that is no ASCII."""
    async with page.stranger() as stranger:
        answer = await stranger.get("/enter", params=wrong)
        assert (answer.status_code, answer.headers.get("set-cookie")) == (401, None)


async def test_who_is_refused_again_and_again_does_not_fill_the_log(page: PageOfDesk) -> None:
    """Another site can make a browser come to the door as often as it likes."""
    async with page.stranger(**{"Sec-Fetch-Site": "cross-site"}) as stranger:
        for number in range(20):
            assert (await stranger.get("/enter", params={"code": f"{number}"})).status_code == 401
    assert page.desk.log.count("page_code_refused") in (1, 2)  # two, on a machine that takes ten seconds for it


async def test_a_code_is_used_by_no_other_method_and_not_twice_in_an_address(page: PageOfDesk) -> None:
    """A preview by HEAD does not use it up, a form cannot, and two codes in one address are none."""
    code = page.draw_code()
    async with page.stranger() as stranger:
        assert (await stranger.head("/enter", params={"code": code})).status_code == 401
        assert (await stranger.post("/enter", params={"code": code})).status_code == 401
        assert (await stranger.get(f"/enter?code={code}&code={code}")).status_code == 401
        assert (await stranger.get("/enter", params={"code": code})).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        f"evil.example:{PORT}",
        "127.0.0.1",
        "127.0.0.1:1",
        f"127.0.0.1.evil.example:{PORT}",
        "",
        f"0.0.0.0:{PORT}",
    ],
)
async def test_another_name_for_this_machine_is_refused(page: PageOfDesk, host: str) -> None:
    """DNS rebinding: a name of somebody else's that leads here is refused, with a session and a code too."""
    code = page.draw_code()
    async with page.browser() as browser:
        for path in ("/", f"/enter?code={code}", page.parts.static.url("page.css")):
            answer = await browser.get(path, headers={"Host": host})
            assert (answer.status_code, answer.headers.get("set-cookie")) == (403, None), path
        assert (await browser.get("/enter", params={"code": code})).status_code == 200, "the code was not used up"


@pytest.mark.parametrize("site", ["cross-site", "same-site", "unknown"])
async def test_what_another_site_asks_for_is_refused(page: PageOfDesk, site: str) -> None:
    """An image, a fetch, a form, a link: whatever the browser says comes from elsewhere. The door alone may be opened
    from another program."""
    async with page.browser() as browser:
        for path in ("/", "/events/desk", page.parts.static.url("page.css")):
            assert (await browser.get(path, headers={"Sec-Fetch-Site": site})).status_code == 403
        assert (await browser.post("/", headers={"Sec-Fetch-Site": site})).status_code == 403
    async with page.stranger(**{"Sec-Fetch-Site": site}) as stranger:
        assert (await stranger.get("/enter", params={"code": page.draw_code()})).status_code == 200
        assert (await stranger.get("/")).status_code == 403


def _without(header: str) -> Callable[[dict[str, str]], dict[str, str]]:
    return lambda headers: {name: value for name, value in headers.items() if name != header}


def _with(header: str, value: str) -> Callable[[dict[str, str]], dict[str, str]]:
    return lambda headers: headers | {header: value}


@pytest.mark.parametrize(
    "bend",
    [
        _without("Origin"),
        _without(ACTION_HEADER),
        _with("Origin", "null"),
        _with("Origin", "http://evil.example"),
        _with("Origin", "http://127.0.0.1:1"),
        _with("Origin", f"http://localhost:{PORT}"),
        _with("Origin", f"https://127.0.0.1:{PORT}"),
        _with("Origin", "http://["),
        _with(ACTION_HEADER, ""),
        _with(ACTION_HEADER, "wrong"),
        _with(ACTION_HEADER, "\u00e9"),
        _with("Sec-Fetch-Site", "cross-site"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_an_action_needs_origin_and_token(
    page: PageOfDesk, bend: Callable[[dict[str, str]], dict[str, str]], method: str
) -> None:
    """A cross-site form or fetch has the cookie at best: without our own origin and the second secret nothing is done.
    With both the request is let through, here to an address that takes none."""
    async with page.browser() as browser:
        headers = _acting(page, browser)
        raw = [(name.encode(), value.encode("latin-1")) for name, value in bend(headers).items()]
        refused = await browser.request(method, "/", headers=httpx.Headers(raw))
        assert refused.status_code == 403
        assert (await browser.request(method, "/", headers=headers)).status_code == 405


async def test_a_read_only_session_cannot_act(page: PageOfDesk) -> None:
    """It has no second secret, and another session's is none of its own."""
    async with page.browser() as other, page.browser(read_only=True) as browser:
        seen = await browser.get("/")
        assert seen.status_code == 200
        assert "fsm-exec-action" not in seen.text
        answer = await browser.post(
            "/", headers=_acting(page, other) | {"Cookie": f"{COOKIE}={browser.cookies[COOKIE]}"}
        )
        assert (answer.status_code, "may only look" in answer.text) == (403, True)


async def test_every_answer_forbids_frames_foreign_sources_and_keeping(page: PageOfDesk) -> None:
    """Pages, refusals, errors and files: the policy names no source but ourselves; only files may be kept."""
    css = page.parts.static.url("page.css")
    async with page.browser() as browser, page.stranger() as stranger:
        for client, path in (
            (browser, "/"),
            (browser, "/nope"),
            (stranger, "/"),
            (stranger, "/enter"),
            (stranger, css),
        ):
            answer = await client.get(path)
            policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
            assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
            assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["cross-origin-opener-policy"] == "same-origin"
            assert answer.headers["cache-control"] == (
                "no-store" if path != css else "public, max-age=31536000, immutable"
            )


@pytest.mark.parametrize(
    "path",
    [
        "/static/../sessions.py",
        "/static/%2e%2e/sessions.py",
        "/static/..%2fsessions.py",
        "/static//etc/passwd",
        "/static/0000000000000000/page.css",
        "/static/page.css",
        "/static/",
        "/static/%00",
    ],
)
async def test_no_path_leads_out_of_the_files(page: PageOfDesk, path: str) -> None:
    """A file has one address, with the hash of its content; every other one is none."""
    async with page.stranger() as stranger:
        answer = await stranger.get(httpx.URL(ORIGIN).copy_with(raw_path=path.encode()))
        assert answer.status_code in (401, 404)
        assert "Sessions" not in answer.text
        found = await stranger.get(page.parts.static.url("page.css"))
        assert (found.status_code, found.headers["content-type"]) == (200, "text/css; charset=utf-8")


def test_codes_and_sessions_end() -> None:
    """A code after a minute, a session after twelve hours; of too many sessions the oldest goes."""
    now_s = 0.0
    sessions = Sessions(lambda: now_s)
    code = sessions.draw_code(read_only=False)
    now_s = CODE_S
    assert sessions.use_code(code, None) is None
    session = sessions.use_code(sessions.draw_code(read_only=True), None)
    assert session is not None
    assert session.is_read_only
    now_s += SESSION_S - 1
    assert sessions.find(session.secret) is session
    assert sessions.is_open(session)
    now_s += 1
    assert sessions.find(session.secret) is None
    opened = [sessions.use_code(sessions.draw_code(read_only=False), None) for _ in range(SESSIONS_MAX + 1)]
    assert len(sessions) == SESSIONS_MAX
    assert [one is not None and sessions.is_open(one) for one in opened] == [False] + [True] * SESSIONS_MAX
    assert "secret" not in repr(session)


def _acting(page: PageOfDesk, browser: httpx.AsyncClient) -> dict[str, str]:
    """What our own script sends with an action."""
    session = page.parts.sessions.find(browser.cookies[COOKIE])
    assert session is not None
    assert session.action is not None
    return {"Origin": ORIGIN, ACTION_HEADER: session.action, "Sec-Fetch-Site": "same-origin"}
