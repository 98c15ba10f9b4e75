"""A small share of `make schema`: a fixed seed, and what the run itself promises."""

from uuid import UUID

from commands.account import GrantRole
from domain.events import Caller
from domain.ids import UserId
from tests.deployments import PASSWORD, Gateway, deployment, notary
from tests.schema.run import Ran, schemathesis

EXAMPLES = 5


async def some(hansard: Gateway) -> Ran:
    ada = await hansard.person()
    await hansard.services.command_bus.do(GrantRole(UserId(UUID(ada.id)), "auditor"), Caller())
    return await schemathesis(hansard.base, ada.email, PASSWORD, examples=EXAMPLES, seed=1, phases="fuzzing")


async def test_the_server_keeps_to_its_document(database_url: str, redis_url: str) -> None:
    async with deployment(database_url, redis_url) as hansard:
        async with hansard.client() as http:
            document = (await http.get(f"{hansard.base}/schema/openapi.json")).json()
        await hansard.person()  # something is on the record
        async with notary(database_url):
            ran = await some(hansard)
    operations = [operation for each in document["paths"].values() for operation in each.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)
    links = [
        link["operationId"]
        for operation in operations
        for answer in operation["responses"].values()
        for link in answer.get("links", {}).values()
    ]
    assert links and set(links) <= set(ids), set(links) - set(ids)
    assert ran.is_good, ran.said
    endless = 1  # an answer that does not end, schemathesis.toml leaves out
    assert ran.operations == sum(len(each) for each in document["paths"].values()) - endless
    assert ran.cases > ran.operations, "something was asked of every operation"
