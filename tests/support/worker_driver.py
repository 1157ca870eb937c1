# SPDX-License-Identifier: MIT
"""An activation driven by hand: a generator of requests, answered without a database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from typing import Any

from attrs import define, field

from batchq.bulk import Report
from batchq.bulk.worker.context import Course
from batchq.bulk.worker.options import Orders
from batchq.bulk.worker.requests import Ask, Rest, Told
from batchq.bulk.worker.worker import Activation
from batchq.result import Ok
from tests.support.fake_jobs import Imagined, Wish


@define(eq=False)
class Driven:
    """An activation on made-up servers, one request after the other."""

    works: Iterable[Imagined]
    options: dict[str, Any]
    said: list[str] = field(factory=list)
    """What was asked, in words."""
    asked: list[Any] = field(factory=list)
    """The requests themselves."""
    activation: Activation = field(init=False)

    def __attrs_post_init__(self) -> None:
        orders = Orders(**{"owner": "test", **self.options})
        works: Any = tuple(self.works)
        self.activation = Activation(works=works, course=Course(orders=orders))

    @property
    def report(self) -> Report:
        return self.activation.course.report

    @property
    def of_job(self) -> list[str]:
        """What was asked about the one job, from its claim to where it is looked for the next."""
        return self.said[self.said.index("claim 1") + 1 : self.said.index("backlog vpc")]

    def requests(self, meddle: Callable[[str], object] = lambda _said: None) -> Iterator[str]:
        """Answer one request after the other; ``meddle`` may raise what is then thrown in."""
        by_name = {work.name: work for work in self.works}
        with closing(self.activation.steps()) as asked, suppress(StopIteration):
            request: Any = next(asked)
            while True:
                words = self._words(request)
                self.asked.append(request)
                self.said.append(words)
                yield words
                try:
                    meddle(words)
                    told = self._answer(request, by_name)
                except Exception as error:  # noqa: BLE001  thrown in, as a driver does
                    request = asked.throw(error)
                else:
                    request = asked.send(told)

    def _answer(self, request: Any, by_name: dict[str, Imagined]) -> Any:
        match request:
            case Rest():
                return None
            case Ask(batch=Wish() as wish):
                name = wish.job.tree if wish.job else wish.about
                return by_name[name].answer(wish)
            case Ask():  # the estimate, a batch of the library's own
                return Told(Ok([100]), 0.0)
            case throttle:
                return throttle()

    def _words(self, request: Any) -> str:
        match request:
            case Rest():
                return "rest"
            case Ask(batch=Wish() as wish):
                return str(wish)
            case Ask():
                return "estimate"
            case _:
                return "throttle"


def driven(
    *works: Imagined, meddle: Callable[[str], object] = lambda _said: None, **options: Any
) -> Driven:
    """Drive an activation to its end."""
    made = Driven(works, options)
    for _ in made.requests(meddle):
        pass
    return made
