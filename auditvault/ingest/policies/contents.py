"""What is sealed of an interaction: its contents without secrets, and as much of them as the policy keeps.

Rules kept: docs/spec/payload-policy.md. Interactions are not changed: one that differs from what was sent is a new one.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

from auditvault.core.interaction import Content, Interaction, Owner
from auditvault.core.policy.payload import Decision, Rule, cut, decide, sample_digest
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ingest.header import header_bytes
from auditvault.ingest.policies.secrets import may_hold_secrets, scrub
from auditvault.ingest.policies.services import InForce

# What a policy adds to a header: no word of the sender's.
ADDED_MEMBERS = frozenset({"payload_policy", "payload_decision", "secrets_removed"})
_CHUNK_BYTES = 256 * 1024
_MARKED = "secret removed "


@dataclass(slots=True, init=False)
class PartContent(Content):
    """A content that is not what was sent, or not all of it."""

    is_scrubbed: bool
    """Secrets were taken out: no hash of what was sent is kept."""
    is_hash_only: bool
    """`body` is empty, and `digest` that of what is not kept."""
    sent_bytes: int
    """Before it was cut, or not kept; without its secrets."""
    sent_digest: bytes | None = field(repr=False, compare=False)
    """Of a content that was cut, before it was."""

    def __init__(self, role: str, body: bytes, owner: Owner, *, is_scrubbed: bool = False) -> None:
        Content.__init__(self, role, body, owner)
        self.is_scrubbed = is_scrubbed
        self.is_hash_only = False
        self.sent_bytes = len(body)
        self.sent_digest = None


# --- secrets ---------------------------------------------------------------------------------------------


def without_secrets(interactions: Sequence[Interaction]) -> list[Interaction]:
    """The interactions, those that hold secrets without them. A look at all of them at once comes first."""
    suspects: set[int] = set()
    for chunk, objects in _chunks(interactions):
        if may_hold_secrets(chunk):
            suspects.update(map(id, objects))
    if not suspects:
        return list(interactions)
    known: dict[int, tuple[Content, Mapping[str, int]]] = {}
    return [
        _scrubbed(interaction, known)
        if id(interaction) in suspects or any(id(each) in suspects for each in interaction.contents)
        else interaction
        for interaction in interactions
    ]


def _chunks(
    interactions: Sequence[Interaction],
) -> Iterator[tuple[bytes, list[Interaction | Content]]]:
    """Everything that was sent, joined piece by piece, and what it is of. A shared content is there once."""
    texts: list[bytes] = []
    objects: list[Interaction | Content] = []
    shared: set[int] = set()
    size = 0
    for interaction in interactions:
        objects.append(interaction)
        texts.append(header_bytes(interaction.header))
        texts += [_utf8(value) for _, value in interaction.identifiers]
        for content in interaction.contents:
            if id(content) not in shared:
                shared.add(id(content))
                objects.append(content)
                texts.append(content.body)
                size += len(content.body)
        if size >= _CHUNK_BYTES:
            yield b"\n".join(texts), objects
            texts, objects, size = [], [], 0
    yield b"\n".join(texts), objects


def _scrubbed(
    interaction: Interaction, known: dict[int, tuple[Content, Mapping[str, int]]]
) -> Interaction:
    counts: Counter[str] = Counter()
    contents = []
    for content in interaction.contents:
        if id(content) not in known:
            known[id(content)] = _without(content)
        kept, found = known[id(content)]
        contents.append(kept)
        counts.update(found)
    header = _header_without(interaction.header, counts)
    identifiers = [(kind, _name_without(value, counts)) for kind, value in interaction.identifiers]
    if not counts:
        return interaction
    header["secrets_removed"] = dict(sorted(counts.items()))
    return replace(interaction, header=header, contents=contents, identifiers=identifiers)


def _without(content: Content) -> tuple[Content, Mapping[str, int]]:
    body, counts = scrub(content.body)
    if not counts:
        return content, counts
    return PartContent(content.role, body, content.owner, is_scrubbed=True), counts


def _header_without(header: Mapping[str, JsonValue], counts: Counter[str]) -> dict[str, JsonValue]:
    """A field with a secret in it is withheld, and goes nowhere: a header's value is what was sent, or absent."""
    kept = dict(header)
    for name, value in header.items():
        text = value if isinstance(value, str) else json.dumps(value)
        found = scrub(_utf8(text)).counts
        if found:
            counts.update(found)
            del kept[name]
    gone = header.keys() - kept.keys()
    if gone:
        before = kept.get("withheld")
        listed = {str(name) for name in before} if isinstance(before, list) else set()
        kept["withheld"] = [*sorted(listed | gone)]
    return kept


def _name_without(value: str, counts: Counter[str]) -> str:
    """An identifier that is a secret: a hash in its place, so that two people are not taken for one."""
    found = scrub(_utf8(value)).counts
    if not found:
        return value
    counts.update(found)
    return f"{_MARKED}{sha256(_utf8(value)).hexdigest()}"


def _utf8(text: str) -> bytes:
    return text.encode(errors="replace")


# --- policies --------------------------------------------------------------------------------------------


def under_policy(
    interactions: Sequence[Interaction],
    in_force: InForce | None,
    tag_of: Callable[[bytes], bytes],
) -> list[Interaction]:
    """The interactions with as much of their contents as the policy keeps; all of it where there is none.

    `tag_of` is the tenant's lookup tag: it draws a trace's lot, which no sender can foresee.
    """
    if in_force is None:
        return list(interactions)
    failed = {each.trace_id for each in interactions if _has_error(each)}
    lots: dict[bytes, bytes] = {}
    treated = []
    for interaction in interactions:
        rule = in_force.policy.rule_for(interaction.header)
        trace_id = interaction.trace_id
        if rule.keep == "sample" and trace_id not in lots:
            lots[trace_id] = tag_of(sample_digest(trace_id))
        decision = decide(rule, has_error=trace_id in failed, lot=lots.get(trace_id, b""))
        treated.append(_treated(interaction, rule, decision, in_force.name))
    return treated


def _has_error(interaction: Interaction) -> bool:
    return interaction.header.get("status") == "error" or "error_type" in interaction.header


def _treated(interaction: Interaction, rule: Rule, decision: Decision, name: str) -> Interaction:
    header = interaction.header | {"payload_policy": name, "payload_decision": decision.reason}
    if not decision.is_kept:
        contents = [_hash_of(content) for content in interaction.contents]
    elif rule.max_content_bytes is not None:
        limit = rule.max_content_bytes
        contents = [_cut(content, limit) for content in interaction.contents]
    else:
        contents = interaction.contents
    return replace(interaction, header=header, contents=contents)


def _hash_of(content: Content) -> Content:
    part = PartContent(content.role, b"", content.owner)
    part.is_hash_only = True
    part.is_scrubbed = isinstance(content, PartContent) and content.is_scrubbed
    part.digest, part.sent_bytes = content.digest, len(content.body)
    return part


def _cut(content: Content, limit: int) -> Content:
    if len(content.body) <= limit:
        return content
    is_scrubbed = isinstance(content, PartContent) and content.is_scrubbed
    part = PartContent(
        content.role, cut(content.body, limit), content.owner, is_scrubbed=is_scrubbed
    )
    part.sent_bytes = len(content.body)
    part.sent_digest = None if is_scrubbed else content.digest
    return part
