# ruff: noqa: E501
"""`make bench-pii`: how much personal data is found, beside presidio as it comes, and how fast.

The set is made anew from a fixed seed; nothing is downloaded. `--write` puts the tables into docs/reference.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # figures are for one core; numpy reads it when it is imported

import resource
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from auditvault.privacy.detection.analyser import RULES, Analyser, detector_version
from auditvault.privacy.detection.engine import versions
from auditvault.privacy.detection.given_names import GIVEN_NAMES
from tests.benchmarks.pii.default_setup import DefaultSetUp
from tests.benchmarks.pii.samples import Label, Sample, raw_labels, samples
from tests.benchmarks.pii.scoring import Tally

_PAGE = Path("docs/reference/detection-quality.md")
_NOBODYS = ("code", "plain_json", "plain_text")
_LANGUAGES = {"en": "English", "de": "German", "fr": "French"}
_SPEED_TEXTS = 400
_SPEED_SIZE = 500


def main() -> None:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__, prog="make bench-pii")
    parser.add_argument("--each", type=int, default=20, help="how often each template is filled in")
    parser.add_argument("--seed", type=int, default=38)
    parser.add_argument("--write", action="store_true", help=f"write {_PAGE}")
    given = parser.parse_args()
    made = samples(each=given.each, seed=given.seed)
    analyser = Analyser()
    ours = _ours(analyser, made)
    theirs = DefaultSetUp().analyse(made)
    lines = [
        *_head(made, given.seed),
        *_quality(made, ours, theirs),
        *_unlisted(made, ours),
        *_nobodys(made, ours, theirs),
        *_speed(),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if given.write:
        _PAGE.write_text(text)


def _ours(analyser: Analyser, made: Sequence[Sample]) -> list[list[Label]]:
    found = analyser.analyse([sample.content for sample in made])
    return [[Label(one.path, one.start, one.end, one.entity) for one in of_one] for of_one in found]


def _head(made: Sequence[Sample], seed: int) -> list[str]:
    known = versions()
    return [
        "# How well personal data is found",
        "",
        f"Measured on {datetime.now(UTC):%-d %B %Y} with `make bench-pii`: {len(made)} texts from seed {seed}, made by Faker {version('faker')} from templates of",
        "our own (`tests/benchmarks/pii/templates.py`) in English, German and French: prose, chats, JSON of tools and forms. What each",
        "word means, and how the detector is built, stands in [ADR 38](../adr/0038-detection.md).",
        "",
        f"- Detector: rules {RULES}, version `{detector_version()}`; presidio-analyzer {known['presidio']}, spaCy {known['spacy']},",
        f"  model `{known['model']}` {known['model_version']} ({known['model_licence']}).",
        "- *As it comes*: presidio with every recogniser that it loads by itself, the same model whole, threshold 0.35, the highest",
        "  score where findings overlap; its LOCATION counts as an address.",
        "- A finding counts where it has the label's kind and shares half of what both cover; an address where it touches one.",
        "",
        "Templates and rules come from the same people: figures for other people's texts will be lower. The names that our list of",
        "given names does not know are shown by themselves, and so is the set without JSON, which presidio as it comes does not parse.",
        "",
    ]


def _quality(
    made: Sequence[Sample], ours: Sequence[Sequence[Label]], theirs: Sequence[Sequence[Label]]
) -> list[str]:
    mine, default, default_text, mine_text = Tally(), Tally(), Tally(), Tally()
    for sample, own, other in zip(made, ours, theirs, strict=True):
        if sample.sort in _NOBODYS:
            continue
        mine.add(sample.language, sample.labels, own)
        default.add(sample.language, list(raw_labels(sample)), other)
        if sample.sort != "json":
            mine_text.add(sample.language, sample.labels, own)
            default_text.add(sample.language, sample.labels, other)
    lines = [
        "## By kind and language",
        "",
        "| language | kind | labels | precision | recall | F1 | F2 | F2 as it comes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for language, entity in mine.kinds():
        score, other_score = mine.score(language, entity), default.score(language, entity)
        lines.append(
            f"| {_LANGUAGES[language]} | {entity} | {score.labels} | {score.precision:.3f} | {score.recall:.3f} | {score.f1:.3f}"
            f" | {score.f2:.3f} | {other_score.f2:.3f} |"
        )
    return [
        *lines,
        "",
        "| characters of personal data that no finding covers | ours | as it comes |",
        "|---|---|---|",
        f"| all texts | {_percent(mine)} | {_percent(default)} |",
        f"| without JSON | {_percent(mine_text)} | {_percent(default_text)} |",
        "",
    ]


def _percent(tally: Tally) -> str:
    return f"{100 * tally.uncovered / tally.characters:.1f} %"


def _unlisted(made: Sequence[Sample], ours: Sequence[Sequence[Label]]) -> list[str]:
    """Recall of names whose given name stands in our list, and of those whose does not: the list cannot help there."""
    tallies = {True: Tally(), False: Tally()}
    for sample, own in zip(made, ours, strict=True):
        if sample.sort in _NOBODYS or sample.sort == "json":
            continue
        text = sample.content.decode()
        for label in sample.labels:
            if label.entity == "PERSON":
                is_listed = text[label.start : label.end].split()[0].split("-")[0] in GIVEN_NAMES
                tallies[is_listed].add(sample.language, [label], own)
    lines = ["| names in text | recall, given name in our list | recall, others |", "|---|---|---|"]
    for language, word in _LANGUAGES.items():
        cells = []
        for is_listed in (True, False):
            score = tallies[is_listed].score(language, "PERSON")
            cells.append(f"{score.recall:.3f} of {score.labels}")
        lines.append(f"| {word} | {' | '.join(cells)} |")
    return [*lines, ""]


def _nobodys(
    made: Sequence[Sample], ours: Sequence[Sequence[Label]], theirs: Sequence[Sequence[Label]]
) -> list[str]:
    lines = [
        "## Where nothing is anybody's",
        "",
        "| texts | tokens | findings | for 1,000 tokens | as it comes |",
        "|---|---|---|---|---|",
    ]
    for sort, word in zip(
        _NOBODYS, ("code", "JSON", "prose: order numbers, models, rooms"), strict=True
    ):
        rows = [
            (sample, own, other)
            for sample, own, other in zip(made, ours, theirs, strict=True)
            if sample.sort == sort
        ]
        tokens = sum(len(sample.content.decode().split()) for sample, _, _ in rows)
        mine, default = sum(len(own) for _, own, _ in rows), sum(len(other) for *_, other in rows)
        lines.append(
            f"| {word} | {tokens} | {mine} | {1000 * mine / tokens:.1f} | {1000 * default / tokens:.1f} |"
        )
    return [*lines, ""]


def _speed() -> list[str]:
    """Texts a second and core, by the process's own time, so that a busy machine does not count."""
    from faker import Faker

    faker = Faker("en_US")
    faker.seed_instance(1)
    texts = [
        (
            f"{faker.text(300)} My name is {faker.name()}, I live at {faker.address()}, mail {faker.email()},"
            f" call {faker.phone_number()}. {faker.text(300)}"
        )[:_SPEED_SIZE].encode()
        for _ in range(_SPEED_TEXTS)
    ]
    lines = [
        "## Speed and memory",
        "",
        f"Texts of {_SPEED_SIZE} characters with a name, an address, an e-mail address and a telephone number in each, one core.",
        "",
        "| | texts/s | target |",
        "|---|---|---|",
    ]
    for with_names, word, target in ((False, "without names", 500), (True, "with names", 80)):
        analyser = Analyser(with_names=with_names)
        analyser.analyse(texts[:20])
        begun = time.process_time()
        for start in range(0, len(texts), 50):
            analyser.analyse(texts[start : start + 50])
        lines.append(f"| {word} | {len(texts) / (time.process_time() - begun):.0f} | {target} |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return [
        *lines,
        "",
        f"This process, which holds three analysers and presidio as it comes, took {peak} MB at most.",
    ]


if __name__ == "__main__":
    main()
