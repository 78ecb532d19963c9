"""One channel of alerts: what it has not taken yet, and the telling of it, message by message."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.alerts.alerts import Delivery, StoredAlert
from fsm_exec.core.alerts.channel_port import Channel
from fsm_exec.core.alerts.notifying import QuietHours, Undelivered, choose_next, message_of, retry_after_s
from fsm_exec.core.alerts.settings import AlertSettings, ChannelSettings
from fsm_exec.core.errors import NotDelivered
from fsm_exec.core.store_port import AlertStore
from fsm_exec.core.text import one_line
from fsm_exec.core.values.units import US_PER_S
from fsm_exec.runtime.clock import WallClock

ANSWER_WITHIN_S: Final = 30.0
LOOK_EVERY_S: Final = 30.0  # the end of quiet hours is no news
MINUTE_S: Final = 60.0
LOADED_MAX: Final = 500  # alerts of one channel in memory, urgent ones and others each
WHY_MAX: Final = 200


@dataclass(frozen=True)
class AlertSetup:
    """How alerts are told: the channels by name, their settings, and what messages say of where they come from."""

    settings: AlertSettings
    channels: Mapping[str, Channel]
    environment: str
    database: str


class Notifier:
    """Tells the pending alerts through one channel. `settle` is called with alerts that it has taken."""

    def __init__(
        self,
        name: str,
        setup: AlertSetup,
        store: AlertStore,
        quiet: QuietHours | None,
        settle: Callable[[Sequence[int]], Awaitable[None]],
        wall: WallClock,
        log: FilteringBoundLogger,
    ) -> None:
        self.name, self._channel = name, setup.channels[name]
        self._settings = setup.settings.channels.get(name, ChannelSettings())
        self._quiet = quiet if self._settings.quiet_hours else None
        self._setup, self._store, self._settle, self._wall, self._log = setup, store, settle, wall, log
        self._waiting: dict[int, Undelivered] = {}
        self._loaded_ids = {
            True: 0,
            False: 0,
        }  # of urgent ones and others: all up to it are in `_waiting` or were taken
        self._sent_s: deque[float] = deque()  # within the last minute
        self._failures = 0  # in a row

    async def run(self, news: Callable[[], trio.Event]) -> NoReturn:
        """Tell alerts for ever; `news()` is set when there may be a new one. Raises StoreFailed."""
        self._waiting.clear()
        self._loaded_ids = {True: 0, False: 0}
        while True:
            said = news()  # before the look: what is said during it is not missed
            after_s = await self._notify_next()
            with trio.move_on_after(after_s):
                await said.wait()

    async def _notify_next(self) -> float:
        """Tell what is due; return after how many seconds to look again."""
        for is_urgent in (True, False):
            await self._load(is_urgent=is_urgent)
        now_us = self._wall.now_us()
        is_quiet = self._quiet is not None and self._quiet.holds(now_us)
        chosen = choose_next(tuple(self._waiting.values()), now_us, is_quiet=is_quiet)
        if not chosen:
            retries_us = [one.next_at_us - now_us for one in self._waiting.values() if one.next_at_us is not None]
            return min([LOOK_EVERY_S, *(after_us / US_PER_S for after_us in retries_us if after_us > 0)])
        turn_s = self._seconds_to_turn()
        if turn_s > 0:  # meanwhile more may come, which shares the message
            await trio.sleep(turn_s)
            return 0
        self._sent_s.append(trio.current_time())
        tried_us = self._wall.now_us()
        alerts = [one.alert for one in chosen]
        why = await self.send(alerts)
        self._failures = 0 if why is None else self._failures + 1
        await self._store.save_deliveries([self._keep(one, tried_us, why) for one in chosen])
        if why is None:
            await self._settle([one.alert_id for one in alerts])
        else:
            await trio.sleep(retry_after_s(self._failures))
        return 0

    async def send(self, alerts: Sequence[StoredAlert]) -> str | None:
        """Hand one message to the channel; return what went wrong, or None. Of an error that is not the channel's own
        only the type is told: an address may be in its words."""
        message = message_of(alerts, self._settings, environment=self._setup.environment, database=self._setup.database)
        try:
            with trio.fail_after(ANSWER_WITHIN_S):
                await self._channel.send(message)
        except NotDelivered as error:
            why = one_line(str(error))[:WHY_MAX]
        except trio.TooSlowError:
            why = f"no answer within {ANSWER_WITHIN_S:.0f} s"
        except Exception as error:
            why = f"the channel failed: {type(error).__name__}"
        else:
            self._log.info("alert_delivered", channel=self.name, alerts=[one.alert_id for one in alerts])
            return None
        self._log.warning("alert_not_delivered", channel=self.name, alerts=[one.alert_id for one in alerts], why=why)
        return why

    async def send_until_taken(self, alerts: Sequence[StoredAlert]) -> None:
        """Hand alerts to the channel again and again, until it takes them."""
        failures = 0
        while await self.send(alerts) is not None:
            failures += 1
            await trio.sleep(retry_after_s(failures))

    async def _load(self, *, is_urgent: bool) -> None:
        """Load alerts that are new, and at the start all that are pending, as far as there is room for them. Urgent
        ones have room of their own: a night's others, which wait for its end, must not hold them back."""
        room = LOADED_MAX - sum(one.alert.is_urgent == is_urgent for one in self._waiting.values())
        if room <= 0:
            return
        pending = await self._store.load_pending_alerts(self._loaded_ids[is_urgent], room, is_urgent=is_urgent)
        if not pending:
            return
        deliveries = await self._store.load_deliveries([one.alert_id for one in pending])
        mine = {one.alert_id: one for one in deliveries if one.channel == self.name}
        taken = []
        for alert in pending:
            tried = mine.get(alert.alert_id)
            if tried is None:
                self._waiting[alert.alert_id] = Undelivered(alert=alert)
            elif tried.delivered_at_us is None:
                again = Undelivered(alert=alert, attempts=tried.attempts, next_at_us=tried.next_at_us)
                self._waiting[alert.alert_id] = again
            else:
                taken.append(alert.alert_id)
        self._loaded_ids[is_urgent] = pending[-1].alert_id
        if taken:  # a process ended before they were settled, or a channel is not configured any more
            await self._settle(taken)

    def _seconds_to_turn(self) -> float:
        """Return after how many seconds one more message may be sent."""
        now_s = trio.current_time()
        while self._sent_s and self._sent_s[0] <= now_s - MINUTE_S:
            self._sent_s.popleft()
        if len(self._sent_s) < self._settings.max_messages_per_minute:
            return 0
        return self._sent_s[0] + MINUTE_S - now_s

    def _keep(self, one: Undelivered, tried_us: int, why: str | None) -> Delivery:
        """Keep here how a message fared; return the row of it."""
        alert_id, attempts, now_us = one.alert.alert_id, one.attempts + 1, self._wall.now_us()
        next_at_us = None if why is None else now_us + retry_after_s(attempts) * US_PER_S
        if why is None:
            self._waiting.pop(alert_id, None)
        else:
            self._waiting[alert_id] = Undelivered(alert=one.alert, attempts=attempts, next_at_us=next_at_us)
        return Delivery(
            alert_id=alert_id,
            channel=self.name,
            attempts=attempts,
            tried_at_us=tried_us,
            next_at_us=next_at_us,
            delivered_at_us=now_us if why is None else None,
            why=why,
        )
