"""When a cron fires: what `crons` stores as text, and the instants it stands for."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from langyard.model.errors import Invalid

_LONGEST = 200
_NAMED = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip


class Schedule:
    """When a cron fires: five fields as Debian's cron reads them, or six, the last of them seconds,
    or one of its names such as `@daily`.

    Times of day are those of the timezone. Where daylight saving skips an hour, what falls into it fires at its end;
    where an hour comes twice, it fires once: both only when hour and minute are named, for what fires every so often
    fires on. Raises `Invalid` for what is no schedule or no timezone.
    """

    def __init__(self, text: str, timezone: str | None = None) -> None:
        self._zone = _zone(timezone)
        fields = _NAMED.get(text.strip().lower(), text).split()
        # Seconds come last here, and first there.
        self._text = " ".join(fields[5:] + fields[:5])
        if len(text) > _LONGEST:
            raise _no_schedule(text[:_LONGEST])
        try:
            CronSim(self._text, dt.datetime(2024, 1, 1, tzinfo=dt.UTC))
        except CronSimError as wrong:
            if not self._names_a_missing_day(wrong):
                raise _no_schedule(text) from None
            self._text = ""

    def after(self, moment: dt.datetime) -> dt.datetime | None:
        """The first slot later than an aware `moment`, in UTC; None when there is none within fifty years."""
        if not self._text:
            return None
        for slot in CronSim(self._text, moment.astimezone(self._zone)):
            # In an hour that comes twice, a local time may mean its first coming, which is over.
            if (found := slot.astimezone(dt.UTC)) > moment:
                return found
        return None

    def _names_a_missing_day(self, wrong: CronSimError) -> bool:
        """Whether all that is wrong is that the months have no such day."""
        fields = self._text.split()
        if str(wrong) != "Bad day-of-month" or len(fields) < 5:
            return False
        fields[-2] = "*"
        try:
            CronSim(" ".join(fields), dt.datetime(2024, 1, 1, tzinfo=dt.UTC))
        except CronSimError:
            return False
        return True


def _zone(timezone: str | None) -> dt.tzinfo:
    if timezone is None or timezone == "UTC":
        return dt.UTC
    try:
        return ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):
        raise Invalid(
            f"Invalid timezone: '{timezone[:_LONGEST]}'. Use IANA timezone format (e.g. 'America/New_York').",
            code="invalid_timezone",
        ) from None


def _no_schedule(text: str) -> Invalid:
    return Invalid(
        f"Invalid cron schedule: '{text}'. Reason: Invalid cron schedule. Ensure the schedule uses the standard cron "
        "format (minute hour day_of_month month day_of_week). Example: '*/5 * * * *' for every 5 minutes.",
        code="invalid_schedule",
    )
