"""The comparison: what its checker finds in a journal, and how runs become a table and a chart. No server, no time."""

import subprocess
import sys
from xml.etree import ElementTree

from msgspec.json import decode, encode

from bench.comparison.chart import chart
from bench.comparison.machine import by_process
from bench.comparison.record_check import Checked
from bench.comparison.report import report, rows, table
from bench.comparison.scenarios import Length, Run
from bench.comparison.talk import MARK, Talk
from tests.chaos.checker import Fact

ADA, BEN, LOBBY = "ada", "ben", "lobby"
JOINS = [Fact(1, LOBBY, "member.joined", ADA, actor=ADA), Fact(2, LOBBY, "member.joined", BEN, actor=ADA)]


class Silent:
    """A line that says nothing to anybody."""

    def say(self, text: str) -> None: ...
    def close(self) -> None: ...


def conversation(*, told: tuple[int, ...] = (3, 4), acknowledged: tuple[int, ...] = (3, 4)) -> tuple[Talk, list[Fact]]:
    """Ada says two things, which the record has at 3 and 4; Ben is told those of `told`."""
    talk = Talk()
    talk.lines += [Silent(), Silent()]
    talk.note(1, encode({"type": "live", "position": 2}))
    record = list(JOINS)
    for position in (3, 4):
        talk.say(0)
        content = talk.journal[-1].payload.decode()
        record.append(Fact(position, LOBBY, "message.posted", f"m{position}", content, ADA))
        if position in acknowledged:
            number = int(MARK.search(content.encode())[2])  # type: ignore[index]
            talk.note(0, encode({"type": "reply", "id": number, "ok": True, "position": position}))
        if position in told:
            data = {"id": f"m{position}", "content": content}
            frame = {
                "type": "event",
                "event": "message.posted",
                "position": position,
                "prev": position - 1,
                "data": data,
            }
            talk.hear(1, encode(frame), is_kept=True)
    return talk, record


def findings(talk: Talk, record: list[Fact]) -> list[str]:
    checked = Checked(record)
    checked.hears(ADA, LOBBY, is_kept=False)
    checked.hears(BEN, LOBBY, is_kept=True)
    return [finding.split(":")[0] for finding in checked.findings(talk.journal)]


def test_a_run_in_which_everything_is_kept_and_told_holds() -> None:
    assert findings(*conversation()) == []


def test_what_was_acknowledged_and_is_not_on_the_record_is_lost() -> None:
    talk, record = conversation(told=(3,))
    assert "1 × lost" in findings(talk, record[:-1])


def test_a_listener_who_was_passed_over_is_found() -> None:
    assert findings(*conversation(told=(4,))) == ["1 × skipped"]
    assert findings(*conversation(told=(3,))) == ["1 × lost"]


def test_what_the_record_has_from_somebody_who_is_no_member_is_found() -> None:
    talk, record = conversation()
    assert "2 × after-removal" in findings(talk, record[1:])


def test_a_delay_is_counted_only_while_it_is_measured() -> None:
    talk, _ = conversation()
    assert (talk.said, talk.delivered, len(talk.delays)) == (2, 2, 0)
    talk.is_measured = True
    talk.say(0)
    assert talk.hear(1, talk.journal[-1].payload, is_kept=False) == 0
    assert (talk.delivered_measured, len(talk.delays)) == (1, 1)
    assert talk.hear(1, b'{"type":"live"}', is_kept=False) is None


RUNS = [
    Run("S1", "usual", 10_000, 4.0, 50, 90),
    Run("S1", "hansard", 80_000, 0.5, 20, 40),
    Run("S1", "usual", 12_000, 3.0, 60, 99),
    Run("S1", "hansard", 70_000, 0.7, 21, 41, findings=["1 × lost: a message"]),
]


def test_runs_become_medians_and_ratios_of_processor_time() -> None:
    usual, hansard = rows(RUNS)
    assert (usual.runs, usual.rate, usual.cpu_ms, usual.times_usual) == (2, 11_000, 3.5, 1.0)
    assert (hansard.cpu_ms, round(hansard.times_usual, 1), hansard.findings) == (0.6, 5.8, 1)
    told = table(report(RUNS, Length(), cores=1, are_apart=True)).splitlines()
    assert "0.60 (× 5.8)" in told[-1] and told[-1].endswith("| 1 findings |")
    assert told[-2].endswith("| holds |")


def test_a_report_is_read_back_as_it_was_written_and_drawn_as_svg() -> None:
    made = report(RUNS, Length(), cores=1, are_apart=True)
    assert decode(encode(made))["rows"][1]["peer"] == "hansard"
    drawn = ElementTree.fromstring(chart(made))
    bars = [float(bar.attrib["width"]) for bar in drawn.iter("{http://www.w3.org/2000/svg}rect")]
    assert len(bars) == 2 and bars == sorted(bars), "the cheapest first"
    assert "Hansard" in "".join(drawn.itertext())


def test_a_report_says_how_large_its_run_was() -> None:
    runs = [Run("S2", "hansard", 1_000, 0.5), Run("S5", "hansard", 800, 1.0)]
    small = report(runs, Length(rooms=20, messages=5_000), cores=1, are_apart=True)
    assert "20 rooms of 5" in table(small) and "newest 50 of 5,000" in table(small)
    assert "20 rooms" in chart(small) and "of 5,000 messages" in chart(small)


def test_processor_time_is_that_of_processes_that_have_ended_too() -> None:
    burn = "import time\nwhile time.process_time() < 0.4: pass"
    work = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}]); print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None and parent.stdout.readline() == b"\n"
        assert sum(by_process([parent.pid]).values()) > 0.3, "the kernel counts by hundredths, each kind rounded down"
        parent.communicate()
