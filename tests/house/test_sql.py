"""SQL that reads like SQL: whole statements in constants, which Postgres takes, with the columns of their structs.

A statement is never put together of pieces or values. Those that need names of tables where no parameter can stand are
templates with the names in braces, in the modules listed here. Rows become structs (`adapters/postgres/rows.py`); nothing
takes one apart by number.
"""

import ast
import builtins
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import asyncpg
import pytest

from adapters.postgres.rows import shape_of
from projections import PROJECTIONS, table_statements
from projections.batches import WRITES_AT_ONCE_MAX
from projections.table_statements import Write
from tests.house.test_style import MODULES, ROOT, broken, name_of, nodes_of, text_of, tree_of

SERVER = [path for path in MODULES if path.relative_to(ROOT).parts[0] != "clients"]
VERBS = "SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH|CALL|TRUNCATE|DROP|ALTER|CREATE|GRANT|REVOKE|LOCK TABLE|VACUUM"
STATEMENT = re.compile(rf"[\s(]*({VERBS})\s(?!\d+$)")
PREPARED = re.compile(r"[\s(]*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH|CALL)\s")
# What stands in SQL and hardly anywhere else, so that a piece of a statement is known too.
PIECE = re.compile(
    rf"\A[\s(]*({VERBS})\s|\b(SELECT|FROM|JOIN|WHERE|AND|UNION ALL|VALUES|ON CONFLICT|RETURNING|(ORDER|GROUP) BY|LIMIT \$)\s"
)
# Statements made of declared names, where no parameter can stand: tables and columns of read models.
OF_DECLARED_NAMES = {
    "projections/notification_audience.py",
    "projections/table_statements.py",
    "workers/differences.py",
    "workers/rebuild.py",
    "workers/table_swap.py",
}
DECODER = "adapters/postgres/rows.py"
ASKS_POSTGRES = re.compile(r"^(from|import) (domain\.ports\.database|adapters\.postgres|asyncpg)\b", re.MULTILINE)
ROW_NAMES = re.compile(r"(rows?|records?)$")
# Statements that are chosen before they are run, away from the struct of their rows.
CHOSEN = {
    "projections.message_pages": (
        ("MessageInPage", "SELECT_BEFORE SELECT_AFTER SELECT_AROUND"),
        ("RenderedMessageInPage", "SELECT_BEFORE_HTML SELECT_AFTER_HTML SELECT_AROUND_HTML"),
    ),
    "adapters.postgres.audit_index": (
        ("Walked", "SELECT_BY_ACTOR SELECT_BY_SUBJECT SELECT_BY_ROOM SELECT_BY_TOPIC SELECT_BY_POSITION"),
    ),
    "adapters.postgres.event_store": (
        ("StoredRow", "SELECT_STREAMS SELECT_AFTER SELECT_ROOM_AFTER SELECT_ROOM_BEFORE"),
    ),
    "adapters.postgres.past": (("StoredRow", "SELECT_LAST_UNTIL SELECT_ALL_UNTIL SELECT_AT SELECT_BEFORE"),),
    "adapters.eventsourcing_bridge": (("StoredFact", "SELECT_STREAM SELECT_STREAM_BACKWARDS"),),
}
STATEMENTS_MIN = 100
PAIRS_MIN = 60


def pieced(tree: ast.AST) -> Iterator[str]:
    """Say where a statement is put together: with `+`, `%`, an f-string, `format` or `join`."""
    for node in ast.walk(tree):
        match node:
            case ast.BinOp(op=ast.Add() | ast.Mod()) | ast.JoinedStr():
                parts: list[ast.AST] = [node]
            case ast.Call(func=ast.Attribute(value=owner, attr="format" | "join" | "replace")):
                parts = [owner, *node.args] if isinstance(owner, (ast.Constant, ast.BinOp, ast.JoinedStr)) else []
            case _:
                continue
        if any(PIECE.search(text) for part in parts for text in _texts(part)):
            yield f"line {node.lineno}: {ast.unparse(node)[:60]}"


def _texts(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def taken_apart(tree: ast.AST) -> Iterator[str]:
    """Say where a row is taken apart by number, or made of columns without names."""
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(value=ast.Name(id=name) | ast.Attribute(attr=name)) if ROW_NAMES.search(name):
                if name.endswith("s") and not isinstance(node.slice, ast.Slice):
                    continue  # one row of several
            case ast.Subscript(value=ast.Subscript(value=ast.Name(id=name) | ast.Attribute(attr=name))) if re.search(
                r"(rows|records)$", name
            ):
                pass
            case ast.Call(
                func=ast.Attribute(attr="all" | "one"), args=[ast.Lambda() | ast.Name(id="tuple" | "list"), *_]
            ):
                pass
            case ast.FunctionDef(
                body=[*_, ast.Return(value=ast.Name(id=name))], args=ast.arguments(vararg=ast.arg(arg=star))
            ):
                if name != star:
                    continue
            case _:
                continue
        yield f"line {node.lineno}: {ast.unparse(node)[:60]}"


def test_sql_stands_whole_in_constants_and_is_never_put_together() -> None:
    def out_of_place(path: Path) -> Iterator[str]:
        yield from pieced(tree_of(path))
        docstrings = {id(node.body[0].value) for node in nodes_of(path) if _has_docstring(node)}  # type: ignore[attr-defined]
        for function in nodes_of(path):
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                for node in ast.walk(function):
                    text = node.value if isinstance(node, ast.Constant) and id(node) not in docstrings else None
                    if isinstance(text, str) and STATEMENT.match(text):
                        yield f"{function.name}: {text!r}"

    assert broken(out_of_place, [path for path in SERVER if name_of(path) not in OF_DECLARED_NAMES]) == []


def test_no_row_is_taken_apart_by_number() -> None:
    asking = [path for path in SERVER if name_of(path) != DECODER and ASKS_POSTGRES.search(text_of(path))]
    assert broken(lambda path: taken_apart(tree_of(path)), asking) == []


@pytest.mark.parametrize(
    "planted",
    [
        'SELECT_IT = "SELECT id, " + COLUMNS + " FROM read.rooms"',
        'SELECT_IT = _SEEN + " WHERE r.id = $5"',
        'SELECT_IT = f"SELECT id FROM read.rooms WHERE id = {room_id}"',
        'SELECT_IT = f"{_SEEN} ORDER BY position"',
        'SELECT_IT = "SELECT id FROM {}".format(table)',
        'SELECT_IT = "SELECT id FROM %s" % table',
        'SELECT_IT = " UNION ALL ".join(parts)',
    ],
)
def test_a_statement_that_is_put_together_is_found(planted: str) -> None:
    assert list(pieced(ast.parse(planted))) != []


@pytest.mark.parametrize(
    "planted",
    [
        "message = row[1]",
        "message = MessageView(*row[1:14])",
        "standing = rows[0][0]",
        "head = rows[0][:13]",
        "found = await db.all(lambda *row: row, SELECT_IT)",
        "found = await db.one(tuple, SELECT_IT)",
        "def _row(*columns: Any) -> tuple[Any, ...]:\n    return columns",
    ],
)
def test_a_row_that_is_taken_apart_is_found(planted: str) -> None:
    assert list(taken_apart(ast.parse(planted))) != []


async def test_every_statement_is_one_that_postgres_takes(database_url: str) -> None:
    connection = await asyncpg.connect(database_url, server_settings={"search_path": "pg_catalog"})
    prepared = 0
    for path in SERVER:
        for name, sql in _statements(path):
            try:
                await connection.prepare(sql)
            except asyncpg.PostgresError as error:
                pytest.fail(f"{path.relative_to(ROOT)} {name}: {error}")
            prepared += 1
    await connection.close()
    assert prepared > STATEMENTS_MIN


async def test_every_statement_has_the_columns_of_the_struct_that_its_rows_become(database_url: str) -> None:
    connection = await asyncpg.connect(database_url, server_settings={"search_path": "pg_catalog"})
    pairs = 0
    for path in SERVER:
        module = _module(path)
        chosen = [
            (getattr(module, row), name) for row, names in CHOSEN.get(module.__name__, ()) for name in names.split()
        ]
        for row, name in [*_decoded(tree_of(path), module), *chosen]:
            if name == "APPEND_IN_TURN":
                continue  # a procedure: its answers are one array
            columns = [each.name for each in (await connection.prepare(getattr(module, name))).get_attributes()]
            shape = shape_of(row)
            fits = len(columns) == 1 if shape is None else shape.fits(columns)
            assert fits, f"{path.relative_to(ROOT)} {name}: {columns} are not {shape and shape.names}"
            pairs += 1
    await connection.close()
    assert pairs > PAIRS_MIN


async def test_every_statement_that_writes_a_read_table_is_one_that_postgres_takes(database_url: str) -> None:
    connection = await asyncpg.connect(database_url, server_settings={"search_path": "pg_catalog"})
    for table in (table for group in PROJECTIONS.values() for table in group.tables):
        writes = [Write("insert", table), Write("upsert", table)]
        if table.columns:
            writes.append(Write("update", table, table.columns))
        writes += (
            Write("increase", table, (name,)) for name in table.columns if table.types[name] in ("int", "bigint")
        )
        at_once = tuple(writes[:WRITES_AT_ONCE_MAX])
        writes.append(Write("move", table))
        if table.columns and all(table.types[name] == "int" for name in table.columns):
            writes.append(Write("sum", table))
        for write in writes:
            await connection.prepare(table_statements.statement(write, ""))
        await connection.prepare(table_statements.commit(at_once))
    await connection.close()


async def test_the_read_tables_are_declared_as_they_are(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    for group in PROJECTIONS.values():
        for table in group.tables:
            schema, name = table.name.split(".")
            rows = await connection.fetch(
                "SELECT column_name FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2",
                schema,
                name,
            )
            assert {row["column_name"] for row in rows} == set(table.types), table.name
    await connection.close()


def _module(path: Path) -> ModuleType:
    return import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


def _statements(path: Path) -> Iterator[tuple[str, str]]:
    """Return the statements of a module by name; templates are no statements yet."""
    room, *_ = path.relative_to(ROOT).parts
    if room in ("domain", "commands"):
        return
    is_of_names = str(path.relative_to(ROOT)) in OF_DECLARED_NAMES
    for name, value in vars(_module(path)).items():
        if name.isupper() and isinstance(value, str) and PREPARED.match(value) and not (is_of_names and "{" in value):
            yield name, value


def _decoded(tree: ast.AST, module: ModuleType) -> Iterator[tuple[Any, str]]:
    """Return what rows become, and the constant that they come from, wherever both are named at the call."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="all" | "one"), args=[ast.Name(id=row), ast.Name(id=constant), *_]):
                pass
            case ast.Call(
                func=ast.Name(id="decode"),
                args=[ast.Name(id=row), ast.Await(value=ast.Call(args=[ast.Name(id=constant), *_]))],
            ):
                pass
            case _:
                continue
        if constant.isupper() and hasattr(module, constant):
            yield getattr(module, row, None) or getattr(builtins, row), constant


def _has_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and bool(node.body)
        and isinstance(node.body[0], ast.Expr)
    )
