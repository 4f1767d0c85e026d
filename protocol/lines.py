r"""Text lines of machines that nobody has written a driver for: where they end, and how their parts are read.

A layout says how a line looks, in words that a technician can write and that can only be read in one way, so
that no line costs more than one pass over it:

    ST,GS,{weight} kg                  a number; a blank stands for any number of blanks, also none
    W{weight:5}H{height:5}             exactly five characters
    {systolic:3},{diastolic:3},{_}     {_} is passed over
    {glucose:4.1}                      four digits, the last of them a tenth
    {%Y/%m/%d %H:%M},{stable},{id:20}  the machine's own time; its mark for a stable value; a person's number

A text knows the escapes \r \n \t \0 \xNN, \{ \} and \\.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from protocol.framing import Frame, LineFramer, Noise
from protocol.times import device_time

LONGEST_LAYOUT = 400
TOKEN = re.compile(
    r"\\x(?P<hex>[0-9A-Fa-f]{2})|\\(?P<escape>.)|\{(?P<name>[^{}]*)\}|(?P<text>[^\\{}])", re.DOTALL
)
ESCAPES = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\", "{": "{", "}": "}"}
NAME = re.compile(r"(?P<name>[a-z_0-9]+)(?::(?P<width>\d{1,2})?(?:\.(?P<decimals>\d))?)?")
TEXTS = frozenset({"id", "stable", "error"})
SKIP = "_"
BLANKS = " *+"
YEAR, MOMENT = ("Y", "y"), ("m", "d", "H", "M")
DIRECTIVES = frozenset({*YEAR, *MOMENT, "S"})


class EndedFramer(LineFramer):
    """Lines of at most *limit* bytes ended by any of *ends*; in all else a `LineFramer`.

    Raises ValueError where one end is part of another: which was meant would depend on how the bytes arrive.
    """

    def __init__(self, ends: tuple[bytes, ...], limit: int = 256) -> None:
        super().__init__(limit)
        if not all(ends) or any(one in other for one in ends for other in ends if one is not other):
            raise ValueError("an end mark may not be empty or part of another")
        self._ends = re.compile(b"|".join(map(re.escape, ends)))

    def _sorted(self, line: bytes) -> Frame | Noise:
        said = super()._sorted(line)
        blank = isinstance(said, Frame) and not self._ends.sub(b"", line).strip(b"\r\n\0 ")
        return Noise(line) if blank else said

    def _line_end(self) -> int:
        found = self._ends.search(self._held, 0, self._limit + 1)
        return found.end() - 1 if found else -1


@dataclass(frozen=True, slots=True)
class Fields:
    """What one line says: its numbers by name, its texts (blanks around them taken off), its time."""

    numbers: Mapping[str, Decimal]
    texts: Mapping[str, str]
    time: datetime | None


@dataclass(frozen=True, slots=True)
class Layout:
    """A compiled layout. `numbers`: the names of its numbers with their implied decimals, None if written."""

    pattern: re.Pattern[str]
    numbers: Mapping[str, int | None]
    texts: frozenset[str]
    point: str

    def read(self, line: str) -> Fields | None:
        """Return what *line* says, or None where it does not look so.

        Numbers may be blank only where the layout has an `error`. Raises MalformedValue for a time that
        there is not.
        """
        found = self.pattern.fullmatch(line)
        if found is None:
            return None
        texts = {name: found[name].strip(" ") for name in self.texts}
        written = {name: found[name].strip(" ") for name in self.numbers}
        if "error" in texts and not any(written.values()):
            return Fields({}, texts, _time(found))
        numbers = {name: self._number(text, self.numbers[name]) for name, text in written.items()}
        known = {name: number for name, number in numbers.items() if number is not None}
        return Fields(known, texts, _time(found)) if len(known) == len(numbers) else None

    def _number(self, text: str, decimals: int | None) -> Decimal | None:
        places = "" if decimals is not None else rf"(?:{re.escape(self.point)}[0-9]{{1,4}})?"
        if not re.fullmatch(rf"[+-]? *+[0-9]{{1,6}}{places}", text):
            return None
        return Decimal(text.replace(" ", "").replace(self.point, ".")).scaleb(-(decimals or 0))


@dataclass(slots=True)
class _Compiler:
    known: frozenset[str]
    point: str
    numbers: dict[str, int | None] = field(default_factory=dict)
    texts: set[str] = field(default_factory=set)
    times: list[str] = field(default_factory=list)

    def part(self, token: re.Match[str], after: str | None, *, padded: bool) -> str:
        """Return the expression for one token.

        *after* is the first character behind it, None where a field follows; *padded* says that blanks
        before it are taken already.
        """
        name = token["name"]
        if name is None:
            text = _literal(token)
            return BLANKS if text == " " else re.escape(text)
        if "%" in name:
            return self._time(name, after)
        found = NAME.fullmatch(name)
        if found is None:
            raise ValueError(f"{{{name}}} is not a field: write {{weight}}, {{weight:5}} or {{weight:5.1}}")
        self._claim(found["name"], found["decimals"])
        width = int(found["width"]) if found["width"] else None
        if width and padded:
            raise ValueError(f"{{{name}}}: no blank in front of it, its width counts the blanks")
        if width is None and after is None:
            raise ValueError(f"{{{name}}}: where does it end? Put a character behind it or say its width")
        if found["name"] in self.numbers:
            return self._number(found["name"], width, after)
        inside = f".{{{width}}}" if width else f"[^{re.escape(after)}]*+" if after else ".*+"
        return inside if found["name"] == SKIP else f"(?P<{found['name']}>{inside})"

    def _claim(self, name: str, decimals: str | None) -> None:
        if name != SKIP and name not in TEXTS and name not in self.known:
            there = ", ".join([*sorted(self.known | TEXTS), SKIP])
            raise ValueError(f"{{{name}}}: no such field; there are: {there}")
        if name in self.numbers or name in self.texts:
            raise ValueError(f"{{{name}}} stands twice")
        if name in self.known:
            self.numbers[name] = int(decimals) if decimals else None
        elif decimals:
            raise ValueError(f"{{{name}}} is no number and has no decimals")
        elif name != SKIP:
            self.texts.add(name)

    def _number(self, name: str, width: int | None, after: str | None) -> str:
        point = re.escape(self.point)
        if width:
            return f"(?P<{name}>[ 0-9{point}+-]{{{width}}})"
        if after and (after in "0123456789" or after == self.point):
            raise ValueError(f"{{{name}}}: what stands behind it could belong to it; say its width")
        places = "" if self.numbers[name] is not None else f"(?:{point}[0-9]{{1,4}}+)?+"
        return f" *+(?P<{name}>[+-]?+ *+[0-9]{{1,6}}+{places})"

    def _time(self, form: str, after: str | None) -> str:
        parts = re.findall(r"%.|[^%]|%", form, re.DOTALL)
        written = []
        for before, part, following in zip(["", *parts], parts, [*parts[1:], after or "%"], strict=False):
            if not part.startswith("%"):
                written.append(re.escape(part))
                continue
            letter = part[1:]
            if letter not in DIRECTIVES or letter in self.times:
                raise ValueError(f"{{{form}}}: {part} stands twice or is none of %Y %y %m %d %H %M %S")
            self.times.append(letter)
            close = before[:1] == "%" or following[:1] in "%0123456789"
            digits = "{4}" if letter == "Y" else "{2}" if close else "{1,2}+"
            written.append(rf"(?P<time_{letter}>[0-9]{digits})")
        return "".join(written)


def layout(text: str, known: frozenset[str], *, comma: bool = False) -> Layout:
    """Compile *text*; *known* are the numbers it may name. Raises ValueError that says what is wrong."""
    if len(text) > LONGEST_LAYOUT:
        raise ValueError(f"longer than {LONGEST_LAYOUT} characters")
    tokens = _tokens(text)
    compiler = _Compiler(known, "," if comma else ".")
    parts: list[str] = []
    for number, token in enumerate(tokens):
        after = _first(tokens[number + 1] if number + 1 < len(tokens) else None)
        parts.append(compiler.part(token, after, padded=parts[-1:] == [BLANKS]))
    times = set(compiler.times)
    if times and not (set(MOMENT) <= times and times & set(YEAR)):
        raise ValueError("a time needs %Y (or %y), %m, %d, %H and %M")
    if not compiler.numbers:
        raise ValueError("no value in it: write for example {weight} where the weight stands")
    pattern = re.compile("".join(parts) + BLANKS, re.DOTALL)
    return Layout(pattern, compiler.numbers, frozenset(compiler.texts), compiler.point)


def unescaped(text: str) -> str:
    """Return *text* with its escapes resolved; raises ValueError for one that is not known."""
    tokens = _tokens(text)
    if any(token["name"] is not None for token in tokens):
        raise ValueError("a field has no place here; a brace is written \\{")
    return "".join(map(_literal, tokens))


def _tokens(text: str) -> list[re.Match[str]]:
    tokens = list(TOKEN.finditer(text))
    if sum(len(token[0]) for token in tokens) != len(text):
        raise ValueError("a brace or a backslash stands alone; written as a character it is \\{ \\} or \\\\")
    return tokens


def _first(token: re.Match[str] | None) -> str | None:
    """Return the character that ends what stands before *token*: empty at the line's end, None at a field."""
    if token is None:
        return ""
    return _literal(token) if token["name"] is None else None


def _literal(token: re.Match[str]) -> str:
    if token["hex"]:
        return chr(int(token["hex"], 16))
    if token["escape"]:
        if token["escape"] not in ESCAPES:
            raise ValueError(f"no escape \\{token['escape']}")
        return ESCAPES[token["escape"]]
    return token["text"]


def _time(found: re.Match[str]) -> datetime | None:
    told = {name[5:]: int(text) for name, text in found.groupdict().items() if name.startswith("time_")}
    if not told:
        return None
    year = told["Y"] if "Y" in told else 2000 + told["y"]
    return device_time(year, *(told[letter] for letter in MOMENT), told.get("S", 0))
