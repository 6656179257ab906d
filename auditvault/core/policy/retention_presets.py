"""Retention presets: what laws and standards ask for, with where they say so. They are a start, not advice.

Periods of docs/spec/retention-policy.md section 6. A preset adds floors and rules to the defaults; a rule of a preset
takes the place of the defaults' rule for the same records. `legal_order` decides whether a floor can refuse an erasure
(`retention`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from auditvault.core.policy.calendar import Period, never_shorter
from auditvault.core.policy.retention_policy import (
    Floor,
    RecordClass,
    RetentionPolicy,
    RetentionPolicyError,
    Rule,
    Scope,
)

CONTRACT = "CONTRACT"
"""The legal order of what binds by agreement and is no law."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """Floors and rules of one law or standard."""

    name: str
    source: str
    note: str
    rules: tuple[Rule, ...] = ()
    floors: tuple[Floor, ...] = ()


def _rule(
    record_class: RecordClass, keep: str, ceiling: str, *, data_class: str | None = None
) -> Rule:
    return Rule(
        scope=Scope(record_class=record_class, data_class=data_class),
        keep=Period.parse(keep),
        ceiling=Period.parse(ceiling),
    )


def _floor(
    record_class: RecordClass,
    at_least: str,
    order: str,
    source: str,
    *,
    data_class: str | None = None,
) -> Floor:
    return Floor(
        scope=Scope(record_class=record_class, data_class=data_class),
        at_least=Period.parse(at_least),
        legal_order=order,
        source=source,
    )


DEFAULTS = (
    _rule(RecordClass.HEADER, "P24M", "P36M"),
    _rule(RecordClass.PAYLOAD, "P90D", "P12M"),
    _rule(RecordClass.ACCESS_RECORD, "P12M", "P3Y"),
    _rule(RecordClass.ADMIN_RECORD, "P3Y", "P7Y"),
    _rule(RecordClass.DISCLOSURE, "P6Y", "P7Y"),
    _rule(RecordClass.RIGHTS_REQUEST, "P3Y", "P4Y"),
    _rule(RecordClass.HOLD_FILE, "P7Y", "P10Y"),
    _rule(RecordClass.DOCUMENT, "P10Y", "P12Y"),
)
"""What is in force for what no preset and nobody else has said anything about."""

_AI_ACT = "Regulation (EU) 2024/1689 Art. 19(1), 26(6)"
_HIPAA = "45 CFR 164.316(b)(2)(i), 164.528"
_PCI = "PCI DSS 4.0 requirement 10.5.1"
_MIFID = "Directive 2014/65/EU Art. 16(7); Delegated Regulation (EU) 2017/565 Art. 72"

_ALL = (
    Preset(
        name="ai_act",
        source=_AI_ACT,
        note="Logs of high-risk systems are kept for six calendar months, where no other law provides otherwise.",
        rules=(_rule(RecordClass.PAYLOAD, "P7M", "P12M", data_class="high_risk"),),
        floors=(
            _floor(RecordClass.HEADER, "P6M", "EU", _AI_ACT),
            _floor(RecordClass.PAYLOAD, "P6M", "EU", _AI_ACT, data_class="high_risk"),
        ),
    ),
    Preset(
        name="gdpr",
        source="Regulation (EU) 2016/679 Art. 5(1)(c) and (e), 25",
        note="No longer than necessary: names no number of days. These are short, and yours to justify.",
        rules=(
            _rule(RecordClass.HEADER, "P12M", "P24M"),
            _rule(RecordClass.PAYLOAD, "P30D", "P90D"),
            _rule(RecordClass.ACCESS_RECORD, "P12M", "P12M"),
        ),
    ),
    Preset(
        name="hipaa",
        source=_HIPAA,
        note="Six years for accountings of disclosures and for documentation; no period for other logs.",
        floors=(
            _floor(RecordClass.DISCLOSURE, "P6Y", "US", _HIPAA),
            _floor(RecordClass.DOCUMENT, "P6Y", "US", _HIPAA),
        ),
    ),
    Preset(
        name="pci_dss",
        source=_PCI,
        note="Twelve months of audit logs, the newest three at hand. A contract's term, no law.",
        floors=(
            _floor(RecordClass.ACCESS_RECORD, "P12M", CONTRACT, _PCI),
            _floor(RecordClass.ADMIN_RECORD, "P12M", CONTRACT, _PCI),
        ),
    ),
    Preset(
        name="sec_17a4",
        source="17 CFR 240.17a-4(a), (b)(4); FINRA rule 4511(b)",
        note="Six years for core books, three for communications, of which two easily accessible.",
        rules=(
            _rule(RecordClass.HEADER, "P6Y", "P7Y", data_class="broker_dealer"),
            _rule(RecordClass.PAYLOAD, "P3Y", "P6Y", data_class="broker_dealer"),
        ),
        floors=(
            _floor(
                RecordClass.HEADER,
                "P6Y",
                "US",
                "17 CFR 240.17a-4(a); FINRA 4511(b)",
                data_class="broker_dealer",
            ),
            _floor(
                RecordClass.PAYLOAD,
                "P3Y",
                "US",
                "17 CFR 240.17a-4(b)(4)",
                data_class="broker_dealer",
            ),
        ),
    ),
    Preset(
        name="mifid_ii",
        source=_MIFID,
        note="Five years, up to seven where the authority asks.",
        rules=(
            _rule(RecordClass.HEADER, "P5Y", "P7Y", data_class="investment"),
            _rule(RecordClass.PAYLOAD, "P5Y", "P7Y", data_class="investment"),
        ),
        floors=(
            _floor(RecordClass.HEADER, "P5Y", "EU", _MIFID, data_class="investment"),
            _floor(RecordClass.PAYLOAD, "P5Y", "EU", _MIFID, data_class="investment"),
        ),
    ),
    Preset(
        name="dora",
        source="Delegated Regulation (EU) 2024/1774 Art. 12",
        note="The financial entity sets the period of its logs itself, by purpose and risk: no floor comes of it.",
        rules=(_rule(RecordClass.ACCESS_RECORD, "P24M", "P3Y"),),
    ),
)
PRESETS = {preset.name: preset for preset in _ALL}


def build(names: Iterable[str], *, text: str) -> RetentionPolicy:
    """The defaults with the named presets on top: of two rules for the same records the longer one, and all floors.

    Raises RetentionPolicyError for an unknown name, or where what comes of it does not hold together.
    """
    chosen = list(dict.fromkeys(names))
    if not set(chosen) <= PRESETS.keys():
        raise RetentionPolicyError(f"A preset is one of: {', '.join(sorted(PRESETS))}.")
    presets = [PRESETS[name] for name in chosen]
    added: dict[Scope, Rule] = {}
    for rule in (rule for preset in presets for rule in preset.rules):
        before = added.get(rule.scope)
        if before is None or not never_shorter(before.keep, rule.keep):
            added[rule.scope] = rule
    rules = {rule.scope: rule for rule in DEFAULTS} | added
    return RetentionPolicy(
        text=text,
        rules=tuple(rules.values()),
        floors=tuple(floor for preset in presets for floor in preset.floors),
    )
