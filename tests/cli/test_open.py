"""`fsm-exec open` against a running daemon, and over a database without one."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import msgspec
import trio

from fsm_exec.control.schema import PageLink
from tests.cli.daemons import command, serve, status, submit, until
from tests.cli.exchange import Site, site


async def test_a_link_opens_the_page_of_the_daemon_once(tmp_path: Path) -> None:
    """The status says where the page is; the link opens it; the page says that the engine runs. A read-only link opens
    a session without the second secret. After a restart neither session nor link holds."""
    async with site(tmp_path) as at:
        daemon = await serve(at)
        assert daemon.ready.page_url == (await status(at)).page_url is not None
        link = await _link(at, "--json")
        assert link.startswith(f"{daemon.ready.page_url}/enter?code=")
        async with httpx.AsyncClient() as browser:
            assert (await browser.get(link)).status_code == 200
            desk = await browser.get(f"{daemon.ready.page_url}/")
            assert (desk.status_code, "running" in desk.text, "fsm-exec-action" in desk.text) == (200, True, True)
            async with httpx.AsyncClient() as other:
                assert (await other.get(link)).status_code == 401
                assert (await other.get(f"{daemon.ready.page_url}/")).status_code == 401
            assert (await browser.get(f"{daemon.ready.page_url}/")).status_code == 401, "it may have been stolen"
        async with httpx.AsyncClient() as looker:
            assert (await looker.get(await _link(at, "--json", "--read-only"))).status_code == 200
            desk = await looker.get(f"{daemon.ready.page_url}/")
            assert (desk.status_code, "fsm-exec-action" in desk.text) == (200, False)
            assert await daemon.end() == 0
            port = str(httpx.URL(daemon.ready.page_url or "").port)
            again = await serve(at, "--config", at.config, "--db", tmp_path / "engine.sqlite", "--page-port", port)
            assert again.ready.page_url == daemon.ready.page_url
            assert (await looker.get(f"{again.ready.page_url}/")).status_code == 401
            assert await again.end() == 0


async def test_a_daemon_without_a_page_says_so(tmp_path: Path) -> None:
    """`--no-page`: the status has no address, and `open` fails in one line; the two options exclude each other; the
    configuration names the port too."""
    async with site(tmp_path) as at:
        daemon = await serve(at, "--config", at.config, "--db", tmp_path / "engine.sqlite", "--no-page")
        assert (daemon.ready.page_url, (await status(at)).page_url) == (None, None)
        done = await command(at, "open", "--print")
        assert (done.returncode, done.stdout) == (2, "")
        assert re.fullmatch(r"fsm-exec: .*without --no-page\n", done.stderr), done.stderr
        assert await daemon.end() == 0
        done = await command(at, "serve", "--config", at.config, "--no-page", "--page-port", "1")
        assert (done.returncode, "exclude each other" in done.stderr) == (2, True)
        at.config.write_text(f"{at.config.read_text(encoding='utf-8')}\n[page]\nport = 70000\n", encoding="utf-8")
        done = await command(at, "serve", "--config", at.config)
        assert (done.returncode, "page.port" in done.stderr) == (2, True)


async def test_a_database_is_shown_without_a_daemon(tmp_path: Path) -> None:
    """`open --db` serves a copied database until it is stopped, changes no byte of it, and has nothing that acts."""
    async with site(tmp_path) as at:
        daemon = await serve(at)
        await submit(at)
        await until(lambda: bool(at.exchange.orders))
        daemon.process.kill()
        await daemon.process.wait()
        database = tmp_path / "engine.sqlite"
        copied = tmp_path / "copied" / "looked-at.sqlite"
        copied.parent.mkdir()
        for suffix in ("", "-wal"):
            source = database.with_name(database.name + suffix)
            copied.with_name(copied.name + suffix).write_bytes(source.read_bytes())
        before = {path.name: path.read_bytes() for path in copied.parent.iterdir()}
        process = await at.start("open", "--db", copied, "--json")
        await until(lambda: "\n" in at.output())
        link = msgspec.json.decode(at.output(), type=PageLink).url
        async with httpx.AsyncClient() as browser:
            assert (await browser.get(link)).status_code == 200
            desk = await browser.get(str(httpx.URL(link).copy_with(path="/", query=None)))
            assert (desk.status_code, "fsm-exec-action" in desk.text) == (200, False)
        process.terminate()
        with trio.fail_after(120):
            assert await process.wait() == 0, at.errors()
        assert {path.name: path.read_bytes() for path in copied.parent.iterdir()} == before


async def test_wrong_usage_of_open_is_said(tmp_path: Path) -> None:
    """What is no database, what is not there, and options that do not go together: one line each."""
    async with site(tmp_path) as at:
        for words, said in (
            (("--db", "absent.sqlite"), "does not exist"),
            (("--db", at.config), "not"),
            (("--db", "x.sqlite", "--url", "http://127.0.0.1:1"), "leave --url"),
            (("--port", "1"), "--port goes with --db"),
        ):
            done = await command(at, "open", *words)
            assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
            assert said in done.stderr
        done = await command(at, "open")
        assert (done.returncode, "fsm-exec serve" in done.stderr) == (1, True)


async def _link(at: Site, *words: str) -> str:
    done = await command(at, "open", *words)
    assert done.returncode == 0, done.stderr
    return msgspec.json.decode(done.stdout, type=PageLink).url
