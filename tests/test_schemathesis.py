"""The OpenAPI document against the application: no answer that it does not foresee, and no fault of the server.

Requests are made up from the document by schemathesis, good ones and bad ones, as different callers; always the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from fakes import KEY, Service, fakes_fixture  # noqa: F401
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, checks
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi import checks as openapi_checks

from stt_lab.accounts.accounts import Tier
from stt_lab.settings import Settings

Make = Callable[..., Settings]
EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "10"))  # of each operation, for each caller; 40: 10,000 cases


@pytest.fixture
def service(fakes: Make) -> Iterator[Service]:
    made = Service(fakes())
    made.accounts.set_tier(Tier(name="anonymous"))
    made.jobs.start()
    yield made
    made.jobs.close()
    made.runtime.close()


DESCRIBED = [
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_schema_conformance,
]


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("caller", ["administrator", "account", "nobody"])
def test_every_answer_is_described(caller: str, mode: GenerationMode, service: Service) -> None:
    account = service.accounts.create("Ada", tier="unlimited")
    keys = {"administrator": KEY, "account": service.accounts.create_key(account.id, "a", ["library", "account"])[1]}
    headers = {"Authorization": f"Bearer {keys[caller]}"} if caller in keys else {}
    schema = schemathesis.openapi.from_asgi("/openapi.json", service.app)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 25
    found = [problem for operation in operations if (problem := _problem(operation, mode, headers))]
    assert not found, "\n\n".join(found)


def _problem(operation: Any, mode: GenerationMode, headers: dict[str, str]) -> str:
    """What is wrong with the answers of an operation; "" when nothing is."""

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        answer = case.call(headers=headers)
        absent = answer.status_code == 503 and answer.json()["code"] == "model_missing"  # no weights are here
        case.validate_response(answer, checks=DESCRIBED if absent else [checks.not_a_server_error, *DESCRIBED])

    try:
        run()
    except FailureGroup as problem:
        return f"{operation.label}: {problem}"
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, operation.label  # nothing can be wrong: it takes no parameters
    return ""
