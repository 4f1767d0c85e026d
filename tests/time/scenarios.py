"""Named stories of clocks, each with the time and quality that every measurement in it must get.

A story is told in the clinic's true time, which nobody in it knows: `HH:MM` of 2 March 2026, or with `+2d`
days later.

    boot WALL        power comes; the wall clock shows WALL (`right`: a real-time clock that is right)
    off              power goes
    sync             a time server sets the clock, and keeps it from then on
    lose             nobody keeps it any more
    set WALL         somebody sets the clock by hand
    jump SPAN        it is set by so much, and the kernel goes on calling it synchronised
    sleep            suspended until the next line; the time since boot counts it (`uncounted`: it does not)
    restart          the service, not the box
    machine SPAN     the machine's clock is so much ahead (`machine shows WALL`: somebody set or reset it)
    live X           the machine measures X and tells it at once
    record X         it measures X and keeps it in its memory
    clock            we read the machine's clock
    tell X           it tells X from its memory (`tell X blank`: without the time it was made)
    read X           clock, then tell X
    void X           a person withdraws X

What it gives: a row a measurement: name, time (`-`: none), quality, a part of the rule's words, status, and
with `~` that the true time is only known to lie in the interval given.
"""

from typing import NamedTuple


class Scenario(NamedTuple):
    name: str
    story: str
    gives: str
    zone: str = "Asia/Shanghai"
    machine_zone: str = ""
    """As configured for the machine; empty: the box's."""
    stands_in: str = ""
    """Where the machine's clock really is, if that is not what is configured."""
    follows: bool = True
    """Whether the machine puts its clock forward and back by itself."""
    drift_ppm: float = 0.0
    one_contact: bool = False
    """A restart after every line would tell another story."""


SCENARIOS = (
    Scenario(
        "a box without a clock boots in 1970 and nobody ever tells it the time",
        """08:00 boot 1970-01-01T08:00
           08:05 live a""",
        "a  -  unknown  our clock was not set  preliminary",
    ),
    Scenario(
        "a box without a clock boots in 1970, the time server answers after the exam",
        """08:00 boot 1970-01-01T08:00
           08:05 live a
           08:30 sync""",
        "a  08:05  gateway_synchronised  counted back  final",
    ),
    Scenario(
        "the time server answers in the middle of an exam",
        """08:00 boot 1970-01-01T08:00
           08:05 live a
           08:06 sync
           08:07 live b""",
        """a  08:05  gateway_synchronised  counted back  final
           b  08:07  gateway_synchronised  time of arrival  final""",
    ),
    Scenario(
        "the time server answers between a machine's clock and its record",
        """08:00 boot 1970-01-01T08:00
           08:00 machine +01:00
           08:02 record a
           08:10 clock
           08:11 sync
           08:12 tell a""",
        "a  08:02  device_corrected  shifted  preliminary",
        one_contact=True,
    ),
    Scenario(
        "a real-time clock that is right, and no network",
        """08:00 boot right
           08:05 live a""",
        "a  08:05  gateway_unsynchronised  time of arrival  final",
    ),
    Scenario(
        "a real-time clock seven minutes fast, then the network",
        """08:00 boot 2026-03-02T08:07
           08:05 live a
           09:00 sync""",
        "a  08:05  gateway_synchronised  counted back  corrected",
    ),
    Scenario(
        "a real-time clock years ahead, then a step back",
        """08:00 boot 2031-05-01T12:00
           08:05 live a
           08:06 sync
           08:07 live b""",
        """a  08:05  gateway_synchronised  counted back  corrected
           b  08:07  gateway_synchronised  time of arrival  final""",
    ),
    Scenario(
        "somebody sets the clock back an hour by hand",
        """08:00 boot right
           08:01 sync
           09:00 set 2026-03-02T08:00
           09:05 live a""",
        "a  09:05  gateway_synchronised  counted on  final",
    ),
    Scenario(
        "set back an hour by hand, and the time server sets it right again",
        """08:00 boot right
           08:01 sync
           09:00 set 2026-03-02T08:00
           09:05 live a
           09:30 sync""",
        "a  09:05  gateway_synchronised  counted on  final",
    ),
    Scenario(
        "the network is away for ten hours",
        """08:00 boot right
           08:01 sync
           08:02 lose
           18:00 live a""",
        "a  18:00  gateway_synchronised  counted on  final",
    ),
    Scenario(
        "the network is away for three days, and the crystal runs fast",
        """08:00 boot right
           08:01 sync
           08:02 lose
           +1d 20:00 live a
           +3d 08:00 sync""",
        "a  +1d 20:00  gateway_synchronised  between  corrected",
        drift_ppm=50,
    ),
    Scenario(
        "a month without network: the time is known to a few minutes only",
        """08:00 boot right
           08:01 sync
           08:02 lose
           +30d 08:00 live a""",
        "a  +30d 08:02:10  gateway_unsynchronised  counted on  final  ~",
        drift_ppm=50,
    ),
    Scenario(
        "somebody sets the clock by hand after it booted in 1970",
        """08:00 boot 1970-01-01T08:00
           08:05 live a
           08:30 set 2026-03-02T08:30""",
        "a  08:05  gateway_unsynchronised  as it was set later  final",
    ),
    Scenario(
        "somebody sets the clock by hand, wrongly, and then the network comes",
        """08:00 boot 1970-01-01T08:00
           08:05 live a
           08:30 set 2026-03-09T08:30
           08:35 live b
           09:00 sync""",
        """a  08:05  gateway_synchronised  counted back  corrected
           b  08:35  gateway_synchronised  counted back  corrected""",
    ),
    Scenario(
        "a leap of a day, by hand, forth and back",
        """08:00 boot right
           08:01 sync
           09:00 set 2026-03-03T09:00
           09:05 live a
           09:10 set 2026-03-02T09:10
           09:15 live b""",
        """a  09:05  gateway_synchronised  counted on  final
           b  09:15  gateway_synchronised  counted on  final""",
    ),
    Scenario(
        "a leap second",
        """08:00 boot right
           08:01 sync
           08:05 live a
           08:10 jump -1s
           08:15 live b""",
        """a  08:05  gateway_synchronised  time of arrival  final
           b  08:14:59  gateway_synchronised  time of arrival  final""",
    ),
    Scenario(
        "a time server that lies a day ahead contradicts what was known before",
        """08:00 boot right
           08:01 sync
           08:02 lose
           09:00 live a
           10:00 jump +24:00""",
        "a  09:00  gateway_unsynchronised  disagree  corrected  ~",
    ),
    Scenario(
        "two boots without the time between two with it: an interval, and half-way into it",
        """08:00 boot right
           08:01 sync
           08:59 live z
           09:00 off
           10:00 boot 1970-01-01T08:00
           10:30 live a
           11:00 off
           12:00 boot 1970-01-01T08:00
           12:30 live b
           13:00 off
           14:00 boot 1970-01-01T08:00
           14:10 sync""",
        """a  11:29:26  gateway_unsynchronised  half-way  final  ~
           b  11:59:34  gateway_unsynchronised  half-way  final  ~""",
    ),
    Scenario(
        "two boots without network on a box whose real-time clock is right",
        """08:00 boot right
           08:01 sync
           09:00 off
           10:00 boot right
           10:30 live a
           11:00 off
           12:00 boot right
           12:10 sync""",
        "a  10:30  gateway_unsynchronised  lies between  corrected  ~",
    ),
    Scenario(
        "a power cut between a measurement and the time server",
        """08:00 boot right
           08:01 sync
           08:59 live z
           09:00 off
           09:30 boot 1970-01-01T08:00
           09:35 live a
           09:36 off
           09:40 boot 1970-01-01T08:00
           09:45 sync""",
        "a  09:22  gateway_unsynchronised  half-way  final  ~",
    ),
    Scenario(
        "the very first boot, in 1970, ends before anybody tells the time",
        """08:00 boot 1970-01-01T08:00
           08:05 live a
           08:10 off
           09:00 boot 1970-01-01T08:00
           09:01 sync""",
        "a  -  unknown  our clock was not set  preliminary  ~",
    ),
    Scenario(
        "a clock days ahead that nobody put right in its boot: what was final is corrected, not taken back",
        """08:00 boot 2026-03-20T08:00
           08:05 live a
           08:10 off
           09:00 boot right
           09:01 sync""",
        "a  -  unknown  our clock was not set  corrected  ~",
    ),
    Scenario(
        "a box that remembers when it was switched off: known to be too early, until the network comes",
        """08:00 boot right
           08:01 sync
           09:00 off
           12:00 boot 2026-03-02T08:59
           12:05 live a
           12:06 live b
           12:30 sync""",
        """a  12:05  gateway_synchronised  counted back  corrected
           b  12:06  gateway_synchronised  counted back  corrected""",
    ),
    Scenario(
        "a suspended box",
        """08:00 boot 1970-01-01T08:00
           08:05 live a
           08:10 sleep
           11:00 live b
           11:30 sync""",
        """a  08:05  gateway_synchronised  counted back  final
           b  11:00  gateway_synchronised  counted back  final""",
    ),
    Scenario(
        "a suspended box that does not count its sleep, and knows that nobody keeps its clock",
        """08:00 boot right
           08:01 sync
           08:05 live a
           08:09 lose
           08:10 sleep uncounted
           11:00 live b
           11:30 sync""",
        """a  08:05  gateway_synchronised  time of arrival  final
           b  08:10  gateway_unsynchronised  disagree  corrected  ~""",
    ),
    Scenario(
        "the service is restarted between a measurement and the time server",
        """08:00 boot 1970-01-01T08:00
           08:05 live a
           08:10 restart
           08:30 sync
           08:31 restart""",
        "a  08:05  gateway_synchronised  counted back  final",
    ),
    Scenario(
        "a machine's clock is three hours fast",
        """08:00 boot right
           08:01 sync
           08:01 machine +03:00
           08:10 record a
           08:40 read a""",
        "a  08:10  device_corrected  shifted  preliminary",
    ),
    Scenario(
        "a machine's clock is right",
        """08:00 boot right
           08:01 sync
           08:10 record a
           08:40 read a""",
        "a  08:10  device_synchronised  agrees with ours  preliminary",
    ),
    Scenario(
        "a machine's clock is 90 seconds slow: near enough, its own time stands",
        """08:00 boot right
           08:01 sync
           08:01 machine -90s
           08:10 record a
           08:40 read a""",
        "a  08:08:30  device_synchronised  agrees with ours  preliminary  ~",
    ),
    Scenario(
        "a machine was reset to 2000 before it measured",
        """08:00 boot right
           08:01 sync
           08:02 machine shows 2000-01-01T00:00
           08:10 record a
           08:40 read a""",
        "a  08:10  device_corrected  shifted  preliminary",
    ),
    Scenario(
        "a machine was reset to 2016 after it had measured",
        """08:00 boot right
           08:01 sync
           08:10 record a
           08:20 machine shows 2016-01-01T00:00
           08:40 read a""",
        "a  -  unknown  lies in the future  preliminary",
    ),
    Scenario(
        "a machine was set right after it had measured a day ahead: a record from the future",
        """08:00 boot right
           08:01 sync
           08:01 machine +24:00
           08:10 record a
           08:20 machine +00:00
           08:40 read a""",
        "a  -  unknown  lies in the future  preliminary",
    ),
    Scenario(
        "a machine without a clock",
        """08:00 boot right
           08:01 sync
           08:05 live a
           08:10 record b
           08:40 tell b blank""",
        """a  08:05  gateway_synchronised  time of arrival  final
           b  -  unknown  device gave no time  preliminary""",
    ),
    Scenario(
        "a machine whose clock cannot be read",
        """08:00 boot right
           08:01 sync
           08:10 record a
           08:40 tell a""",
        "a  -  unknown  device clock was not read  preliminary",
    ),
    Scenario(
        "a machine's record read while the box is in 1970",
        """08:00 boot 1970-01-01T08:00
           08:10 record a
           08:40 read a
           09:00 sync""",
        "a  08:10  device_synchronised  agrees with ours; arrival, counted back  preliminary",
    ),
    Scenario(
        "a machine's record read in a boot that never knew the time",
        """08:00 boot right
           08:01 sync
           08:58 record a
           08:59 live z
           09:00 off
           10:00 boot 1970-01-01T08:00
           10:30 read a
           11:00 off
           12:00 boot 1970-01-01T08:00
           12:10 sync""",
        "a  09:12:30  gateway_unsynchronised  half-way  preliminary  ~",
    ),
    Scenario(
        "a machine set to Urumqi's time, and nobody said so: two hours slow",
        """08:00 boot right
           08:01 sync
           08:10 record a
           08:40 read a""",
        "a  08:10  device_corrected  shifted  preliminary",
        stands_in="Asia/Urumqi",
    ),
    Scenario(
        "a machine set to Urumqi's time, and configured so",
        """08:00 boot right
           08:01 sync
           08:10 record a
           08:40 read a""",
        "a  08:10  device_synchronised  agrees with ours  preliminary",
        machine_zone="Asia/Urumqi",
    ),
    Scenario(
        "summer time begins between measuring and reading, and the machine follows",
        """+26d 20:00 boot right
           +26d 20:01 sync
           +26d 21:00 record a
           +27d 12:00 read a""",
        "a  +26d 21:00  device_synchronised  agrees with ours  preliminary",
        zone="Europe/Berlin",
    ),
    Scenario(
        "summer time begins between measuring and reading, and the machine does not follow",
        """+26d 20:00 boot right
           +26d 20:01 sync
           +26d 21:00 record a
           +27d 12:00 read a""",
        "a  +26d 21:00  device_corrected  shifted  preliminary",
        zone="Europe/Berlin",
        follows=False,
    ),
    Scenario(
        "a record of an hour that summer time leaves out, from a machine that does not follow",
        """+27d 08:00 boot right
           +27d 08:01 sync
           +27d 09:30 record a
           +27d 15:00 read a""",
        "a  +27d 09:30  device_corrected  shifted  preliminary",
        zone="Europe/Berlin",
        follows=False,
    ),
    Scenario(
        "a record of the hour that comes twice, the second time",
        """+237d 08:00 boot right
           +237d 08:01 sync
           +237d 09:30 record a
           +237d 12:00 read a""",
        "a  +237d 09:30  device_synchronised  agrees with ours  preliminary",
        zone="Europe/Berlin",
    ),
    Scenario(
        "a measurement that was withdrawn keeps the time it had",
        """08:00 boot 2026-03-02T08:07
           08:05 live a
           08:06 void a
           09:00 sync""",
        "a  08:12  gateway_unsynchronised  time of arrival  entered-in-error  ~",
    ),
)
