"""The labelled set: templates filled in by Faker, with where each value stands. The same seed makes the same set."""

from __future__ import annotations

import json
import re
import sysconfig
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any

from faker import Faker

from tests.benchmarks.pii import templates

_PLACE = re.compile(r"\{(\w+)\}")
_LOCALES = {"en": ("en_US", "en_GB"), "de": ("de_DE",), "fr": ("fr_FR",)}
_PHONES = ("en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "it_IT")
_CARDS = (
    "visa13",
    "visa16",
    "visa19",
    "mastercard",
    "amex",
    "discover",
    "diners",
    "jcb15",
    "jcb16",
    "maestro",
)
_KINDS = {
    "name": "PERSON", "email": "EMAIL_ADDRESS", "phone": "PHONE_NUMBER", "address": "STREET_ADDRESS",
    "card": "CREDIT_CARD", "iban": "IBAN_CODE", "ip": "IP_ADDRESS", "ip6": "IP_ADDRESS", "ssn": "US_SSN",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Label:
    """Where something personal stands, and what it is."""

    path: str
    start: int
    end: int
    entity: str


@dataclass(frozen=True, slots=True)
class Sample:
    """A content, what is in it, and what sort it is."""

    language: str
    sort: str
    content: bytes
    labels: tuple[Label, ...]


class _Values:
    """Values of one language."""

    def __init__(self, language: str, seed: int) -> None:
        self._random = Random(seed)
        self._fakers = [Faker(locale) for locale in _LOCALES[language]]
        self._phones = [Faker(locale) for locale in _PHONES]
        for number, faker in enumerate((*self._fakers, *self._phones)):
            faker.seed_instance(seed + number)

    def make(self, kind: str) -> str:
        faker = self._random.choice(self._fakers)
        if kind == "phone":
            return str(self._random.choice(self._phones).phone_number())
        if kind == "name":
            return f"{faker.first_name()} {faker.last_name()}"
        if kind == "card":
            return self._card(faker)
        if kind == "address":
            return str(faker.address()).replace("\n", ", ")
        value = {
            "email": faker.email, "iban": faker.iban, "ip": faker.ipv4_public, "ip6": faker.ipv6,
            "ssn": self._fakers[0].ssn if hasattr(self._fakers[0], "ssn") else faker.email,
        }[kind]()  # fmt: skip
        return str(value)

    def _card(self, faker: Faker) -> str:
        number = str(faker.credit_card_number(self._random.choice(_CARDS)))
        while number.startswith("35") and not "3528" <= number[:4] <= "3589":
            number = str(
                faker.credit_card_number("jcb16")
            )  # Faker makes JCB cards that JCB does not
        if self._random.random() < 0.3:
            number = _two_series(self._random)
        if len(number) == 16 and self._random.random() < 0.5:
            return " ".join(number[index : index + 4] for index in range(0, 16, 4))
        return number


def samples(*, each: int, seed: int = 38, with_nobodys: bool = True) -> list[Sample]:
    """Each template `each` times with other values; what has nothing personal in it once, where it is wanted."""
    made: list[Sample] = []
    for language, lines in (
        ("en", templates.ENGLISH),
        ("de", templates.GERMAN),
        ("fr", templates.FRENCH),
    ):
        values = _Values(language, seed)
        for _ in range(each):
            made += [_text(language, "prose", line, values) for line in lines]
            made += [_text(language, "chat", line, values) for line in templates.CHAT]
            made += [
                _json(language, shape, values)
                for shape in templates.JSON
                if language == "en" or "ssn" not in str(shape)
            ]
    if not with_nobodys:
        return made
    made += [Sample("-", "code", code, ()) for code in library_code()]
    made += [
        Sample("-", "plain_json", json.dumps(shape).encode(), ()) for shape in machine_json(seed)
    ]
    made += [Sample("-", "code", line.encode(), ()) for line in templates.CODE]
    made += [
        Sample("-", "plain_json", json.dumps(shape).encode(), ())
        for shape in templates.NEGATIVE_JSON
    ]
    made += [Sample("en", "plain_text", line.encode(), ()) for line in templates.NEGATIVE_TEXT]
    return made


def library_code(modules: int = 60, lines: int = 40) -> Iterator[bytes]:
    """Code of the standard library without comments and strings, which name authors; some lines of each module."""
    found = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    for path in found[:: max(1, len(found) // modules)]:
        tokens = tokenize.generate_tokens(StringIO(path.read_text("utf-8")).readline)
        kept = [one[:2] for one in tokens if one.type not in {tokenize.COMMENT, tokenize.STRING}]
        text = tokenize.untokenize(kept)
        yield "\n".join([line for line in text.split("\n") if line.strip("\\ ")][:lines]).encode()


def machine_json(seed: int, documents: int = 200) -> Iterator[dict[str, Any]]:
    """What machines say of themselves: ids, hashes, versions, measures, none of which are anybody's."""
    faker = Faker("en_US")
    faker.seed_instance(seed)
    for _ in range(documents):
        yield {
            "id": faker.uuid4(),
            "order": faker.numerify("####-####-####"),
            "serial": faker.bothify("??##-####-??").upper(),
            "ean": faker.ean13(),
            "sha256": faker.sha256(),
            "etag": faker.md5(),
            "at": faker.iso8601(),
            "started_ns": faker.random_int(10**18, 2 * 10**18),
            "duration_ms": faker.random_int(1, 10**9),
            "bytes": faker.random_int(10**9, 10**12),
            "version": faker.numerify("%#.%.##"),
            "file": faker.file_path(depth=3, extension="py"),
            "mime": faker.mime_type(),
            "agent": faker.user_agent(),
            "color": faker.color_name(),
            "currency": faker.currency_name(),
            "model": faker.random_element(
                ("gpt-4o-mini-2024-07-18", "claude-3-5-sonnet-20241022", "Llama-3.1-70B-Instruct")
            ),
            "score": faker.pyfloat(right_digits=6),
            "status": faker.random_element(("Shipped", "Pending Review", "Failed", "In Progress")),
            "error": faker.random_element(
                ("Connection reset by peer", "Read timed out (read timeout=30)", "Invalid Argument")
            ),
        }


def _text(language: str, sort: str, line: str, values: _Values) -> Sample:
    text, labels = _filled(line, "", values)
    return Sample(language, sort, text.encode(), tuple(labels))


def _json(language: str, shape: Any, values: _Values) -> Sample:
    labels: list[Label] = []
    filled = _filled_shape(shape, "", values, labels)
    return Sample(language, "json", json.dumps(filled, ensure_ascii=False).encode(), tuple(labels))


def _filled_shape(shape: Any, path: str, values: _Values, labels: list[Label]) -> Any:
    if isinstance(shape, dict):
        return {
            key: _filled_shape(value, f"{path}/{key}", values, labels)
            for key, value in shape.items()
        }
    if isinstance(shape, list):
        return [
            _filled_shape(value, f"{path}/{index}", values, labels)
            for index, value in enumerate(shape)
        ]
    if isinstance(shape, str):
        text, found = _filled(shape, path, values)
        labels += found
        return text
    return shape


def _filled(line: str, path: str, values: _Values) -> tuple[str, list[Label]]:
    text, labels, last = "", [], 0
    for place in _PLACE.finditer(line):
        text += line[last : place.start()]
        value = values.make(place[1])
        labels.append(Label(path, len(text), len(text) + len(value), _KINDS[place[1]]))
        text += value
        last = place.end()
    return text + line[last:], labels


def raw_labels(sample: Sample) -> Iterator[Label]:
    """Where the values of a JSON sample stand in its text as it is, for a set-up that parses no JSON."""
    text = sample.content.decode()
    if sample.sort != "json":
        yield from sample.labels
        return
    for label in sample.labels:
        value = _at(json.loads(text), label.path)[label.start : label.end]
        start = text.find(json.dumps(value, ensure_ascii=False)[1:-1])
        yield Label("", start, start + len(value), label.entity)


def _at(value: Any, path: str) -> str:
    for token in path.split("/")[1:]:
        value = value[int(token)] if isinstance(value, list) else value[token]
    return str(value)


def _two_series(random: Random) -> str:
    """A Mastercard that begins with 2221 to 2720; Faker makes some of them, not all of the range."""
    digits = str(random.randint(2221, 2720)) + "".join(str(random.randint(0, 9)) for _ in range(11))
    total = 0
    for index, digit in enumerate(reversed(digits)):
        double = int(digit) * 2 if index % 2 == 0 else int(digit)
        total += double - 9 * (double > 9)
    return digits + str(-total % 10)
