#!/usr/bin/env python3
"""Makes the clients in docs/clients from the OpenAPI document of the program: one file a language, without dependencies.

    scripts/clients.py [OPENAPI_JSON [FOLDER]]

Without arguments it asks `cargo run` for the document and writes docs/clients. scripts/clients-test checks that they are fresh.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MADE = "Made by scripts/clients.py from the program's OpenAPI document."

PYTHON = '''\
"""A client of the AI Orchestrator, in one file without dependencies, for Python 3.11.

{made}"""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Literal, NotRequired, TypedDict


class Problem(Exception):
    """The server refused a request (RFC 9457). `problem` has `code`, `detail`, `errors`, `retriable` and more."""

    def __init__(self, problem: dict[str, Any]):
        super().__init__(f"{{problem.get('title')}} ({{problem.get('code')}}): {{problem.get('detail')}}")
        self.problem = problem


{types}


class Orchestrator:
    """The API at `url`, with an API key where the server wants one. `timeout` is in seconds.

    Without an answer, send the same request again: nothing is done twice."""

    def __init__(self, url: str = "http://127.0.0.1:8787", key: str | None = None, timeout: float = 40):
        self._url, self._key, self._timeout = url.rstrip("/"), key, timeout

    def _call(self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None, **headers: str | None) -> Any:
        given = {{name: value for name, value in (query or {{}}).items() if value is not None}}
        url = self._url + path + ("?" + urllib.parse.urlencode(given) if given else "")
        request = urllib.request.Request(url, method=method)
        if method == "POST":
            request.data = json.dumps({{}} if body is None else body).encode()
            request.add_header("Content-Type", "application/json")
        for name, value in {{"authorization": self._key and f"Bearer {{self._key}}", **headers}}.items():
            if value is not None:
                request.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            if "json" not in (error.headers.get("Content-Type") or ""):
                raise
            raise Problem(json.load(error)) from None
        return json.loads(text) if text else None
{methods}'''

TYPESCRIPT = """\
// A client of the AI Orchestrator, in one file without dependencies, for browsers, Deno, Bun and Node 18. {made}

/** The server refused a request (RFC 9457). */
export class ProblemError extends Error {{
  constructor(readonly problem: ProblemBody) {{
    super(`${{problem.title}} (${{problem.code}}): ${{problem.detail ?? ''}}`);
  }}
}}

{types}

type Query = Record<string, string | number | boolean | null | undefined>;

/** The API at `url`, with an API key where the server wants one. Without an answer, send the same request again: nothing is done twice. */
export class Orchestrator {{
  constructor(
    private readonly url = 'http://127.0.0.1:8787',
    private readonly key?: string,
  ) {{}}

  private async call<T>(method: string, path: string, query: Query = {{}}, body: unknown = {{}}, more: Query = {{}}): Promise<T> {{
    const given = (all: Query) => Object.entries(all).flatMap(([name, value]) => (value == null ? [] : [[name, String(value)]]));
    const search = new URLSearchParams(given(query)).toString();
    const headers = Object.fromEntries(given({{ authorization: this.key && `Bearer ${{this.key}}`, ...more }}));
    const init: RequestInit = {{ method, headers }};
    if (method === 'POST') {{
      headers['content-type'] = 'application/json';
      init.body = JSON.stringify(body);
    }}
    const answer = await fetch(this.url + path + (search && `?${{search}}`), init);
    const text = await answer.text();
    if (answer.ok) return (text ? JSON.parse(text) : undefined) as T;
    if (!answer.headers.get('content-type')?.includes('json')) throw new Error(`${{path}}: ${{answer.status}}`);
    throw new ProblemError(JSON.parse(text) as ProblemBody);
  }}
{methods}}}
"""


class Language:
    """How types are written."""

    def __init__(self, any_type, none, names, listed, one_of):
        self.any, self.none, self.names, self.listed, self.one_of = any_type, none, names, listed, one_of

    def type(self, schema):
        if "$ref" in schema:
            return schema["$ref"].rsplit("/", 1)[1]
        if "enum" in schema:
            return self.one_of([json.dumps(value, ensure_ascii=False) for value in schema["enum"]])
        for key in ("oneOf", "anyOf"):
            if key in schema:
                return self.union([self.type(part) for part in schema[key]])
        if "allOf" in schema:  # One of several objects, and more fields.
            return self.names["object"]
        kinds = schema.get("type")
        if isinstance(kinds, list):
            return self.union([self.none if kind == "null" else self.type({**schema, "type": kind}) for kind in kinds])
        if kinds == "array":
            return self.listed(self.type(schema.get("items", {})))
        return self.none if kinds == "null" else self.names.get(kinds, self.any)

    def union(self, parts):
        flat = dict.fromkeys(part for several in parts for part in several.split(" | "))
        return " | ".join(flat)


python = Language(
    "Any",
    "None",
    {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "object": "dict[str, Any]"},
    lambda item: f"list[{item}]",
    lambda values: f"Literal[{', '.join(values)}]",
)
typescript = Language(
    "unknown",
    "null",
    {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "object": "Record<string, unknown>"},
    lambda item: f"({item})[]" if " | " in item else f"{item}[]",
    lambda values: " | ".join(value.replace('"', "'") for value in values),
)


def first_sentence(text):
    return re.split(r"(?<=[.;:])\s", " ".join((text or "").split()), maxsplit=1)[0].rstrip(";:")


def references(value):
    """Yields the schemas that a part of the document names."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"].rsplit("/", 1)[1]
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from references(part)


def operations(document):
    """Yields the operations that answer with JSON or with nothing. Agents have clients of their own."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if operation["tags"] == ["mcp"]:
                continue
            (answer,) = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
            content = answer.get("content", {})
            schema = content.get("application/json", {}).get("schema")
            if content and not schema:
                continue
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            yield path, method.upper(), operation, body, schema


def used_schemas(document):
    schemas, found, open_names = document["components"]["schemas"], set(), {"ProblemBody"}
    for *_, body, schema in operations(document):
        open_names |= set(references([body, schema]))
    while open_names:
        name = open_names.pop()
        found.add(name)
        open_names |= set(references(schemas[name])) - found
    return {name: schemas[name] for name in sorted(found)}


def fields(schema, schemas):
    """Returns the fields of an object, also of one that is made of several: {name: (schema, is_required)}; none for another type."""
    if "$ref" in schema:
        return fields(schemas[schema["$ref"].rsplit("/", 1)[1]], schemas)
    if "allOf" in schema:
        parts = [fields(part, schemas) for part in schema["allOf"]]
        return None if None in parts else {name: field for part in parts for name, field in part.items()}
    if "properties" not in schema:
        return None
    return {name: (field, name in schema.get("required", [])) for name, field in schema["properties"].items()}


def python_types(schemas):
    """Yields the types; names for others come last, since they are evaluated at once."""
    others = []
    for name, schema in schemas.items():
        members = fields(schema, schemas)
        if members is None:
            others.append(f"{name} = {python.type(schema)}")
            continue
        typed = {key: python.type(field) if needed else f"NotRequired[{python.type(field)}]" for key, (field, needed) in members.items()}
        if "from" in typed:  # A keyword, so the fields are strings.
            lines = [f'    "{key}": "{kind}",' for key, kind in typed.items()]
            yield "\n".join([f"{name} = TypedDict(", f'    "{name}",', "    {", *(f"    {line}" for line in lines), "    },", ")"])
        else:
            lines = [f"    {key}: {kind}" for key, kind in typed.items()]
            summary = first_sentence(schema.get("description"))
            yield "\n".join([f"class {name}(TypedDict):", *([f'    """{summary}"""', ""] if summary else []), *lines])
    yield "\n".join(others)


def typescript_types(schemas):
    for name, schema in schemas.items():
        members = fields(schema, schemas)
        if members is None:
            yield f"export type {name} = {typescript.type(schema)};"
            continue
        summary = first_sentence(schema.get("description"))
        lines = [f"/** {summary} */"] if summary else []
        lines.append(f"export interface {name} {{")
        lines += [f"  {key}{'' if needed else '?'}: {typescript.type(field)};" for key, (field, needed) in members.items()]
        if schema.get("additionalProperties"):
            lines.append("  [field: string]: unknown;")
        yield "\n".join([*lines, "}"])


def parameters(operation, place):
    return [parameter for parameter in operation.get("parameters", []) if parameter["in"] == place]


def snake(name):
    return name.replace("-", "_").lower()


def python_method(path, method, operation, body, schema):
    named = [f"{parameter['name']}: str" for parameter in parameters(operation, "path")]
    if body:
        is_needed = operation["requestBody"].get("required", False)
        named.append(f"body: {python.type(body)}" + ("" if is_needed else " = None"))
    query, headers = parameters(operation, "query"), parameters(operation, "header")
    optional = [f"{snake(one['name'])}: {python.union([python.type(one['schema']), 'None'])} = None" for one in [*query, *headers]]
    given = ", ".join(["self", *named, *(["*", *optional] if optional else [])])
    quoted = re.sub(r"\{(\w+)\}", r"{urllib.parse.quote(\1, safe='')}", path)
    arguments = [f'"{method}"', f'{"f" if "{" in path else ""}"{quoted}"']
    if query:
        arguments.append("{" + ", ".join(f'"{one["name"]}": {snake(one["name"])}' for one in query) + "}")
    arguments += ["body=body"] if body else []
    arguments += [f"{snake(one['name'])}={snake(one['name'])}" for one in headers]
    lines = [f"def {operation['operationId']}({given}) -> {python.type(schema) if schema else 'None'}:"]
    lines.append(f'    """{first_sentence(operation.get("summary"))}"""')
    lines.append(f"    return self._call({', '.join(arguments)})")
    return "\n" + textwrap.indent("\n".join(lines), "    ") + "\n"


def camel(name):
    return re.sub(r"[-_](\w)", lambda found: found[1].upper(), name)


def typescript_method(path, method, operation, body, schema):
    named = [f"{parameter['name']}: string" for parameter in parameters(operation, "path")]
    if body:
        is_needed = operation["requestBody"].get("required", False)
        named.append(f"body: {typescript.type(body)}" + ("" if is_needed else " = null"))
    query, headers = parameters(operation, "query"), parameters(operation, "header")
    if query:
        named.append("query: { " + "; ".join(f"{one['name']}?: {typescript.type(one['schema'])}" for one in query) + " } = {}")
    named += [f"{camel(one['name'].lower())}?: {typescript.type(one['schema'])}" for one in headers]
    quoted = re.sub(r"\{(\w+)\}", r"${encodeURIComponent(\1)}", path)
    arguments = [f"'{method}'", f"`{quoted}`" if "{" in path else f"'{path}'"]
    more = [f"'{one['name'].lower()}': {camel(one['name'].lower())}" for one in headers]
    if query or body or more:
        arguments.append("query" if query else "{}")
    if body or more:
        arguments.append("body" if body else "{}")
    arguments += ["{ " + ", ".join(more) + " }"] if more else []
    name = camel(operation["operationId"])
    return (
        f"\n  /** {first_sentence(operation.get('summary'))} */\n"
        f"  {name}({', '.join(named)}): Promise<{typescript.type(schema) if schema else 'void'}> {{\n"
        f"    return this.call({', '.join(arguments)});\n  }}\n"
    )


def fetched():
    """Starts the program and asks it for its document."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PORT": "0", "ORCHESTRATOR_DATA": folder, "RUST_LOG": "warn"}
        command = ["cargo", "run", "--quiet", "--", "serve"]
        with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as program:
            try:
                url = program.stdout.readline().split()[-1]
                with urllib.request.urlopen(f"{url}/openapi.json") as answer:
                    return json.load(answer)
            finally:
                program.terminate()


def main():
    document = json.loads(Path(sys.argv[1]).read_text()) if len(sys.argv) > 1 else fetched()
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "docs/clients"
    folder.mkdir(parents=True, exist_ok=True)
    schemas = used_schemas(document)
    for file, template, types, method in [
        ("orchestrator.py", PYTHON, "\n\n\n".join(python_types(schemas)), python_method),
        ("orchestrator.ts", TYPESCRIPT, "\n\n".join(typescript_types(schemas)), typescript_method),
    ]:
        methods = "".join(method(*operation) for operation in operations(document))
        (folder / file).write_text(template.format(made=MADE, types=types, methods=methods))


main()
