"""What no line of the house does: run text as code, start a shell, unpack what can be a program, roll its own
cryptography, or draw a secret from what can be guessed. Lists say what is allowed; whatever is new fails here first."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from adapters.credentials.passwords import common_passwords
from domain.bounds import ACCESS_SECONDS
from runtime.settings import Settings
from tests.house.test_style import ROOT, broken, name_of, nodes_of

# Of the page and the library that it speaks through: what hides a password, and what names a property by a value.
SCRIPTS = sorted([*(ROOT / "web").glob("*.js"), *(ROOT / "clients" / "javascript" / "hansard-client").glob("*.js")])
PASSWORD_FIELD = re.compile(r"\{[^{}]*autocomplete: (?:[^{}]*\? )?\"(?:current|new)-password\"[^{}]*\}")
NAMED_BY_VALUE = re.compile(r"[\w.)\]]\[(?!\d)([^\]\n]+)\] (?:\?\?|\|\|)?= ")
COUNTED = {"at", "at - 1", "i"}  # places in a list
NAMED_HERE = {
    (
        "conversation.js",
        "roomId",
    ),  # a new object for each frame, of rooms that were subscribed, which is only written out
    ("dom.js", "name.slice(1)"),  # what our own calls name
}
NEVER_CALLED = {"eval", "exec", "compile", "__import__", "input"}
# Modules that run or unpack whatever they are given, parse XML, or make weak hashes and ciphers.
NEVER_IMPORTED = {
    "pickle", "cPickle", "dill", "shelve", "marshal", "code", "codeop", "xml", "lxml", "defusedxml", "yaml", "crypt",
    "ldap", "ldap3", "jinja2", "mako", "pymemcache", "Crypto",
}  # fmt: skip
SHELLS = {"system", "popen", "create_subprocess_shell", "getoutput", "getstatusoutput"}
CRYPTOGRAPHY = {
    "cryptography.x509",
    "cryptography.exceptions.InvalidSignature",
    "cryptography.exceptions.InvalidTag",
    "cryptography.hazmat.primitives.asymmetric.ec.ECDH",
    "cryptography.hazmat.primitives.asymmetric.ec.EllipticCurvePrivateKey",
    "cryptography.hazmat.primitives.asymmetric.ec.EllipticCurvePublicKey",
    "cryptography.hazmat.primitives.asymmetric.ec.SECP256R1",
    "cryptography.hazmat.primitives.asymmetric.ec.derive_private_key",
    "cryptography.hazmat.primitives.asymmetric.ec.generate_private_key",
    "cryptography.hazmat.primitives.asymmetric.ed25519.Ed25519PrivateKey",
    "cryptography.hazmat.primitives.asymmetric.ed25519.Ed25519PublicKey",
    "cryptography.hazmat.primitives.ciphers.aead.AESGCM",
    "cryptography.hazmat.primitives.hashes.SHA256",
    "cryptography.hazmat.primitives.kdf.hkdf.HKDF",
    "cryptography.hazmat.primitives.kdf.hkdf.HKDFExpand",
    "cryptography.hazmat.primitives.serialization.Encoding",
    "cryptography.hazmat.primitives.serialization.PublicFormat",
}
HASHES = {"sha256", "blake2b"}
# They spread pauses and drains over time, or have a test give them its seed: `random` can be guessed.
DRAWS_PAUSES = {
    "gateway/realtime/draining.py", "gateway/http/background_jobs.py", "runtime/processes/worker.py", "clients/python/hansard_client/backoff.py",
    "clients/python/hansard_client/auditing.py", "clients/python/hansard_client/chat.py", "clients/python/hansard_client/client.py",
}  # fmt: skip

# A history that follows from a seed: nothing in it is secret, and what seals it comes from the system.
FOLLOWS_A_SEED = {"runtime/operators/generating/texts.py", "runtime/operators/generating/town.py"}


def imported(path: Path) -> Iterator[str]:
    """Tell every dotted name that a module imports."""
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def called(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Tell the last name of everything that is called."""
    for node in nodes_of(path):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                yield node.func.id, node
            elif isinstance(node.func, ast.Attribute):
                yield f".{node.func.attr}", node


def test_no_text_is_run_and_nothing_is_unpacked_that_could_be_a_program() -> None:
    def runs_text(path: Path) -> Iterator[str]:
        yield from {name for name, _ in called(path)} & NEVER_CALLED
        yield from {name.partition(".")[0] for name in imported(path)} & NEVER_IMPORTED

    assert broken(runs_text) == []


def test_programs_are_started_by_a_list_of_words_and_never_by_a_shell() -> None:
    def starts_a_shell(path: Path) -> Iterator[str]:
        for name, call in called(path):
            if name.lstrip(".") in SHELLS or any(word.arg == "shell" for word in call.keywords):
                yield ast.unparse(call)

    assert broken(starts_a_shell) == []


def test_no_template_is_made_of_what_somebody_sent() -> None:
    """What is formatted is a constant of ours: `.format` and `%` on anything else would read a stranger's template."""

    def formats_a_strangers(path: Path) -> Iterator[str]:
        for node in nodes_of(path):
            match node:
                case ast.Call(func=ast.Attribute(value=template, attr="format" | "format_map")):
                    pass
                case ast.BinOp(left=template, op=ast.Mod(), right=ast.Tuple() | ast.Dict()):
                    pass
                case _:
                    continue
            if not _is_ours(template):
                yield ast.unparse(node)

    assert broken(formats_a_strangers) == []


def _is_ours(node: ast.expr) -> bool:
    return (isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes))) or (
        isinstance(node, ast.Name) and node.id.isupper()
    )


def test_cryptography_is_the_librarys_and_of_the_approved_kind() -> None:
    def of_another_kind(path: Path) -> Iterator[str]:
        for name in imported(path):
            if name.startswith("cryptography") and (
                name not in CRYPTOGRAPHY or not name_of(path).startswith("adapters/")
            ):
                yield name
            if name.startswith("hashlib.") and name.removeprefix("hashlib.") not in HASHES:
                yield name
        for name, call in called(path):
            of_hashlib = isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "hashlib"
            if of_hashlib and name.lstrip(".") not in HASHES:
                yield ast.unparse(call)
            # hmac.digest(key, message, hash)
            if name == "digest" and len(call.args) == 3 and ast.unparse(call.args[2]) != "'sha256'":
                yield ast.unparse(call)

    assert broken(of_another_kind) == []


def test_what_must_not_be_guessed_comes_from_the_system() -> None:
    """`random` spreads pauses in the modules that are listed; secrets and ids are made of os.urandom, by whatever name."""

    def can_be_guessed(path: Path) -> Iterator[str]:
        if name_of(path) not in DRAWS_PAUSES | FOLLOWS_A_SEED:
            yield from (name for name in imported(path) if name.partition(".")[0] == "random")
        yield from {name for name, _ in called(path)} & {"uuid1", "uuid3", ".uuid1", ".uuid3"}

    assert broken(can_be_guessed) == []


def test_statements_are_made_of_text_in_no_migration() -> None:
    """In the database too: the one statement that is put together names the role that the migration runs as."""
    made = [
        line.strip()
        for path in sorted((ROOT / "migrations").glob("*.sql"))
        for line in path.read_text().splitlines()
        if re.search(r"\bEXECUTE\b(?! FUNCTION| ON)", line)
    ]
    assert made == ["EXECUTE format('GRANT hansard_app TO %I', current_user);"]


def test_passwords_are_hashed_as_dearly_as_owasp_asks() -> None:
    """OWASP's Password Storage Cheat Sheet: argon2id with 19 MiB, two passes, one lane."""
    settings = Settings()
    assert (settings.argon2_memory_kib, settings.argon2_time, settings.argon2_parallelism) == (19_456, 2, 1)
    assert ACCESS_SECONDS == 900


def test_the_image_holds_what_serves_and_nothing_else() -> None:
    """No history, no tests, no documents, no secrets of whoever built it, and no compilers' leavings."""
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", ".env", "tests", "bench", "docs", ".hansard", ".venv"} <= set(ignored)
    copied = [line.split() for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("COPY ")]
    taken = {part for words in copied for part in words[1:-1] if not part.startswith("--from")}
    rooms = {
        "domain",
        "commands",
        "projections",
        "adapters",
        "gateway",
        "workers",
        "runtime",
        "migrations",
        "web",
        "clients",
    }
    assert taken == rooms | {
        "pyproject.toml",
        "uv.lock",
        "README.md",
        "LICENSE",
        "clients/python/pyproject.toml",
        "/opt/hansard",
    }


def test_the_list_of_common_passwords_holds_enough_that_could_be_chosen() -> None:
    """ASVS 6.2.4 asks for 3,000 that the policy would let pass; they are compared in small letters."""
    words = common_passwords()
    assert sum(len(word) >= 8 for word in words) >= 8_000
    assert all(word == word.lower() for word in words)


def test_a_password_is_typed_into_a_field_that_hides_it_and_takes_what_is_pasted() -> None:
    texts = {path.name: path.read_text() for path in SCRIPTS}
    fields = [field for text in texts.values() for field in PASSWORD_FIELD.findall(text)]
    assert len(fields) == 3
    assert [field for field in fields if 'type: "password"' not in field] == []
    assert [name for name, text in texts.items() if re.search(r"[\"']paste[\"']|onpaste", text)] == ["composer.js"]


def test_the_javascript_names_no_property_by_what_somebody_sent() -> None:
    named = {(path.name, key) for path in SCRIPTS for key in NAMED_BY_VALUE.findall(path.read_text())}
    assert {(name, key) for name, key in named if key not in COUNTED} == NAMED_HERE
