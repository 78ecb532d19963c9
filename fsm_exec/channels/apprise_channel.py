"""A channel by way of apprise: webhooks, Telegram, Discord, Slack, e-mail and many more, each by an address.

The address is a secret: it is in no error, log line or row. apprise itself says only whether it delivered, and why in
its log, which may quote addresses; the log goes nowhere, and of it a status of HTTP alone is taken. The service is
called by itself, without apprise's own pool of threads: the interpreter would wait for those at its end.
"""

from __future__ import annotations

import logging
import re
import threading
import warnings
from typing import TYPE_CHECKING, Final

import trio

from fsm_exec.core.alerts.channel_port import Message
from fsm_exec.core.errors import NotDelivered, UserError

if TYPE_CHECKING:
    from apprise import NotifyBase

_STATUS: Final = re.compile(r"\berror=(\d{3})\b")
_QUIET_LOGS: Final = ("apprise", "urllib3")


class AppriseChannel:
    """Sends through the service at `url`, in a thread. One message at a time: a thread that hangs holds back this
    channel alone."""

    def __init__(self, url: str) -> None:
        """Raises UserError for an address apprise does not know; the error does not tell it."""
        self._service = _service_of(url)
        self._one_at_a_time = trio.CapacityLimiter(1)

    async def send(self, message: Message) -> None:
        """Send one message. Raises NotDelivered. When it is cancelled the thread is left behind, and may deliver."""
        await trio.to_thread.run_sync(self._send, message, abandon_on_cancel=True, limiter=self._one_at_a_time)

    def _send(self, message: Message) -> None:
        from apprise import NotifyFormat, NotifyType

        kind = NotifyType.WARNING if message.is_urgent else NotifyType.INFO
        with _LOG.listen() as heard:
            taken = self._service.notify(
                body=message.text, title=message.title, notify_type=kind, body_format=NotifyFormat.TEXT
            )
        if not taken:
            status = heard.status
            raise NotDelivered("the service did not take it" + (f": HTTP status {status}" if status else ""))


class _Heard:
    status: str | None = None


class _StatusOfLog(logging.Handler):
    """Takes the status of HTTP from what apprise logs in a thread, and nothing else."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._of_thread = threading.local()

    def listen(self) -> _Listening:
        return _Listening(self._of_thread)

    def emit(self, record: logging.LogRecord) -> None:
        heard: _Heard | None = getattr(self._of_thread, "heard", None)
        found = _STATUS.search(record.getMessage())
        if heard is not None and found is not None:
            heard.status = found[1]


class _Listening:
    def __init__(self, of_thread: threading.local) -> None:
        self._of_thread = of_thread

    def __enter__(self) -> _Heard:
        self._of_thread.heard = heard = _Heard()
        return heard

    def __exit__(self, *_: object) -> None:
        self._of_thread.heard = None


_LOG: Final = _StatusOfLog()


def _service_of(url: str) -> NotifyBase:
    from apprise import (  # only here: it takes longer to import than a start takes
        Apprise,
        AppriseAsset,
        NotifyBase,
        OverflowMode,
    )

    for name in _QUIET_LOGS:
        quiet = logging.getLogger(name)
        quiet.propagate = False
        if _LOG not in quiet.handlers:
            quiet.addHandler(_LOG)
    asset = AppriseAsset(app_id="fsm-exec", async_mode=False, storage_mode="memory")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it loads its services now, and some use modules that Python is to lose
        service = Apprise.instantiate(url, asset=asset)
    if not isinstance(service, NotifyBase):
        raise UserError("apprise knows no such address; see its list of services for how they are written")
    service.overflow_mode = OverflowMode.SPLIT  # a service with a shorter limit gets all of it, in parts
    return service
