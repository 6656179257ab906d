"""A package is the same bytes for the same values, follows its schema, and shows what was recorded as text alone."""

from __future__ import annotations

import io
import json
import zipfile
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from auditvault.core.packages.form import Content, Package, zipped

SCHEMA = json.loads(
    (Path(__file__).parents[3] / "docs/spec/subject-package.schema.json").read_text("utf-8")
)
ID = str(UUID(int=7))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
CONTENTS = st.lists(
    st.one_of(
        st.builds(
            Content,
            object_id=st.just(ID),
            record_id=st.just(ID),
            role=TEXTS,
            text=TEXTS,
            replaced=st.integers(0, 9),
        ),
        st.builds(
            Content,
            object_id=st.just(ID),
            record_id=st.just(ID),
            role=TEXTS,
            text=st.none(),
            left_out=st.sampled_from(["erased", "gone", "hash_only", "not_examined", "too_large"]),
        ),
    ),
    max_size=4,
)


def package(contents):
    return Package(
        request_id=ID,
        kind="access",
        region="eu",
        made_at="2026-11-25T10:00:00Z",
        records=[{"id": ID, "started_at": "2026-11-25T09:00:00Z"}],
        contents=contents,
        looks=[],
    )


def files_of(body):
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@given(CONTENTS)
def test_what_was_said_comes_back_from_the_file_and_follows_the_schema(contents):
    files = files_of(zipped(package(contents)))
    data = json.loads(files["data.json"])

    Draft202012Validator(SCHEMA, format_checker=FormatChecker()).validate(data)
    assert [each["text"] for each in data["contents"]] == [each.text for each in contents]
    said = json.loads(files["manifest.json"])["files"]
    assert {name: sha256(files[name]).hexdigest() for name in said} == said
    assert {*said, "manifest.json"} == {*files}


@given(CONTENTS)
def test_the_same_values_give_the_same_bytes(contents):
    assert zipped(package(contents)) == zipped(package(contents))


def test_markup_that_was_recorded_is_text_on_the_page():
    content = Content(object_id=ID, record_id=ID, role="<i>", text="<script>alert('x')</script>")

    page = files_of(zipped(package([content])))["index.html"].decode()

    assert "<script" not in page
    assert "<i>" not in page
    assert "&lt;script&gt;" in page
