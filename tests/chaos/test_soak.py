"""How a soak judges: what grows is named, what only wavers is not."""

import random

from tests.chaos.soak import MIB, Sample, judge


def samples(
    *, mib_per_minute: float = 0.0, descriptors: float = 0.0, tasks: float = 0.0, count: int = 90
) -> list[Sample]:
    """An hour's quarter, one sample each 10 s, that wavers and grows by so much a minute."""
    chance = random.Random(1)
    return [
        Sample(
            10.0 * i,
            int((100 + mib_per_minute * i / 6 + chance.uniform(-2, 2)) * MIB),
            int(40 + descriptors * i / 6 + chance.randint(-4, 4)),
            int(60 + tasks * i / 6 + chance.randint(-9, 9)),
        )
        for i in range(count)
    ]


def test_what_wavers_does_not_grow() -> None:
    assert judge("gateway-1", samples()) == []
    assert judge("gateway-1", samples(mib_per_minute=0.8)) == []


def test_what_grows_is_named() -> None:
    (memory,) = judge("worker", samples(mib_per_minute=1.5))
    assert memory.startswith("worker: memory grows by 1.")
    (descriptors,) = judge("worker", samples(descriptors=3))
    assert descriptors.startswith("worker: descriptors grew by ")
    (tasks,) = judge("worker", samples(tasks=3))
    assert tasks.startswith("worker: tasks grew by ")


def test_settling_does_not_count_and_too_few_samples_are_said_so() -> None:
    settling = [Sample(10.0 * i, (20 + 10 * i) * MIB, 20, None) for i in range(6)]
    assert judge("worker", [*settling, *[Sample(s.seconds + 60, s.memory_bytes, 40, None) for s in samples()]]) == []
    assert judge("worker", samples(count=8)) == ["worker: 8 samples are too few to judge by; let it run longer."]
