"""The exchange's own specification, where its files are at hand: OpenAPI 3.34.0 and AsyncAPI 2.0.0.

They are the exchange's documents and no part of this project: `FSM_EXEC_SPECS` names a folder with `openapi.yaml` and
`asyncapi.yaml`. Without them, or without `jsonschema` and `pyyaml`, nothing here finds anything wrong; the tests that
are about them say that they were skipped, and why.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.specification.operations import Operation

try:
    import jsonschema
    import yaml
except ImportError:  # an extra of the tests
    jsonschema = yaml = None

FOLDER: Final = Path(os.environ.get("FSM_EXEC_SPECS", Path(__file__).parents[3] / "shared" / "kalshi" / "specs"))
Document = dict[str, Any]


def missing() -> str | None:
    """Why the files cannot be used, or None."""
    if jsonschema is None or yaml is None:
        return "jsonschema and pyyaml are not installed: pip install -e '.[test]'"
    if not (FOLDER / "openapi.yaml").exists() or not (FOLDER / "asyncapi.yaml").exists():
        return f"no openapi.yaml and asyncapi.yaml in {FOLDER}: set FSM_EXEC_SPECS to a folder that has them"
    return None


@cache
def document(name: str) -> Document:
    loaded: Document = yaml.load((FOLDER / name).read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return loaded


def schemas(name: str) -> Document:
    found: Document = document(name)["components"]["schemas"]
    return found


def operation_document(operation: Operation) -> Document:
    found: Document = document("openapi.yaml")["paths"][operation.path][operation.method.lower()]
    return found


def body_errors(operation: Operation, status: int, body: object) -> list[str]:
    """What the specification finds wrong with an answer."""
    if missing() is not None:
        return []
    answer = operation_document(operation)["responses"][str(status)]
    content = answer.get("content")
    if content is None:
        return [] if body is None else [f"{operation.name}: the specification has no body for {status}"]
    reference = content["application/json"]["schema"]["$ref"].rpartition("/")[2]
    return _errors("openapi.yaml", reference, body)


def frame_errors(payload: str, frame: object) -> list[str]:
    """What the specification finds wrong with a frame."""
    return [] if missing() is not None else _errors("asyncapi.yaml", payload, frame)


def _errors(name: str, component: str, value: object) -> list[str]:
    return [
        f"{component} {error.json_path}: {error.message}" for error in _validator(name, component).iter_errors(value)
    ]


@cache
def _validator(name: str, component: str) -> Any:  # noqa: ANN401 - its types are not installed everywhere
    schema = {"$ref": f"#/components/schemas/{component}", "components": _with_nulls(document(name)["components"])}
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())


def _with_nulls(node: Any) -> Any:  # noqa: ANN401
    """OpenAPI 3.0 says `nullable: true` where JSON Schema lists the null type."""
    if isinstance(node, list):
        return [_with_nulls(each) for each in node]
    if not isinstance(node, dict):
        return node
    made = {key: _with_nulls(value) for key, value in node.items()}
    if made.pop("nullable", None) is True:
        return {"anyOf": [made, {"type": "null"}]}
    return made
