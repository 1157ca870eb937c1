# SPDX-License-Identifier: MIT
"""Drive a worker by hand: answer its requests without a database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from typing import Any

from attrs import define, field

from batchq.bulk import Report
from batchq.bulk.worker.context import RunContext
from batchq.bulk.worker.options import WorkerOptions
from batchq.bulk.worker.requests import BatchDone, RunBatch, Sleep
from batchq.bulk.worker.worker import Worker
from batchq.result import Ok
from tests.support.fake_jobs import Imagined, Wish


@define(eq=False)
class Driven:
    """An activation on made-up servers, one request after the other."""

    works: Iterable[Imagined]
    options: dict[str, Any]
    log: list[str] = field(factory=list)
    """What was asked, in words."""
    asked: list[Any] = field(factory=list)
    """The requests themselves."""
    worker: Worker = field(init=False)

    def __attrs_post_init__(self) -> None:
        options = WorkerOptions(**{"owner": "test", **self.options})
        works: Any = tuple(self.works)
        self.worker = Worker(tasks=works, context=RunContext(options=options))

    @property
    def report(self) -> Report:
        return self.worker.context.report

    @property
    def of_job(self) -> list[str]:
        """What was asked about the one job, from its claim to where it is looked for the next."""
        return self.log[self.log.index("claim 1") + 1 : self.log.index("stats vpc")]

    def requests(self, meddle: Callable[[str], object] = lambda _request: None) -> Iterator[str]:
        """Answer one request after the other; ``meddle`` may raise what is then thrown in."""
        by_name = {work.name: work for work in self.works}
        with closing(self.worker.run()) as asked, suppress(StopIteration):
            request: Any = next(asked)
            while True:
                words = self._words(request)
                self.asked.append(request)
                self.log.append(words)
                yield words
                try:
                    meddle(words)
                    received = self._answer(request, by_name)
                except Exception as error:  # noqa: BLE001  thrown in, as a driver does
                    request = asked.throw(error)
                else:
                    request = asked.send(received)

    def _answer(self, request: Any, by_name: dict[str, Imagined]) -> Any:
        match request:
            case Sleep():
                return None
            case RunBatch(batch=Wish() as wish):
                name = wish.job.task if wish.job else wish.about
                return by_name[name].answer(wish)
            case RunBatch():  # the estimate, a batch of the library's own
                return BatchDone(Ok([100]), 0.0)
            case throttle:
                return throttle()

    def _words(self, request: Any) -> str:
        match request:
            case Sleep():
                return "sleep"
            case RunBatch(batch=Wish() as wish):
                return str(wish)
            case RunBatch():
                return "estimate"
            case _:
                return "throttle"


def driven(
    *works: Imagined, meddle: Callable[[str], object] = lambda _request: None, **options: Any
) -> Driven:
    """Drive an activation to its end."""
    made = Driven(works, options)
    for _ in made.requests(meddle):
        pass
    return made
