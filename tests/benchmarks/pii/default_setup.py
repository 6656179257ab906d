"""presidio-analyzer as it comes, but for its model: its own, of 400 MB, would be downloaded, so it gets ours, whole."""

from __future__ import annotations

from collections.abc import Sequence

from presidio_analyzer import AnalyzerEngine
from presidio_analyzer.nlp_engine import NlpEngineProvider

from auditvault.privacy.detection.engine import MODEL, keep_off_the_network
from tests.benchmarks.pii.samples import Label, Sample

_THRESHOLD = 0.35
# Its nearest to a street is a place.
_AS = {"LOCATION": "STREET_ADDRESS"}
_KINDS = frozenset(
    [
        "PERSON",
        "EMAIL_ADDRESS",
        "PHONE_NUMBER",
        "LOCATION",
        "CREDIT_CARD",
        "IBAN_CODE",
        "IP_ADDRESS",
        "US_SSN",
    ]
)


class DefaultSetUp:
    """The recognisers that presidio loads by itself, and its pick of what overlaps: the highest score."""

    def __init__(self) -> None:
        keep_off_the_network()  # a benchmark asks nobody either; the figures are the same
        provider = NlpEngineProvider(
            nlp_configuration={
                "nlp_engine_name": "spacy",
                "models": [{"lang_code": "en", "model_name": MODEL}],
            }
        )
        self._engine = AnalyzerEngine(nlp_engine=provider.create_engine())

    def analyse(self, samples: Sequence[Sample]) -> list[list[Label]]:
        """What it finds in each text as it is: it parses no JSON."""
        return [self._of_one(sample.content.decode()) for sample in samples]

    def _of_one(self, text: str) -> list[Label]:
        found = self._engine.analyze(text, "en", score_threshold=_THRESHOLD)
        kept: list[Label] = []
        for one in sorted(found, key=lambda each: (-each.score, each.start - each.end)):
            if all(one.end <= other.start or other.end <= one.start for other in kept):
                kept.append(
                    Label("", one.start, one.end, _AS.get(one.entity_type, one.entity_type))
                )
        wanted = {_AS.get(kind, kind) for kind in _KINDS}
        return [one for one in kept if one.entity in wanted]
