"""The documentation says what the code does: names in pages are compared with names in source files.

Files are parsed and not imported, so neither settings nor a database is needed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from http import HTTPStatus
from pathlib import Path

from auditvault.core.policy.access import ALLOWED, PURPOSES, Act, PurposeCode, Role

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "auditvault"
REFERENCE = DOCS / "reference"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
# What Django REST framework names; they reach a caller through its exceptions.
FRAMEWORK_CODES = {
    "parse_error",
    "method_not_allowed",
    "not_acceptable",
    "unsupported_media_type",
}
VARIABLE = re.compile(r"AUDITVAULT_[A-Z_]*[A-Z]|DATABASE_URL|DJANGO_SETTINGS_MODULE")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def sources(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def nodes(folder: Path) -> Iterator[ast.AST]:
    for path in sources(folder):
        yield from ast.walk(tree_of(path))


def rows(text: str) -> Iterator[list[str]]:
    """Cells of every table row but the rules under headings."""
    for line in text.splitlines():
        if line.startswith("|") and not re.fullmatch(r"[|\s:-]+", line):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def first_names(text: str, name: str) -> list[str]:
    """Names in back quotes in the first column of tables that match `name` wholly."""
    quoted = [word for cells in rows(text) for word in re.findall(r"`([^`]+)`", cells[0])]
    return [word for word in quoted if re.fullmatch(name, word)]


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


# --- settings --------------------------------------------------------------------------------------------


def pattern_of(node: ast.AST) -> str | None:
    """A string constant, or an f-string with R for what is filled in (the region)."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "R" for part in node.values
        )
    return None


def variables_in(folder: Path) -> set[str]:
    patterns = (pattern_of(node) for node in nodes(folder))
    return {found for found in patterns if found and VARIABLE.fullmatch(found)}


def test_every_variable_that_settings_read_is_documented_and_no_other() -> None:
    of_settings, _ = read(REFERENCE / "settings.md").split("\n## Of `auditvault up`")

    assert set(first_names(of_settings, VARIABLE.pattern)) == variables_in(ROOT / "settings")


def test_every_variable_that_the_package_names_is_in_the_settings_page() -> None:
    page = set(VARIABLE.findall(read(REFERENCE / "settings.md")))
    whole = {name for name in variables_in(PACKAGE) if not name.startswith("AUDITVAULT_R_")}

    assert whole - page == set()


# --- errors ----------------------------------------------------------------------------------------------


def declared_codes() -> set[str]:
    """The class attribute `code` of every error."""
    found = set()
    for node in nodes(PACKAGE):
        if not isinstance(node, ast.ClassDef) or not node.name.endswith("Error"):
            continue
        for line in node.body:
            target = line.targets[0] if isinstance(line, ast.Assign) else None
            target = line.target if isinstance(line, ast.AnnAssign) else target
            value = getattr(line, "value", None)
            if isinstance(target, ast.Name) and target.id == "code":
                assert isinstance(value, ast.Constant)
                found.add(str(value.value))
    return found


def codes_made_at_the_edge() -> set[str]:
    """Codes that `problems` gives to what is no error of ours: the second value of its answers."""
    found: set[str] = set()
    for node in ast.walk(tree_of(PACKAGE / "api" / "problems.py")):
        values = node.elts if isinstance(node, ast.Tuple) else []
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "problem":
            values = node.args
        if len(values) > 1 and isinstance(values[1], ast.Constant):
            found.add(str(values[1].value))
    return found


def statuses() -> dict[str, int]:
    """`_STATUS` of `problems`."""
    for node in tree_of(PACKAGE / "api" / "problems.py").body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_STATUS":
            assert isinstance(node.value, ast.Dict)
            pairs = zip(node.value.keys, node.value.values, strict=True)
            return {ast.literal_eval(key): HTTPStatus[value.attr] for key, value in pairs}  # type: ignore[attr-defined, arg-type]
    raise AssertionError("problems._STATUS was not found")


def test_every_error_code_is_documented_and_no_other() -> None:
    base = {"internal_error"}
    code_base = declared_codes() | codes_made_at_the_edge() | FRAMEWORK_CODES | base

    assert set(first_names(read(REFERENCE / "http-errors.md"), r"[a-z]+(_[a-z]+)+")) == code_base


def test_documented_statuses_are_those_of_the_api() -> None:
    documented = {
        cells[0].strip("`"): int(cells[1])
        for cells in rows(read(REFERENCE / "http-errors.md"))
        if len(cells) == 4 and cells[1].isdigit()
    }
    declared = declared_codes()
    ours = {code: status for code, status in statuses().items() if code in declared}

    assert {code: documented.get(code) for code in ours} == ours


# --- interfaces ------------------------------------------------------------------------------------------


def test_every_path_of_the_api_is_documented_and_no_other() -> None:
    calls = [
        node
        for node in ast.walk(tree_of(PACKAGE / "api" / "urls.py"))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "path"
    ]
    served = {
        "/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", ast.literal_eval(call.args[0])) for call in calls
    }
    documented = first_names(read(REFERENCE / "api.md"), r"(GET|POST) /.*")

    assert {name.split(" ", 1)[1] for name in documented} == served


def commands() -> set[str]:
    found = PACKAGE.glob("**/management/commands/*.py")
    return {path.stem for path in found if not path.stem.startswith("_")}


def test_every_command_is_documented_and_no_other() -> None:
    documented = first_names(read(REFERENCE / "cli.md"), r"auditvault [a-z_]+( [a-z]+)?")

    assert {name.split()[1] for name in documented} == commands() | {"up"}


def test_examples_use_commands_that_exist() -> None:
    used = set()
    for page in PAGES:
        for block in re.findall(r"^```\n(.*?)^```", read(page), re.DOTALL | re.MULTILINE):
            used |= set(
                re.findall(r"(?:^|\$\(|[A-Z]=\S+ )auditvault ([a-z_]+)", block, re.MULTILINE)
            )

    assert used
    assert used - commands() - {"up"} == set()


def test_every_entry_type_is_documented_and_no_other() -> None:
    found = set()
    for node in nodes(PACKAGE):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "").startswith(
            "ENTRY_TYPE"
        ):
            found.add(ast.literal_eval(node.value))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "RecordedAct":
            action = next(word.value for word in node.keywords if word.arg == "action")
            found.add(f"access.{ast.literal_eval(action)}")

    assert set(first_names(read(REFERENCE / "entry-types.md"), r"[a-z_]+\.[a-z_]+")) == found


def test_every_finding_of_verification_is_documented_and_no_other() -> None:
    kinds = {
        ast.literal_eval(node.args[0])
        for node in nodes(PACKAGE / "evidence")
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", "") in {"bad", "orphan"}
        # A report that takes another's findings over names none of its own.
        and isinstance(node.args[0], ast.Constant)
    }

    for node in nodes(PACKAGE / "evidence"):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_ORPHANS":
            kinds |= {ast.literal_eval(key) for key in node.value.keys}

    assert (
        set(first_names(read(DOCS / "howto" / "verify-the-log.md"), r"[a-z]+(_[a-z]+)*")) == kinds
    )


# --- alerts ----------------------------------------------------------------------------------------------

METRIC = re.compile(r"auditvault_[a-z_]+")


def test_every_metric_in_an_alert_is_one_that_is_given_out() -> None:
    rules = read(ROOT / "deploy" / "prometheus" / "auditvault.rules.yml")
    given = {
        node.value
        for node in nodes(PACKAGE / "api")
        if isinstance(node, ast.Constant) and METRIC.fullmatch(str(node.value))
    }

    asked = {name for line in re.findall("expr: (.*)", rules) for name in METRIC.findall(line)}

    assert asked <= given
    assert given - asked <= {"auditvault_log_entries"} | {
        "auditvault_clock_skew_recorded_timestamp_seconds",
        "auditvault_key_turn_moved_keys",
        "auditvault_key_destructions_scheduled",
    }


def test_every_job_in_an_alert_is_one_that_there_is() -> None:
    rules = read(ROOT / "deploy" / "prometheus" / "auditvault.rules.yml")
    jobs = {
        keyword.value.value
        for node in nodes(PACKAGE / "evidence")
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Job"
        for keyword in node.keywords
        if keyword.arg == "name" and isinstance(keyword.value, ast.Constant)
    }

    asked = {
        name for names in re.findall(r'job[=!]~?"([^"]+)"', rules) for name in names.split("|")
    }

    assert asked <= jobs | {"verify_copies"}


# --- roles -----------------------------------------------------------------------------------------------


def table(text: str, corner: str) -> dict[str, dict[str, str]]:
    """The table whose first heading is `corner`: row name -> column name -> cell."""
    found: dict[str, dict[str, str]] = {}
    heads: list[str] = []
    for line in text.splitlines():
        cells = next(rows(line), [])
        if not line.startswith("|"):
            heads = []
        elif cells and cells[0] == corner and not found:
            heads = cells
        elif cells and heads:
            found[cells[0].strip("`")] = dict(zip(heads[1:], cells[1:], strict=True))
    return found


def test_the_role_table_is_the_one_that_is_checked() -> None:
    documented = table(read(REFERENCE / "roles.md"), "act")
    allowed = {
        act.value: {role.value: "yes" if act in ALLOWED[role] else "" for role in Role}
        for act in Act
    }

    assert documented == allowed


def test_the_purpose_table_is_the_one_that_is_checked() -> None:
    documented = table(read(REFERENCE / "roles.md"), "code")
    allowed = {
        code.value: {role.value: "yes" if code in codes else "" for role, codes in PURPOSES.items()}
        for code in PurposeCode
    }

    assert documented == allowed


# --- pages -----------------------------------------------------------------------------------------------


def prose(page: Path) -> str:
    """A page without its code."""
    text = re.sub(r"^(```|~~~).*?^\1", "", read(page), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "", text)


def links(page: Path) -> list[str]:
    found = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(page: Path) -> set[str]:
    """The names that a reader's browser gives to headings."""
    headings = re.findall(r"^#+ (.+)$", read(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in headings}


def test_every_relative_link_leads_somewhere() -> None:
    dead = []
    for page in PAGES:
        for link in links(page):
            place, _, anchor = link.partition("#")
            target = (page.parent / place).resolve() if place else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                dead.append(f"{page.relative_to(ROOT)}: {link}")

    assert dead == []


def test_every_page_is_found_from_the_map() -> None:
    reached: set[Path] = set()
    waiting = [DOCS / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached and page.suffix == ".md" and page.exists():
            reached.add(page)
            waiting += [(page.parent / link.partition("#")[0]).resolve() for link in links(page)]

    assert [str(page.relative_to(ROOT)) for page in PAGES[1:] if page not in reached] == []


def test_product_text_says_supports() -> None:
    kinds = {".py", ".html", ".md", ".sql", ".csv", ".toml"}
    folders = [DOCS, PACKAGE, ROOT / "settings", ROOT / "deploy"]
    texts = [path for folder in folders for path in folder.rglob("*") if path.suffix in kinds]
    texts += [ROOT / name for name in ("README.md", "CHANGELOG.md", "NOTICE", "pyproject.toml")]

    said = [str(path.relative_to(ROOT)) for path in texts if "compliant" in read(path).lower()]

    assert said == []
