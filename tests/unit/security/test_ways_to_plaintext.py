"""There is one way to content in clear for people, and a list of jobs that open to check or to seal anew.

The model, the admin site, a command or a task: whatever reads a row has ciphertext in its hand. What turns it
into content is a handful of functions, and who calls them is listed here, by name. Whoever adds a caller changes this
list, and says why.
"""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[3] / "auditvault"
# Function that gives content or a key in clear -> modules that may use it, and what for.
MAY_USE = {
    # Shown to people, once the look is recorded.
    "open_stored": {
        "access.disclosure",
        "access.sealed_words",
        # Looked through by a worker, once that is recorded: what it finds is sealed again.
        "privacy.detection.scanning",
        # For the person whose it is, once that is recorded: it leaves encrypted to them.
        "privacy.packages.making",
        # Sealed anew under another key: what comes out goes into an envelope again.
        "vault.resealing",
    },
    "stream_stored": {"vault.resealing_large"},
    # Opened to its end and forgotten: the caller gets a hash.
    "examine_stored": {
        "vault.sealing",
        "evidence.vault_check",
        "evidence.payloads",
        # What should not be there after an erasure is tried.
        "vault.finding",
    },
    # Keys in clear stay in the vault.
    "key_to_open": {
        "vault.opening",
        "vault.resealing",
        "vault.resealing_large",
        "vault.rotation",
        # Findings are sealed under the key of the content that they are about.
        "vault.scans",
    },
    # What may be shown redacted, once the look is recorded.
    "open_rendering": {"access.disclosure"},
    # The key of a content, for its findings and its rendering.
    "cek_of": {"privacy.detection.scanning", "vault.renderings"},
    "open_object": {"vault.opening"},
    "open_framed_object": {"vault.opening"},
}
# Where they are defined: a name of their own there is no use.
HOMES = {
    "vault.opening",
    "vault.scans",
    "vault.keyring.services",
    "core.crypto.envelope",
    "core.crypto.frames",
}


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        yield name, ast.parse(path.read_text(encoding="utf-8"))


def names_in(tree):
    """Every name that code of the module says, also as an attribute, an import, or a text for `getattr`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield node.name.rpartition(".")[2]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def users():
    found = {name: set() for name in MAY_USE}
    for module, tree in modules():
        for name in set(names_in(tree)) & set(MAY_USE):
            if module not in HOMES or module in MAY_USE[name]:
                found[name].add(module)
    return found


def test_only_these_open_what_is_sealed():
    assert users() == MAY_USE


def calls(function):
    """Names of functions that the function calls, in the order of the text."""
    found = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    found.sort(key=lambda node: (node.lineno, node.col_offset))
    return [getattr(node.func, "id", getattr(node.func, "attr", "")) for node in found]


def functions_of(module):
    tree = ast.parse((PACKAGE / module).read_text(encoding="utf-8"))
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_disclosure_opens_in_one_place_and_after_the_record():
    functions = functions_of("access/disclosure.py")

    opening = {name for name, body in functions.items() if "open_stored" in calls(body)}
    showing = {name for name, body in functions.items() if "_open_all" in calls(body)}
    order = calls(functions["resolve"])

    assert (opening, showing) == ({"_open_all"}, {"reveal"})
    assert "_record" in order[order.index("reveal") :]
    assert order.index("_allowed") < order.index("reveal")
    # Redacted text, too, once its look is recorded.
    assert order.index("_record") < order.index("_redacted")
    assert {name for name, body in functions.items() if "open_rendering" in calls(body)} == {
        "_redacted"
    }
    assert "open_stored" not in calls(functions["_redacted"])
    revealing = calls(functions["reveal"])
    assert revealing.index("record") < revealing.index("_open_all")


def test_two_ways_lead_to_it_and_each_hands_in_how_its_look_is_recorded():
    """Content of one's own region, and of another."""
    users = {
        module
        for module, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", getattr(node.func, "attr", "")) == "reveal"
    }
    order = calls(functions_of("access/across.py")["read"])

    assert users == {"access.across", "access.disclosure"}
    assert order.index("_allowed") < order.index("reveal") < order.index("_record")


def test_no_command_and_no_task_calls_what_shows_content():
    """`auditvault resolve` asks the service over HTTP; a task has nobody to show anything to."""
    users_of_disclosure = {
        module
        for module, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and node.module == "auditvault.access.disclosure"
        and {alias.name for alias in node.names} & {"resolve"}
    }
    assert users_of_disclosure == {"api.views"}


def test_there_is_no_admin_site():
    settings = "".join(
        path.read_text(encoding="utf-8") for path in (PACKAGE.parent / "settings").glob("*.py")
    )
    assert "django.contrib.admin" not in settings
    assert not [
        module
        for module, _ in modules()
        if module.rpartition(".")[2] == "admin" and module.startswith("access")
    ]
