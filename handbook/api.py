"""The API reference: the server's OpenAPI document as one Markdown page, a section for each first word of the path."""

from collections.abc import Iterator

from handbook.schemas import Json, every, table, type_of

PREFIX = "/api/v1/"
REST = "operating"  # what is not under PREFIX: health, metrics, keys
PROBLEM = "application/problem+json"


def page(document: Json) -> str:
    """Return the whole page."""
    return "\n".join([*_opening(document), *_operations(document["paths"]), *_closing(document)]) + "\n"


def _opening(document: Json) -> Iterator[str]:
    yield f"# API reference\n\n{document['info']['summary']} Version {document['info']['version']}.\n"
    yield "This page is made from the OpenAPI document that the server itself answers at `/schema/openapi.json`."
    yield "Where there is a GET there is a HEAD, with the same headers. Unless a section says otherwise, an operation needs"
    yield "`Authorization: Bearer …` with an access token. Problems are `application/problem+json` (RFC 9457).\n"
    yield "## Headers of requests\n"
    headers = {each["name"]: each for operation in _all(document["paths"]) for each in _in(operation, "header")}
    rows = ((f"`{name}`", type_of(each["schema"]), each.get("description", "")) for name, each in headers.items())
    yield from table(("header", "value", "meaning"), rows)


def _closing(document: Json) -> Iterator[str]:
    yield "## Schemas\n"
    yield from every(document["components"]["schemas"])


def _all(paths: Json) -> Iterator[Json]:
    for methods in paths.values():
        yield from (operation for operation in methods.values() if isinstance(operation, dict))


def _operations(paths: Json) -> Iterator[str]:
    for group in dict.fromkeys(map(_group, paths)):
        yield f"## {group.capitalize()}\n"
        for path, methods in paths.items():
            if _group(path) == group:
                for method, operation in methods.items():
                    if method != "head" or "get" not in methods:
                        yield from _operation(method.upper(), path, operation)


def _group(path: str) -> str:
    return path.removeprefix(PREFIX).split("/")[0] if path.startswith(PREFIX) else REST


def _operation(method: str, path: str, operation: Json) -> Iterator[str]:
    yield f"### {method} {path}\n"
    if said := operation.get("description") or operation.get("summary"):
        yield f"{said}\n"
    if operation.get("security") == []:
        yield "Needs no credentials.\n"
    asked = [*_in(operation, "path"), *_in(operation, "query")]
    if asked:
        yield from table(("parameter", "value", "meaning"), map(_parameter, asked))
    if headers := [_named(each) for each in _in(operation, "header")]:
        yield f"Headers: {', '.join(headers)}.\n"
    for media, body in operation.get("requestBody", {}).get("content", {}).items():
        yield f"Body, `{media}`: {_body(body['schema'])}.\n"
    yield from _answers(operation["responses"])


def _in(operation: Json, place: str) -> list[Json]:
    return [each for each in operation.get("parameters", ()) if each["in"] == place]


def _parameter(parameter: Json) -> tuple[str, str, str]:
    return _named(parameter), type_of(parameter["schema"]), parameter.get("description", "")


def _named(parameter: Json) -> str:
    return f"`{parameter['name']}`{' (required)' if parameter.get('required') else ''}"


def _body(schema: Json) -> str:
    if "properties" not in schema:
        return type_of(schema)
    return ", ".join(f"`{name}`: {type_of(field)}" for name, field in schema["properties"].items())


def _answers(responses: Json) -> Iterator[str]:
    problems = [code for code, answer in responses.items() if PROBLEM in answer.get("content", {})]
    rows = [_answer(code, answer) for code, answer in responses.items() if code not in problems]
    yield from table(("status", "meaning", "body", "headers"), rows)
    if problems:
        named = (f"{code} ({responses[code]['description']})" for code in problems)
        yield f"Problems: {', '.join(named)}.\n"


def _answer(code: str, answer: Json) -> tuple[str, str, str, str]:
    bodies = [
        f"{type_of(content['schema'])}" if "schema" in content else f"`{media}`"
        for media, content in answer.get("content", {}).items()
    ]
    headers = ", ".join(f"`{name}`" for name in answer.get("headers", {}))
    return code, answer["description"], " or ".join(bodies), headers
